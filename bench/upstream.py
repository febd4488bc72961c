"""Effects of a misbehaving chat service.

`python -m bench upstream` starts one, and a gateway that requests guilds from it. It prints the
response for each behaviour, and how long other clients wait for `GET /users/@self` meanwhile.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Event
from time import perf_counter

from app.http import json
from bench.engines import Sqlite
from bench.misbehaving import GOOD, MOODS
from bench.processes import ROOT, BenchError, Service, free_port, python, service
from bench.seed import Dataset, password_hash, seed

_ACCOUNTS = 500
_CLIENTS = 16
# Seconds between two requests of a client: more requests would measure how the clients use the CPU.
_PAUSE = 0.1
_UNUSED = "is not used"


@dataclass(frozen=True, slots=True)
class Seen:
    """A response: status, error slug, and milliseconds."""

    status: int
    slug: str | None
    ms: float


class Pair:
    """A gateway and its chat service."""

    def __init__(self, gateway: int, chat: int, tokens: Sequence[str]) -> None:
        """`gateway` and `chat` are ports, `tokens` those of many accounts."""
        self.gateway, self._chat, self._tokens = gateway, chat, tokens
        self._requests = count()

    def switch(self, mood: str) -> None:
        """Select a behaviour after the gateway has recovered from the previous one."""
        self.set_mood(GOOD)
        latest = perf_counter() + 60
        while self.guilds().status != 200:
            if perf_counter() > latest:
                raise BenchError("The gateway does not retry.")
        self.set_mood(mood)

    def set_mood(self, mood: str) -> None:
        """Select a behaviour."""
        _get(self._chat, f"/mood/{list(MOODS).index(mood)}")

    def guilds(self) -> Seen:
        """Request the guilds of an account that has not requested them for a while."""
        return _get(self.gateway, "/users/@self/guilds", self._next_token())

    def measure_self(self, seconds: float) -> list[float]:
        """Return the milliseconds of each of many sequential `GET /users/@self`."""
        headers, took = {"X-Access-Token": self._tokens[0]}, []
        until = perf_counter() + seconds
        with closing(HTTPConnection("127.0.0.1", self.gateway, timeout=60)) as connection:
            while (started := perf_counter()) < until:
                connection.request("GET", "/users/@self", headers=headers)
                response = connection.getresponse()
                response.read()
                took.append((perf_counter() - started) * 1e3)
                if response.status != 200:
                    raise BenchError(f"GET /users/@self returned {response.status}.")
        return took

    def _next_token(self) -> str:
        return self._tokens[1 + next(self._requests) % (len(self._tokens) - 1)]


def _get(port: int, path: str, token: str | None = None) -> Seen:
    headers = {} if token is None else {"X-Access-Token": token}
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        started = perf_counter()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        ms = (perf_counter() - started) * 1e3
    slug = json.parse(body).get("code") if response.status >= 400 else None
    return Seen(response.status, slug, ms)


@contextmanager
def misbehaving() -> Iterator[int]:
    """Run a misbehaving chat service in its own process, and return its port."""
    port = free_port()
    with (
        TemporaryDirectory(prefix="gatehouse-chat-") as folder,
        service(
            python("bench.misbehaving", str(port)),
            port,
            Path(folder) / "log",
            cwd=ROOT,
            env={},
            path="/",
        ),
    ):
        yield port


@contextmanager
def pair() -> Iterator[Pair]:
    """Run a gateway with a store of its own, and its chat service."""
    with TemporaryDirectory(prefix="gatehouse-upstream-") as folder, misbehaving() as chat:
        data = seed(Dataset(Sqlite(), Path(folder), _ACCOUNTS), password_hash())
        with _gateway(data, chat) as gateway:
            yield Pair(gateway.port, chat, data.tokens)


@contextmanager
def _gateway(data: Dataset, chat: int) -> Iterator[Service]:
    port = free_port()
    settings = {
        **data.settings,
        "port": str(port),
        "chat_url": f"http://127.0.0.1:{chat}",
        "chat_token": "of-the-bench",
    }
    with service(
        python("app", "serve"),
        port,
        data.folder / "log",
        cwd=data.folder,
        env={f"GATEHOUSE_{name.upper()}": value for name, value in settings.items()},
        path="/health/ready",
    ) as started:
        yield started


def failures(both: Pair) -> Iterator[tuple[str, Seen]]:
    """Yield the response to a client for each behaviour."""
    for mood in MOODS:
        both.switch(mood)
        yield mood, both.guilds()


def waits(both: Pair, mood: str, seconds: float) -> tuple[float, float]:
    """Return median and 99th percentile of `GET /users/@self` during requests for guilds, in ms."""
    over = Event()

    def ask() -> None:
        while not over.wait(_PAUSE):
            both.guilds()

    both.switch(GOOD if mood == _UNUSED else mood)
    clients = 0 if mood == _UNUSED else _CLIENTS
    with ThreadPoolExecutor(_CLIENTS) as threads:
        asking = [threads.submit(ask) for _ in range(clients)]
        try:
            took = both.measure_self(seconds)
        finally:
            over.set()
    for one in asking:
        one.result()
    cuts = quantiles(took, n=100)
    return cuts[49], cuts[98]


def main(arguments: Sequence[str]) -> None:
    """Measure all behaviours."""
    parser = argparse.ArgumentParser("python -m bench upstream", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="duration of a measurement (5)")
    chosen = parser.parse_args(arguments)
    with pair() as both:
        print("| chat service | response | time |\n|---|---|---|")
        for mood, seen in failures(both):
            print(f"| {mood} | {seen.status} {seen.slug or ''} | {seen.ms:.0f} ms |", flush=True)
        print(f"\n`GET /users/@self` while {_CLIENTS} clients request guilds continuously:\n")
        print("| chat service | median | 99th percentile |\n|---|---|---|")
        for mood in (_UNUSED, *MOODS):
            middle, high = waits(both, mood, chosen.seconds)
            print(f"| {mood} | {middle:.2f} ms | {high:.2f} ms |", flush=True)
