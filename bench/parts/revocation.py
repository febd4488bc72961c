"""Requests that still get in after the answer to a revocation: there must be none."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Event
from time import monotonic

from bench import accounts
from bench.bench import Bench
from bench.figures import Figure, Target
from bench.processes import BenchError, Service
from bench.seed import ADMIN_KEY, Dataset

_CLIENTS = 4
# A new connection from time to time, so that every worker gets its share of them.
_PER_CONNECTION = 8
_AFTERWARDS = 25
# Upper bound of requests per client.
_REQUESTS_MAX = 5_000
_TIMEOUT = 30.0
_ACCEPTED, _REJECTED = 200, 401

Revocation = tuple[str, str, str]
"""Method, path and credential of a request that ends a token."""

# By account `n` and one of its tokens.
_WAYS: tuple[Callable[[int, str], Revocation], ...] = (
    lambda _, token: ("DELETE", "/users/@self/sessions/@current", token),
    lambda n, _: ("DELETE", f"/users/{accounts.uuid(n)}/sessions", ADMIN_KEY),
    lambda n, _: ("DELETE", f"/users/{accounts.uuid(n)}", ADMIN_KEY),
)


def revocation(bench: Bench) -> Iterator[Figure]:
    """requests accepted although sent after the response to a revocation, by two workers"""
    with bench.dataset() as data:
        said, late = _revoked(bench, data)
    bench.record("revocation", "accepted", said=said, late=late)
    title = "accepted after a revocation, 2 workers"
    yield Figure(title, said, "", late, Target(0, "≤", "requests"))


def _revoked(bench: Bench, data: Dataset) -> tuple[str, int]:
    """Revoke tokens while clients use them; return how many requests were accepted afterwards."""
    statuses: list[int] = []
    tokens = data.tokens[: 10 * bench.plan.rounds]
    with bench.gatehouse(data, {"workers": "2"}, pin=False) as ours:
        for n, token in enumerate(tokens):
            statuses += _statuses_after(ours, token, _WAYS[n % len(_WAYS)](n, token))
    if odd := set(statuses) - {_ACCEPTED, _REJECTED}:
        raise BenchError(f"Requests after a revocation returned {odd}.")
    return f"{len(tokens)} revocations, {len(statuses):,} requests after", statuses.count(_ACCEPTED)


def _statuses_after(ours: Service, token: str, request: Revocation) -> list[int]:
    """Return the statuses of the requests that were sent after the response to the revocation."""
    revoked, inside = Event(), [Event() for _ in range(_CLIENTS)]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        clients = [pool.submit(_use, ours, token, is_in, revoked) for is_in in inside]
        try:
            if not all(is_in.wait(_TIMEOUT) for is_in in inside):
                raise BenchError("A token is rejected before it is revoked.")
            with closing(HTTPConnection("127.0.0.1", ours.port, timeout=_TIMEOUT)) as connection:
                method, path, credential = request
                status = _ask(connection, method, path, credential)
                answered = monotonic()
            if status != 204:
                raise BenchError(f"{method} {path} returned {status}.")
        finally:
            revoked.set()
    asked = [asked for client in clients for asked in client.result()]
    return [status for sent, status in asked if sent > answered]


def _use(ours: Service, token: str, is_in: Event, revoked: Event) -> list[tuple[float, int]]:
    """Send requests until shortly after the revocation; return their times and statuses."""
    asked: list[tuple[float, int]] = []
    afterwards = 0
    while afterwards < _AFTERWARDS and len(asked) < _REQUESTS_MAX:
        with closing(HTTPConnection("127.0.0.1", ours.port, timeout=_TIMEOUT)) as connection:
            for _ in range(_PER_CONNECTION):
                afterwards += revoked.is_set()
                sent = monotonic()
                status = _ask(connection, "GET", "/users/@self", token)
                asked.append((sent, status))
                if status == _ACCEPTED:
                    is_in.set()
    return asked


def _ask(connection: HTTPConnection, method: str, path: str, credential: str) -> int:
    connection.request(method, path, headers={"X-Access-Token": credential})
    response = connection.getresponse()
    response.read()
    return response.status
