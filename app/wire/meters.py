"""Metrics for Prometheus: what each part counts of itself is copied when it is asked for.

Parts keep plain numbers, so that counting costs next to nothing. Of several workers only one
answers the scrape; each of the others copies its numbers once a second to where all are added up
(prometheus.github.io/client_python/multiprocess).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.domain.readings import Reading, Watched

EVERY_SECONDS = 1.0
_Key = tuple[str, tuple[tuple[str, str], ...]]


class Meters:
    """The metrics of this process, and of its fellow workers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._parts: list[Watched] = []
        self._families: dict[str, Counter | Gauge] = {}
        self._series: dict[_Key, Counter | Gauge] = {}
        self._copied: dict[_Key, float] = {}

    def watch(self, *parts: object) -> None:
        """Copy from these, too, as far as they count anything."""
        self._parts += [part for part in parts if isinstance(part, Watched)]

    def exposition(self) -> bytes:
        """What this process has counted; of several workers, what all of them have."""
        self._copy()
        registry = self.registry
        if _are_shared():
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Meanwhile, the other workers know what this one counts."""
        if not _are_shared():
            yield
            return
        copying = asyncio.create_task(self._keep_copying())
        try:
            yield
        finally:
            copying.cancel()
            with suppress(asyncio.CancelledError):
                await copying
            self._copy()

    async def _keep_copying(self) -> None:
        while True:
            self._copy()
            await asyncio.sleep(EVERY_SECONDS)

    def _copy(self) -> None:
        for reading in self._readings():
            key = (reading.name, reading.labels)
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = self._new(reading)
            if isinstance(series, Gauge):
                series.set(reading.value)
            elif grown := reading.value - self._copied.get(key, 0.0):
                series.inc(grown)
                self._copied[key] = reading.value

    def _readings(self) -> Iterator[Reading]:
        yield Reading("workers", "Processes that serve.", 1)
        for part in self._parts:
            yield from part.readings()

    def _new(self, reading: Reading) -> Counter | Gauge:
        labels = dict(reading.labels)
        family = self._families.get(reading.name)
        if family is None:
            name, about, names = f"gatehouse_{reading.name}", reading.about, list(labels)
            if reading.is_total:
                family = Counter(name, about, names, registry=self.registry)
            else:
                # Of those that live: what a worker that has ended had under way is not any more.
                family = Gauge(
                    name, about, names, registry=self.registry, multiprocess_mode="livesum"
                )
            self._families[reading.name] = family
        return family.labels(**labels) if labels else family


def _are_shared() -> bool:
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ
