"""Exponential back-off with jitter."""

from datetime import timedelta
from typing import TypeVar

T = TypeVar("T", float, timedelta)

# Beyond so many doublings the longest pause is reached anyway.
_DOUBLINGS_MAX = 30


def backoff(attempts: int, shortest: T, longest: T, fraction: float) -> T:
    """Return how long to wait after so many attempts in a row.

    Pauses double from the shortest to the longest. With a random `fraction`, from 0 for half of a
    pause to 1 for all of it, not all who failed together retry together.
    """
    doublings = min(max(attempts, 1) - 1, _DOUBLINGS_MAX)
    due: T = min(shortest * 2**doublings, longest)
    return due * (0.5 + fraction / 2)
