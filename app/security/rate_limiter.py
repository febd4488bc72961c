"""Rate limits counted in the memory of this process."""

from app.domain.ports.services import Clock
from app.domain.rate_limits import Limit
from app.runtime.bounded_map import BoundedMap

# About 200 bytes each.
ADDRESSES_MAX = 100_000
_Counts = tuple[int, int, int]


class MemoryRateLimiter:
    """A sliding window counter or a token bucket for each limit and address.

    The window is that of `limits`, whose memory storage iterates over all
    entries at every call. With several processes, each allows its share.
    """

    def __init__(self, clock: Clock, processes: int = 1, max_entries: int = ADDRESSES_MAX) -> None:
        self._clock = clock
        self._processes = processes
        # The number of the window, and the calls in the previous and the current one. A client with
        # so many addresses that one is dropped has as many limits anyway.
        self._counts: BoundedMap[tuple[str, str], _Counts] = BoundedMap(max_entries)
        # The time at which a bucket is full again.
        self._full_at: BoundedMap[tuple[str, str], float] = BoundedMap(max_entries)

    async def count(self, limit: Limit, address: str) -> float:
        _, wait = await self.count_many(limit, address, 1)
        return wait

    async def count_many(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        if limit.refills:
            fit, wait, full_at = self._take(limit, address, calls)
            self._full_at.put((limit.name, address), full_at)
            return fit, wait
        (window, earlier, current), left = self._look(limit, address)
        fit, wait = calls, 0.0
        # Waits grow with each call: if the last one fits, so do those before it.
        while fit and (longer := limit.wait(earlier, current + fit - 1, left, self._processes)):
            fit, wait = fit - 1, longer
        if fit:
            counts = window, earlier, current + fit
            self._counts.put((limit.name, address), counts)
        return fit, wait

    async def refund(self, limit: Limit, address: str) -> None:
        key = limit.name, address
        if limit.refills:
            self._full_at.put(key, self._take(limit, address, -1)[2])
        elif key in self._counts:
            (window, earlier, current), _ = self._look(limit, address)
            # The call may have been counted in the window before.
            earlier = earlier if current else max(0, earlier - 1)
            self._counts.put(key, (window, earlier, max(0, current - 1)))

    def peek(self, limit: Limit, address: str) -> float:
        if limit.refills:
            return self._take(limit, address, 1)[1]
        (_, earlier, current), left = self._look(limit, address)
        return limit.wait(earlier, current, left, self._processes)

    def _look(self, limit: Limit, address: str) -> tuple[_Counts, float]:
        """Return the current counts, and the seconds left of the window."""
        passed, seconds = self._clock.now().timestamp(), limit.seconds
        window = int(passed // seconds)
        left = seconds - passed % seconds
        last, earlier, current = self._counts.get((limit.name, address)) or (window, 0, 0)
        if last == window:
            return (window, earlier, current), left
        return (window, current if last == window - 1 else 0, 0), left

    def _take(self, limit: Limit, address: str, calls: int) -> tuple[int, float, float]:
        """Return `Limit.take` for the bucket, without storing it."""
        full_at = self._full_at.get((limit.name, address)) or 0.0
        return limit.take(full_at, self._clock.now().timestamp(), calls, self._processes)
