"""Requests that still get in after the answer to a revocation: there must be none."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Event
from time import monotonic

from pydantic import ValidationError

from bench import accounts
from bench.bench import Bench
from bench.engines import Engine
from bench.figures import Figure, Wanted
from bench.processes import BenchError, Service
from bench.seed import ADMIN_KEY, Dataset, settings_with

_CLIENTS = 4
# A new connection from time to time, so that every worker gets its share of them.
_PER_CONNECTION = 8
_AFTERWARDS = 25
# Nobody asks more often, whatever happens.
_MOST = 5_000
_TIMEOUT = 30.0
_IN, _OUT = 200, 401

Revocation = tuple[str, str, str]
"""Method, path and credential of a request that ends a token."""

# Of account `n` and a token of his.
_WAYS: tuple[Callable[[int, str], Revocation], ...] = (
    lambda _, token: ("DELETE", "/users/@self/sessions/@current", token),
    lambda n, _: ("DELETE", f"/users/{accounts.uuid(n)}/sessions", ADMIN_KEY),
    lambda n, _: ("DELETE", f"/users/{accounts.uuid(n)}", ADMIN_KEY),
)


def revocation(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """requests let in that were sent after a revocation had been answered"""
    for workers in (1, 2):
        title = f"let in after a revocation, {workers} worker{'s' if workers > 1 else ''}"
        with bench.dataset(engine, bench.plan.usual) as data:
            try:
                settings_with(**data.settings, workers=str(workers))
            except ValidationError:
                said, late = "not in this release", None
            else:
                said, late = _revoked(bench, data, workers)
                bench.record("revocation", engine, title, said=said, late=late)
        yield Figure(title, said, "", late, Wanted(0, "≤", "requests"))


def _revoked(bench: Bench, data: Dataset, workers: int) -> tuple[str, int]:
    """Revoke one token after the other while clients use it; how often they got in afterwards."""
    statuses: list[int] = []
    tokens = data.tokens[: 10 * bench.plan.rounds]
    with bench.gatehouse(data, {"workers": str(workers)}, pin=False) as ours:
        for n, token in enumerate(tokens):
            statuses += _statuses_after(ours, token, _WAYS[n % len(_WAYS)](n, token))
    if odd := set(statuses) - {_IN, _OUT}:
        raise BenchError(f"Requests after a revocation were answered with {odd}.")
    return f"{len(tokens)} revocations, {len(statuses):,} requests after", statuses.count(_IN)


def _statuses_after(ours: Service, token: str, request: Revocation) -> list[int]:
    """What the requests were answered with that were sent after the revocation's answer."""
    revoked, inside = Event(), [Event() for _ in range(_CLIENTS)]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        clients = [pool.submit(_use, ours, token, is_in, revoked) for is_in in inside]
        try:
            if not all(is_in.wait(_TIMEOUT) for is_in in inside):
                raise BenchError("A token does not let in before it is revoked.")
            with closing(HTTPConnection("127.0.0.1", ours.port, timeout=_TIMEOUT)) as connection:
                method, path, credential = request
                status = _ask(connection, method, path, credential)
                answered = monotonic()
            if status != 204:
                raise BenchError(f"{method} {path} was answered with {status}.")
        finally:
            revoked.set()
    asked = [asked for client in clients for asked in client.result()]
    return [status for sent, status in asked if sent > answered]


def _use(ours: Service, token: str, is_in: Event, revoked: Event) -> list[tuple[float, int]]:
    """Ask who I am until a little after the revocation: when was asked, and the answer's status."""
    asked: list[tuple[float, int]] = []
    afterwards = 0
    while afterwards < _AFTERWARDS and len(asked) < _MOST:
        with closing(HTTPConnection("127.0.0.1", ours.port, timeout=_TIMEOUT)) as connection:
            for _ in range(_PER_CONNECTION):
                afterwards += revoked.is_set()
                sent = monotonic()
                status = _ask(connection, "GET", "/users/@self", token)
                asked.append((sent, status))
                if status == _IN:
                    is_in.set()
    return asked


def _ask(connection: HTTPConnection, method: str, path: str, credential: str) -> int:
    connection.request(method, path, headers={"X-Access-Token": credential})
    response = connection.getresponse()
    response.read()
    return response.status
