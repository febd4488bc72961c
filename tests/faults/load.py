"""Clients that ask without pause, on real connections, and count what becomes of each request."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic
from urllib.parse import urlsplit

import pytest

# What is much like another test, or takes its time: only `make faults` runs it.
IN_FULL = pytest.mark.in_full
PATIENCE = 30.0
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Request:
    """The request that one client repeats; `status` is the expected one."""

    method: str
    path: str
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


def rpc(method: str, auth: str | None = None, **params: str) -> Request:
    """A call at JSON-RPC."""
    call = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
    return Request("POST", "/rpc", json.dumps(call), JSON)


@dataclass(frozen=True, slots=True)
class Cut:
    """A request that was sent on a connection and not answered in full."""

    request: Request
    connected_at: float
    at: float
    # Which one on its connection, from 0.
    number: int
    error: Exception


@dataclass(slots=True)
class Load:
    """The outcomes of the requests so far."""

    answered: Counter[int] = field(default_factory=Counter)
    # Monotonic times of the answers.
    times: list[float] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    refused: int = 0
    slowest: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def since(self, moment: float) -> int:
        """Return the number of responses since then."""
        with self._lock:
            return sum(1 for time in self.times if time >= moment)

    def note(self, request: Request, response: HTTPResponse, body: bytes, began: float) -> None:
        """One answer."""
        now = monotonic()
        with self._lock:
            self.answered[response.status] += 1
            self.times.append(now)
            self.slowest = max(self.slowest, now - began)
            if response.status != request.status:
                self.unexpected.append(f"{request.path}: {response.status} {body!r}")


@contextmanager
def under_load(url: str, requests: list[Request], *, until_refused: bool) -> Iterator[Load]:
    """One client for each of `requests`, half of them with a new connection for each request.

    A client whose connection is refused tries again, or ends with `until_refused`. After the block
    all of them end, and the last answers are waited for.
    """
    load, enough = Load(), Event()
    address = urlsplit(url).netloc

    def work(number: int, request: Request) -> None:
        while not enough.is_set():
            if not _one_connection(address, request, load, enough, keep=number % 2 == 0):
                if until_refused:
                    return
                enough.wait(0.01)

    threads = [Thread(target=work, args=[*each], daemon=True) for each in enumerate(requests)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        enough.set()
        for thread in threads:
            thread.join(PATIENCE)


def _one_connection(
    address: str, request: Request, load: Load, enough: Event, *, keep: bool
) -> bool:
    """Ask until the connection ends; whether there was one."""
    connection = HTTPConnection(address, timeout=PATIENCE)
    try:
        try:
            connection.connect()
        except OSError:
            load.refused += 1
            return False
        connected_at = monotonic()
        for number in count():
            began = monotonic()
            try:
                connection.request(request.method, request.path, request.body, request.headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, HTTPException) as error:
                load.cut.append(Cut(request, connected_at, monotonic(), number, error))
                return True
            load.note(request, response, body, began)
            if response.will_close or not keep or enough.is_set():
                return True
    finally:
        connection.close()
    return True


def eventually(holds: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait until it holds, and say how long that took."""
    began = monotonic()
    while not holds():
        assert monotonic() < began + seconds, "it did not come to pass"
        Event().wait(0.02)
    return monotonic() - began
