"""What is asked: the requests of each work, prepared, so that asking costs the load next to
nothing."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

from app.domain.users import Position, Sort, UserFilter
from app.usecases.paging import cursor_at
from bench import accounts
from bench.accounts import FREE, NEWCOMERS, PASSWORD
from bench.seed import ADMIN_KEY, Dataset

BATCH = 100
_NAMES = 2048
# With as many addresses, each sends a batch now and then.
_BATCHES = 6000
_LOGINS = 2048
_PAGE = 100
_PAGES = 4096
# A prime: steps of it meet every account once.
_STRIDE = 7919
_VISITS = count()


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it travels."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self) -> bytes:
        """HTTP/1.1."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Work:
    """Requests to repeat in turn, and a piece of text that a right answer to each holds."""

    title: str
    requests: Sequence[Request]
    answer: str


_JSON = ("Content-Type", "application/json")


def _rpc(calls: object, *headers: tuple[str, str]) -> Request:
    body = json.dumps(calls, separators=(",", ":")).encode()
    return Request("POST", "/rpc", (_JSON, *headers), body)


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


def _names(data: Dataset) -> Iterator[str]:
    """Names that somebody has and names that are free, by turns."""
    for n in range(_NAMES):
        yield accounts.username(n * _STRIDE % data.size)
        yield accounts.username(FREE + n)


def check(data: Dataset) -> Work:
    """`users.check` of many names in turn, from many addresses: no throttle is met."""
    requests = [
        _rpc(_call("users.check", {"username": name}), _from(n))
        for n, name in enumerate(_names(data))
    ]
    return Work("`users.check`", requests, '"result":')


def batch(data: Dataset) -> Work:
    """Batches of `users.check`, of other names each, from many addresses: no throttle is met."""
    requests = []
    names = [*_names(data)]
    for n in range(_BATCHES):
        some = [names[(n * BATCH + i) % len(names)] for i in range(BATCH)]
        calls = [_call("users.check", {"username": name}, i) for i, name in enumerate(some)]
        requests.append(_rpc(calls, _from(2 * _NAMES + n)))
    return Work(f"batch of {BATCH} `users.check`", requests, '"result":')


def first_page(_: Dataset) -> Work:
    """The first page of the list, on and on, as a panel asks that is open."""
    return Work("`GET /users?limit=100`, the first page again", [_page("")], '"username":')


def pages(data: Dataset) -> Work:
    """Pages from all over the list, another each time; more of them than anybody keeps ready."""
    places = (n * _STRIDE % max(1, data.size - _PAGE) for n in range(_PAGES))
    everybody = UserFilter(), Sort()
    cursors = (cursor_at(Position(place, place), everybody) for place in places)
    requests = [_page(f"&cursor={cursor}") for cursor in cursors]
    return Work("`GET /users?limit=100`, another page each time", requests, '"username":')


def _page(more: str) -> Request:
    return Request("GET", f"/users?limit={_PAGE}{more}", (("X-Access-Token", ADMIN_KEY),))


def log_in(data: Dataset) -> Work:
    """`users.auth` of other accounts each time, each from its own address: no throttle is met."""
    requests = []
    for visit in islice(_VISITS, _LOGINS):
        name = accounts.username(visit * _STRIDE % data.size)
        params = {"username": name, "password": PASSWORD}
        requests.append(_rpc(_call("users.auth", params), _from(visit)))
    return Work("`users.auth`", requests, '"token":')


class SignUps:
    """`users.create`: a name can be taken once, so each work has others."""

    def __init__(self) -> None:
        self._places = iter(range(NEWCOMERS, accounts.NAMES))

    def __call__(self, count: int) -> Work:
        """A work of `count` requests."""
        requests = []
        for n in islice(self._places, count):
            params = {"username": accounts.username(n), "password": PASSWORD}
            requests.append(_rpc(_call("users.create", params), _from(n)))
        return Work("`users.create`", requests, '"username":')
