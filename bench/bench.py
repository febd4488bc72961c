"""A run: stores, servers, baselines and measurements that the parts share."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.engines import Engine
from bench.load import CONNECTIONS, Load, hammer
from bench.processes import (
    ROOT,
    Service,
    busy_seconds,
    cpu_seconds,
    free_port,
    pinned,
    python,
    service,
)
from bench.seed import Dataset, password_hash, seed
from bench.works import SignUps, Work

# The load comes from loopback and names a client address per request; otherwise the rate limits,
# which stay on, would count it as one client.
BEHIND_A_PROXY = {"trusted_proxies": "127.0.0.1"}
# Enough that writes in turn stay below the rate limit of each account.
_SESSIONS = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """Durations, rounds, sizes and cores of a run."""

    rounds: int
    seconds: int
    small: int
    usual: int
    large: int
    server_core: int
    load_core: int
    works: frozenset[str] = frozenset()
    """The works to measure, all if empty."""


@dataclass
class Use:
    """CPU time that was used during a block."""

    database: float = 0.0
    """Seconds of the database's own processes."""
    others: float = 0.0
    """Share of a core that programs used which are not part of the run."""


@dataclass
class Bench:
    """A run on one engine; its processes end with the context, its files are below `folder`."""

    plan: Plan
    folder: Path
    engine: Engine
    measured: list[dict[str, Any]] = field(default_factory=list)
    sign_ups: SignUps = field(default_factory=SignUps)

    def __post_init__(self) -> None:
        self._datasets: dict[int, Dataset] = {}
        self._numbers = count(1)
        self._running: list[Service] = []
        self._cleaning = ExitStack()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._cleaning.close()

    def say(self, line: str) -> None:
        """Print progress."""
        print(line, file=sys.stderr, flush=True)

    def record(self, part: str, work: str, **values: object) -> None:
        """Record raw measurements."""
        self.measured.append({"part": part, "engine": self.engine.name, "work": work, **values})

    @property
    def rounds(self) -> range:
        """The numbers of the rounds."""
        return range(self.plan.rounds)

    @cached_property
    def hashed(self) -> str:
        """The hash of the common password."""
        return password_hash()

    def _dataset(self, size: int) -> Dataset:
        """Return a store of so many accounts, created once per run."""
        found = self._datasets.get(size)
        if found is None:
            started = perf_counter()
            empty = Dataset(self.engine, self.folder / f"{self.engine.name.lower()}-{size}", size)
            empty.folder.mkdir()
            self._cleaning.callback(self.engine.drop, empty.folder)
            found = self._datasets[size] = seed(empty, self.hashed, _SESSIONS)
            self.say(f"  {size:,} accounts stored in {perf_counter() - started:.0f} s")
        return found

    @contextmanager
    def dataset(self, size: int | None = None) -> Iterator[Dataset]:
        """Provide a copy of the store of so many accounts, which may be modified."""
        source = self._dataset(size or self.plan.usual)
        folder = self.folder / f"{source.folder.name}-{next(self._numbers)}"
        with ExitStack() as cleaning:
            cleaning.callback(self.engine.drop, folder)
            self.engine.copy(source.folder, folder)
            # Pending writes to disk would disturb the measurement.
            os.sync()
            yield replace(source, folder=folder)

    @contextmanager
    def gatehouse(
        self, data: Dataset, settings: Mapping[str, str] | None = None, *, pin: bool = True
    ) -> Iterator[Service]:
        """Run Gatehouse on a store, with its default settings except for `settings`."""
        port = free_port()
        values = {**data.settings, **(settings or {}), "port": str(port)}
        command = pinned(self.plan.server_core if pin else None, *python("app", "serve"))
        with service(
            command,
            port,
            data.folder / "log",
            cwd=data.folder,
            env={f"GATEHOUSE_{name.upper()}": value for name, value in values.items()},
            path="/health/ready",
        ) as started:
            yield from self._counted(started)

    @contextmanager
    def yardstick(self, name: str) -> Iterator[Service]:
        """Run an application of `yardsticks/` under uvicorn on the core of the server."""
        port = free_port()
        options = f"--loop uvloop --http httptools --lifespan off --no-access-log --port {port}"
        serve = python("uvicorn", f"bench.yardsticks.{name}:app", *options.split())
        with service(
            pinned(self.plan.server_core, *serve),
            port,
            self.folder / f"{name}.log",
            cwd=ROOT,
            env={},
            path="/",
        ) as started:
            yield from self._counted(started)

    def _counted(self, started: Service) -> Iterator[Service]:
        self._running.append(started)
        try:
            yield started
        finally:
            self._running.remove(started)

    @contextmanager
    def watch(self) -> Iterator[Use]:
        """Measure what the database and other programs use during the block."""
        use = Use()
        database, own = self._database_seconds(), self._own_seconds()
        busy, started = busy_seconds(), perf_counter()
        yield use
        busy, elapsed = busy_seconds() - busy, perf_counter() - started
        own = self._own_seconds() - own
        ended = self._database_seconds()
        use.database = sum(ended[pid] - database.get(pid, 0.0) for pid in ended)
        use.others = max(0.0, busy - own - use.database) / elapsed

    def _database_seconds(self) -> dict[int, float]:
        return {pid: cpu_seconds(pid) for pid in self.engine.processes(self.folder)}

    def _own_seconds(self) -> float:
        """Return the CPU time of this process and of all that it started."""
        return sum(os.times()[:4]) + sum(server.cpu_seconds() for server in self._running)

    def hammer(
        self,
        target: Service,
        work: Work,
        seconds: int | None = None,
        *,
        connections: int = CONNECTIONS,
        pause_ms: int = 0,
        alone: bool = True,
    ) -> Load:
        """Load the server from the other core; if `alone`, wait until it is idle again."""
        with self.watch() as use:
            load = hammer(
                target,
                work,
                core=self.plan.load_core,
                seconds=seconds or self.plan.seconds,
                connections=connections,
                pause_ms=pause_ms,
            )
        if alone:
            target.settle()
        return replace(load, database=use.database / load.count * 1e6, others=use.others)
