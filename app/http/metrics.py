"""Metrics for Prometheus: the measurements of each component, copied at a scrape.

Components keep plain numbers, so that counting costs next to nothing. With several workers, one
responds to the scrape; each of the others copies its numbers to a shared file once a second
(prometheus.github.io/client_python/multiprocess).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.domain.errors import Overloaded
from app.domain.measurements import Measurable, Measurement
from app.http.metric_files import FOLDER, unchanging
from app.runtime.background_tasks import Supervisor
from app.startup import replaced

# It imports an HTTP server and a client, which take 7 ms and 1 MB. The first scrape imports it.
with replaced("prometheus_client.exposition"):
    from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import Collector

EVERY_SECONDS = 1.0
# How long a scrape waits for a merge of files.
_TRIES, _PAUSE = 50, 0.01
_Key = tuple[str, tuple[tuple[str, str], ...]]


class Metrics:
    """The metrics of this process and of the other workers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._parts: list[Measurable] = []
        self._families: dict[str, Counter | Gauge] = {}
        self._series: dict[_Key, Counter | Gauge] = {}
        self._copied: dict[_Key, float] = {}

    def watch(self, *parts: object) -> None:
        """Add components, ignoring those without measurements."""
        self._parts += [part for part in parts if isinstance(part, Measurable)]

    async def exposition(self) -> bytes:
        """Return the metrics of this process, or of all workers, in the text format.

        Raises Overloaded if a merge of the files of ended workers takes too long.
        """
        self._copy()
        if not _are_shared():
            return await _written(self.registry)
        for _ in range(_TRIES):
            with unchanging(Path(os.environ[FOLDER])) as is_unchanging:
                if is_unchanging:
                    registry = CollectorRegistry()
                    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
                    return await _written(registry)
            await asyncio.sleep(_PAUSE)
        raise Overloaded

    @asynccontextmanager
    async def kept(self, background: Supervisor) -> AsyncIterator[None]:
        """Share the metrics of this process with the other workers within the block."""
        if not _are_shared():
            yield
            return
        copying = background.start("metrics", self._keep_copy, EVERY_SECONDS)
        try:
            yield
        finally:
            await copying.stop()
            self._copy()

    async def _keep_copy(self) -> None:
        self._copy()

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

    def _readings(self) -> Iterator[Measurement]:
        yield Measurement("workers", "Processes that serve.", 1)
        for part in self._parts:
            yield from part.measurements()

    def _new(self, reading: Measurement) -> Counter | Gauge:
        labels = dict(reading.labels)
        family = self._families.get(reading.name)
        if family is None:
            name, about, names = _full_name(reading), reading.description, list(labels)
            if reading.is_total:
                family = Counter(name, about, names, registry=self.registry)
            else:
                # The sum of living workers: work in progress ends with its worker.
                family = Gauge(
                    name, about, names, registry=self.registry, multiprocess_mode="livesum"
                )
            self._families[reading.name] = family
        return family.labels(**labels) if labels else family


async def _written(registry: CollectorRegistry) -> bytes:
    """Return the text of all series, written in a thread: 300 histograms take 50 ms."""
    from prometheus_client.exposition import generate_latest

    return await asyncio.to_thread(generate_latest, registry)


def expose(measurements: Iterable[Measurement]) -> bytes:
    """Return measurements in the text format, as they are: they are not those of one process."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.exposition import generate_latest

    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for found in measurements:
        family = families.get(found.name)
        if family is None:
            kind = CounterMetricFamily if found.is_total else GaugeMetricFamily
            names = [name for name, _ in found.labels]
            family = kind(_full_name(found), found.description, labels=names)
            families[found.name] = family
        family.add_metric([value for _, value in found.labels], found.value)
    registry = CollectorRegistry()
    registry.register(_Collected(families.values()))
    return generate_latest(registry)


class _Collected(Collector):
    """Metrics that are known already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _full_name(found: Measurement) -> str:
    return found.name if found.name.startswith("process_") else f"gatehouse_{found.name}"


def _are_shared() -> bool:
    return FOLDER in os.environ
