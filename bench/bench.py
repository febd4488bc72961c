"""What the parts of a run share: stores, servers, yardsticks, and the record of the measured."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.engines import Engine
from bench.load import Load, hammer
from bench.processes import ROOT, Service, free_port, pinned, python, service
from bench.seed import Dataset, password_hash, seeded
from bench.works import SignUps, Work

# Only these are believed when they say whom a request comes from: the load is on loopback, and
# a throttle by address, which stays on, would take it for one client.
BEHIND_A_PROXY = {"trusted_proxies": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, of how many accounts, and on which cores."""

    rounds: int
    seconds: int
    small: int
    usual: int
    large: int
    server_core: int
    load_core: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of accounts that are compared."""
        return self.small, self.usual, self.large


@dataclass
class Bench:
    """A run: everything it starts ends with what it was entered by, everything it stores is below
    `folder`."""

    plan: Plan
    folder: Path
    measured: list[dict[str, Any]] = field(default_factory=list)
    sign_ups: SignUps = field(default_factory=SignUps)

    def __post_init__(self) -> None:
        self._datasets: dict[tuple[str, int], Dataset] = {}
        self._numbers = count(1)
        self._cleaning = ExitStack()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._cleaning.close()

    def say(self, line: str) -> None:
        """Tell whoever waits how far it is."""
        print(line, file=sys.stderr, flush=True)

    def record(self, part: str, engine: Engine, work: str, **values: object) -> None:
        """Keep what was measured, as it was."""
        self.measured.append({"part": part, "engine": engine.name, "work": work, **values})

    @property
    def rounds(self) -> range:
        """The rounds, to go through."""
        return range(self.plan.rounds)

    @cached_property
    def hashed(self) -> str:
        """The hash of everybody's password."""
        return password_hash()

    def _dataset(self, engine: Engine, size: int) -> Dataset:
        """A store of so many accounts, made once in a run."""
        found = self._datasets.get((engine.name, size))
        if found is None:
            started = perf_counter()
            empty = Dataset(engine, self.folder / f"{engine.name.lower()}-{size}", size)
            empty.folder.mkdir()
            self._cleaning.callback(engine.drop, empty.folder)
            found = self._datasets[engine.name, size] = seeded(empty, self.hashed)
            self.say(f"  {size:,} accounts stored in {perf_counter() - started:.0f} s")
        return found

    @contextmanager
    def dataset(self, engine: Engine, size: int) -> Iterator[Dataset]:
        """A copy of the store of so many accounts, to do with as one likes."""
        source = self._dataset(engine, size)
        folder = self.folder / f"{source.folder.name}-{next(self._numbers)}"
        with ExitStack() as cleaning:
            cleaning.callback(engine.drop, folder)
            engine.copy(source.folder, folder)
            # What is left to be written to disk is not to be written while something is measured.
            os.sync()
            yield Dataset(engine, folder, size, source.tokens)

    @contextmanager
    def gatehouse(
        self, data: Dataset, settings: Mapping[str, str] | None = None, *, pin: bool = True
    ) -> Iterator[Service]:
        """Gatehouse on this store, with its default settings but for these."""
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
            yield started

    @contextmanager
    def yardstick(self, name: str) -> Iterator[Service]:
        """An application of `yardsticks/` under uvicorn, on the server's core."""
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
            yield started

    def hammer(
        self,
        target: Service,
        work: Work,
        seconds: int | None = None,
        *,
        pause_ms: int = 0,
        alone: bool = True,
    ) -> Load:
        """Load the server from the other core; where `alone`, until it has done all of it."""
        load = hammer(
            target,
            work,
            core=self.plan.load_core,
            seconds=seconds or self.plan.seconds,
            pause_ms=pause_ms,
        )
        if alone:
            target.settle()
        return load
