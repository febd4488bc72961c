"""Measurements that a component provides for monitoring."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.domain.rate_limits import REPORTED_LIMITS, Limit


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number: a gauge, or with `is_total` a counter since the process started.

    `description` explains the number. `/metrics` puts `gatehouse_` before `name`, except before
    `process_`. `labels` are pairs of a name and one of few values, never
    text that a client sent.
    """

    name: str
    description: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    is_total: bool = False


@runtime_checkable
class Measurable(Protocol):
    """A component that provides measurements."""

    def measurements(self) -> Iterator[Measurement]: ...


class InFlightCounter:
    """Count the `with` blocks in progress, or the calls of `begin` without `end`."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self) -> None:
        """Increment the count."""
        self.count += 1

    def end(self) -> None:
        """Decrement the count."""
        self.count -= 1

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()


def measure_transactions(running: int, waiting: int, refused: int) -> Iterator[Measurement]:
    """Yield the measurements of a store."""
    description = "Transactions that have a database connection, and those waiting for one."
    for state, count in (("running", running), ("waiting", waiting)):
        yield Measurement("store_transactions", description, count, (("state", state),))
    description = "Transactions that failed because the database was locked, full or unreachable."
    yield Measurement("store_refusals", description, refused, is_total=True)


def measure_faults(door: str, count: int) -> Measurement:
    """Return the count of internal errors, present from the start so that the first one shows."""
    description = "Requests and calls that failed with an internal error."
    return Measurement("faults", description, count, (("door", door),), is_total=True)


def measure_cache(name: str, hits: int, misses: int, entries: int) -> Iterator[Measurement]:
    """Yield the measurements of a cache."""
    labels = (("cache", name),)
    yield Measurement(
        "cache_hits", "Cache lookups that found an entry.", hits, labels, is_total=True
    )
    yield Measurement(
        "cache_misses", "Cache lookups that found no entry.", misses, labels, is_total=True
    )
    yield Measurement("cache_entries", "Entries in the cache.", entries, labels)


class RefusalCounter:
    """The number of calls over each rate limit."""

    def __init__(self) -> None:
        self._counts = {limit.name: 0 for limit in REPORTED_LIMITS}

    def add(self, limit: Limit, calls: int) -> None:
        """Add a number of refused calls."""
        if calls and limit.name in self._counts:
            self._counts[limit.name] += calls

    def measurements(self) -> Iterator[Measurement]:
        description = "Calls refused by a rate limit."
        for limit, count in self._counts.items():
            yield Measurement(
                "throttle_refusals", description, count, (("limit", limit),), is_total=True
            )
