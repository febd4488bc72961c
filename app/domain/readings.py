"""What a part of the house counts of itself, for whoever watches it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.domain.throttling import REFUSING, Limit


@dataclass(frozen=True, slots=True)
class Reading:
    """One number: of this moment, or with `is_total` what was counted since the process began.

    `about` says what is counted; `labels` are pairs of a name and one of few values, never a text
    that somebody sent.
    """

    name: str
    about: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    is_total: bool = False


@runtime_checkable
class Watched(Protocol):
    """A part that counts."""

    def readings(self) -> Iterator[Reading]: ...


class UnderWay:
    """Counts those that are in a `with` of it."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


def transactions(running: int, waiting: int, refused: int) -> Iterator[Reading]:
    """What a store says of itself."""
    about = "Transactions that have a connection to the store, and those that wait for one."
    for state, count in (("running", running), ("waiting", waiting)):
        yield Reading("store_transactions", about, count, (("state", state),))
    about = "Transactions that the store refused: locked, full or out of reach."
    yield Reading("store_refusals", about, refused, is_total=True)


def faults(door: str, count: int) -> Reading:
    """What went wrong by a mistake of ours; there from the first, so that the first one shows."""
    about = "Requests and calls that failed by a fault of Gatehouse itself."
    return Reading("faults", about, count, (("door", door),), is_total=True)


def cache(name: str, hits: int, misses: int, entries: int) -> Iterator[Reading]:
    """What a cache says of itself."""
    labels = (("cache", name),)
    yield Reading("cache_hits", "What was found at hand.", hits, labels, is_total=True)
    yield Reading("cache_misses", "What had to be asked for.", misses, labels, is_total=True)
    yield Reading("cache_entries", "What is at hand.", entries, labels)


class Refused:
    """How often a throttle refused, by limit."""

    def __init__(self) -> None:
        self._counts = {limit.name: 0 for limit in REFUSING}

    def note(self, limit: Limit, calls: int) -> None:
        """Count so many."""
        if calls and limit.name in self._counts:
            self._counts[limit.name] += calls

    def readings(self) -> Iterator[Reading]:
        about = "Calls of an address that were one too many."
        for limit, count in self._counts.items():
            yield Reading("throttle_refusals", about, count, (("limit", limit),), is_total=True)
