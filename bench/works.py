"""Prepared requests of each kind of work, which cost wrk next to nothing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice

from app.domain.users import Position, Sort, UserFilter
from app.operations.framework.pagination import make_cursor
from bench import accounts
from bench.accounts import FREE, NEWCOMERS, PASSWORD
from bench.seed import ADMIN_KEY, Dataset

BATCH = 100
# More than a server handles in a measurement, so that none is sent twice.
_FRESH = 20_000
# Enough addresses that each sends a batch only now and then.
_BATCHES = 4096
_LOGINS = 2048
_PAGE = 100
_PAGES = 4096
# A prime: steps of it visit every account once.
_STRIDE = 7919
_VISITS = count()


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self) -> bytes:
        """Return the request in HTTP/1.1."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Work:
    """Requests to repeat in turn; the statuses and a text that every correct response has."""

    title: str
    requests: Sequence[Request]
    answer: str
    statuses: Sequence[int] = (200,)


JSON = ("Content-Type", "application/json")


def _rpc(calls: object, *headers: tuple[str, str]) -> Request:
    body = json.dumps(calls, separators=(",", ":")).encode()
    return Request("POST", "/rpc", (JSON, *headers), body)


def _call(method: str, params: dict[str, str], id: int = 1, **more: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params, **more, "id": id}


def _from(n: int) -> tuple[str, str]:
    return "X-Forwarded-For", accounts.address(n)


def who_am_i(data: Dataset) -> Work:
    """`GET /users/@self` of many sessions in turn."""
    requests = [
        Request("GET", "/users/@self", (("Authorization", f"Bearer {token}"),))
        for token in data.tokens
    ]
    return Work("`GET /users/@self`", requests, '"username":')


def rpc_self(data: Dataset) -> Work:
    """`users.self` of many sessions in turn."""
    requests = [_rpc(_call("users.self", {}, auth=token)) for token in data.tokens]
    return Work("`users.self`", requests, '"result":')


def presence(data: Dataset) -> Work:
    """`users.presence` of many sessions in turn; each request changes it."""
    requests = [
        _rpc(_call("users.presence", {"presence": presence}, auth=token))
        for presence in ("ONLINE", "IDLE")
        for token in data.tokens
    ]
    return Work("`users.presence`, a write", requests, '"result":')


def _name(data: Dataset, visit: int) -> str:
    """Return a taken name for even visits, else a free one; a different one for each visit."""
    return accounts.username(FREE + visit if visit % 2 else visit // 2 * _STRIDE % data.size)


def check(data: Dataset) -> Work:
    """`users.check` of names and addresses that the server has not seen before."""
    requests = [
        _rpc(_call("users.check", {"username": _name(data, visit)}), _from(visit))
        for visit in islice(_VISITS, _FRESH)
    ]
    return Work("`users.check`", requests, '"result":')


def exists(data: Dataset) -> Work:
    """`GET /users/{name}` of names and addresses that the server has not seen before."""
    requests = [
        Request("GET", f"/users/{_name(data, visit)}", (_from(visit),))
        for visit in islice(_VISITS, _FRESH)
    ]
    return Work("`GET /users/{name}`", requests, "", (204, 404))


def batch(data: Dataset) -> Work:
    """Batches of `users.check`, from enough addresses to stay below the rate limits."""
    requests = []
    for visit in islice(_VISITS, _BATCHES):
        names = (_name(data, visit * BATCH + i) for i in range(BATCH))
        calls = [_call("users.check", {"username": name}, i) for i, name in enumerate(names)]
        requests.append(_rpc(calls, _from(visit)))
    return Work(f"batch of {BATCH} `users.check`", requests, '"result":')


def forged(data: Dataset) -> Work:
    """`GET /users/@self` with tokens whose signatures are wrong, each a different one."""
    token = data.tokens[0]
    requests = [
        Request("GET", "/users/@self", (("Authorization", f"Bearer {token[:-12]}{n:010}AA"),))
        for n in islice(_VISITS, _FRESH)
    ]
    return Work("401: `GET /users/@self`, forged token", requests, '"unauthenticated"', (401,))


def unknown(_: Dataset) -> Work:
    """Paths that do not exist."""
    return Work(
        "404: unknown path", [Request("GET", f"/users/a/{n}") for n in range(100)], "", (404,)
    )


def limited(_: Dataset) -> Work:
    """Checks of free names from one address, which is over its limit after the first ones."""
    requests = [Request("GET", f"/users/{accounts.username(FREE + n)}") for n in range(1000)]
    return Work("429: `GET /users/{name}`", requests, "", (429, 404))


def first_page(_: Dataset) -> Work:
    """The first page of the list again and again, as an open panel requests it."""
    return Work("`GET /users?limit=100`, the first page again", [_page("")], '"username":')


def pages(data: Dataset) -> Work:
    """Different pages from the whole list, more than the cache holds."""
    places = (n * _STRIDE % max(1, data.size - _PAGE) for n in range(_PAGES))
    all_users = UserFilter(), Sort()
    cursors = (make_cursor(Position(place, place), all_users) for place in places)
    requests = [_page(f"&cursor={cursor}") for cursor in cursors]
    return Work("`GET /users?limit=100`, another page each time", requests, '"username":')


def _page(more: str) -> Request:
    return Request("GET", f"/users?limit={_PAGE}{more}", (("X-Access-Token", ADMIN_KEY),))


def log_in(data: Dataset) -> Work:
    """`users.auth` of different accounts, each from its own address to stay below the limits."""
    requests = []
    for visit in islice(_VISITS, _LOGINS):
        name = accounts.username(visit * _STRIDE % data.size)
        params = {"username": name, "password": PASSWORD}
        requests.append(_rpc(_call("users.auth", params), _from(visit)))
    return Work("`users.auth`", requests, '"token":')


class SignUps:
    """`users.create` with new names in each work."""

    def __init__(self) -> None:
        self._places = iter(range(NEWCOMERS, accounts.NAMES))

    def __call__(self, count: int) -> Work:
        """Return a work of `count` requests."""
        requests = []
        for n in islice(self._places, count):
            params = {"username": accounts.username(n), "password": PASSWORD}
            requests.append(_rpc(_call("users.create", params), _from(n)))
        return Work("`users.create`", requests, '"username":')


WORKS: dict[str, Callable[[Dataset], Work]] = {
    "self": who_am_i,
    "rpc": rpc_self,
    "check": check,
    "exists": exists,
    "list": first_page,
    "pages": pages,
    "presence": presence,
    "batch": batch,
    "401": forged,
    "404": unknown,
    "429": limited,
}
"""By the name on the command line."""
