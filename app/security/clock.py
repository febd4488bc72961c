"""`Clock` by this machine, and by the database."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import time_ns

from app.runtime.boot_clock import boottime

_LOG = logging.getLogger("gatehouse.clock")

# Seconds between two measurements.
MEASURED_EVERY = 10.0
# A measurement that took longer does not replace an earlier one.
ROUND_TRIP_MAX = 1.0
# Seconds by which this machine's clock may differ before that is logged, and before the process is
# not ready: tokens, logs and certificates depend on it elsewhere.
LOG_DIFFERENCE_FROM = 2.0
DIFFERENCE_MAX = 60.0


class SystemClock:
    """The machine's time in UTC, in milliseconds as the store keeps it."""

    def now(self) -> datetime:
        # A third of the cost of datetime.replace(): every request calls this.
        return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)


class DatabaseClock:
    """The clock of the database, shared by all machines.

    Locks, holds, attempts and sessions have the same time everywhere.
    Between two measurements the time since the machine's boot is added, so the setting of the
    machine's clock makes no difference.
    """

    def __init__(self, query: Callable[[], Awaitable[datetime]]) -> None:
        """`query` returns the database's time. Raises Overloaded."""
        self._query = query
        # The database's time when this machine booted.
        self._started_at: float | None = None
        # Its maximum error in seconds.
        self._error_max = 0.0
        self._is_logged = False

    def now(self) -> datetime:
        assert self._started_at is not None, "the clock is measured before it is used"
        return datetime.fromtimestamp(int((self._started_at + boottime()) * 1000) / 1000, UTC)

    @property
    def ahead(self) -> float:
        """The seconds by which this machine's clock is ahead of the database's."""
        assert self._started_at is not None
        return time_ns() / 1e9 - self._started_at - boottime()

    async def measure(self) -> None:
        """Measure the database's clock. Raises Overloaded.

        A result is exact to half its round trip; of two that agree, the more exact one is kept.
        """
        asked = boottime()
        database_time = await self._query()
        answered = boottime()
        started_at = database_time.timestamp() - (asked + answered) / 2
        error_max = (answered - asked) / 2
        if self._started_at is not None:
            if answered - asked > ROUND_TRIP_MAX:
                return
            if abs(started_at - self._started_at) <= error_max and error_max > self._error_max:
                return
        self._started_at, self._error_max = started_at, error_max

    async def watch(self) -> str | None:
        """Measure again; return an error if this machine's clock differs too much.

        Raises Overloaded.
        """
        await self.measure()
        ahead = self.ahead
        direction = "ahead of" if ahead > 0 else "behind"
        difference = f"{abs(ahead):.0f} s {direction} the database clock"
        if abs(ahead) > DIFFERENCE_MAX:
            return f"The system clock is {difference}; synchronize both (NTP)."
        is_apart = abs(ahead) > LOG_DIFFERENCE_FROM
        if is_apart and not self._is_logged:
            _LOG.warning("The system clock is %s.", difference)
        self._is_logged = is_apart
        return None
