"""Calls counted in this process, by address."""

from collections.abc import Iterator

from app.domain.ports import Clock
from app.domain.readings import Reading, Refused
from app.domain.throttling import Limit

# About 200 bytes each.
ADDRESSES_MAX = 100_000
_Counts = tuple[int, int, int]


class MemoryThrottle:
    """A window that slides over two that stand still, for each limit and address.

    The same as the sliding window counter of `limits`, whose storage in memory goes through all
    that it has at every call. Where several processes serve, each allows its part.
    """

    seldom_waits = True

    def __init__(self, clock: Clock, processes: int = 1, most: int = ADDRESSES_MAX) -> None:
        self._clock = clock
        self._processes = processes
        self._most = most
        # The number of the window, and the calls in the one before and in it.
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._refused = Refused()

    def readings(self) -> Iterator[Reading]:
        """How often it refused."""
        return self._refused.readings()

    async def count(self, limit: Limit, address: str) -> float:
        _, wait = await self.count_each(limit, address, 1)
        return wait

    async def count_each(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        (window, earlier, current), left = self._look(limit, address)
        fit, wait = calls, 0.0
        # The later, the longer its wait: where the last one fits in, so do those before it.
        while fit and (longer := limit.wait(earlier, current + fit - 1, left, self._processes)):
            fit, wait = fit - 1, longer
        if fit:
            self._keep((limit.name, address), (window, earlier, current + fit))
        self._refused.note(limit, calls - fit)
        return fit, wait

    def peek(self, limit: Limit, address: str) -> float:
        if (limit.name, address) not in self._counts:
            return 0.0
        (_, earlier, current), left = self._look(limit, address)
        return limit.wait(earlier, current, left, self._processes)

    def _look(self, limit: Limit, address: str) -> tuple[_Counts, float]:
        """What is counted by now, and the seconds that are left of the window."""
        passed, seconds = self._clock.now().timestamp(), limit.seconds
        window = int(passed // seconds)
        left = seconds - passed % seconds
        last, earlier, current = self._counts.get((limit.name, address), (window, 0, 0))
        if last == window:
            return (window, earlier, current), left
        return (window, current if last == window - 1 else 0, 0), left

    def _keep(self, key: tuple[str, str], counts: _Counts) -> None:
        if key not in self._counts and len(self._counts) >= self._most:
            # Whoever has that many addresses has that many allowances anyway.
            del self._counts[next(iter(self._counts))]
        self._counts[key] = counts
