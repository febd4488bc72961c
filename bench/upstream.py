"""What a chat service that misbehaves costs, and whom.

`python -m bench upstream` starts one, and a gateway that asks it for guilds. It prints what a
caller sees of each thing that it does, and how long others wait for `GET /users/@self` meanwhile.
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

from app.wire import json
from bench.engines import Sqlite
from bench.misbehaving import GOOD, MOODS
from bench.processes import ROOT, BenchError, Service, free_port, python, service
from bench.seed import Dataset, password_hash, seeded

_ACCOUNTS = 500
_ASKING = 16
# Between two questions of each: more would measure how the clients take the processor away.
_PAUSE = 0.1
_NOBODY = "is not asked"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a caller saw: status, the error's slug, and milliseconds."""

    status: int
    slug: str | None
    ms: float


class Pair:
    """A gateway and the chat service that it asks."""

    def __init__(self, gateway: int, chat: int, tokens: Sequence[str]) -> None:
        """Their ports, and a token for each of many accounts."""
        self.gateway, self._chat, self._tokens = gateway, chat, tokens
        self._asked = count()

    def be(self, mood: str) -> None:
        """Have the service misbehave so, after an answer that makes good what was before."""
        self.tell(GOOD)
        latest = perf_counter() + 60
        while self.guilds().status != 200:
            if perf_counter() > latest:
                raise BenchError("The gateway does not ask again.")
        self.tell(mood)

    def tell(self, mood: str) -> None:
        """Have the service misbehave so."""
        _get(self._chat, f"/mood/{list(MOODS).index(mood)}")

    def guilds(self) -> Seen:
        """What somebody sees who was not asked for lately."""
        return _get(self.gateway, "/users/@self/guilds", self._next_token())

    def myself(self, seconds: float) -> list[float]:
        """The milliseconds of each `GET /users/@self`, one after the other."""
        headers, took = {"X-Access-Token": self._tokens[0]}, []
        until = perf_counter() + seconds
        with closing(HTTPConnection("127.0.0.1", self.gateway, timeout=60)) as connection:
            while (started := perf_counter()) < until:
                connection.request("GET", "/users/@self", headers=headers)
                response = connection.getresponse()
                response.read()
                took.append((perf_counter() - started) * 1e3)
                if response.status != 200:
                    raise BenchError(f"GET /users/@self answered with {response.status}")
        return took

    def _next_token(self) -> str:
        return self._tokens[1 + next(self._asked) % (len(self._tokens) - 1)]


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
    """The port of a chat service that misbehaves, a process of its own."""
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
    """Both, on a store of their own."""
    with TemporaryDirectory(prefix="gatehouse-upstream-") as folder, misbehaving() as chat:
        data = seeded(Dataset(Sqlite(), Path(folder), _ACCOUNTS), password_hash())
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
    """What a caller sees of each mood."""
    for mood in MOODS:
        both.be(mood)
        yield mood, both.guilds()


def waits(both: Pair, mood: str, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile of `GET /users/@self` while many ask for guilds, in ms."""
    over = Event()

    def ask() -> None:
        while not over.wait(_PAUSE):
            both.guilds()

    both.be(GOOD if mood == _NOBODY else mood)
    many = 0 if mood == _NOBODY else _ASKING
    with ThreadPoolExecutor(_ASKING) as threads:
        asking = [threads.submit(ask) for _ in range(many)]
        try:
            took = both.myself(seconds)
        finally:
            over.set()
    for one in asking:
        one.result()
    cuts = quantiles(took, n=100)
    return cuts[49], cuts[98]


def main(arguments: Sequence[str]) -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser("python -m bench upstream", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (5)")
    chosen = parser.parse_args(arguments)
    with pair() as both:
        print("| what the chat service does | what the caller sees | in |\n|---|---|---|")
        for mood, seen in failures(both):
            print(f"| {mood} | {seen.status} {seen.slug or ''} | {seen.ms:.0f} ms |", flush=True)
        print(f"\n`GET /users/@self` while {_ASKING} clients ask for guilds again and again:\n")
        print("| the chat service | median | 99th percentile |\n|---|---|---|")
        for mood in (_NOBODY, *MOODS):
            middle, high = waits(both, mood, chosen.seconds)
            print(f"| {mood} | {middle:.2f} ms | {high:.2f} ms |", flush=True)
