"""The system's clock as the domain's `Clock`."""

from datetime import UTC, datetime
from time import time_ns


class SystemClock:
    """UTC, to the millisecond: what the store keeps."""

    def now(self) -> datetime:
        # A third of what replace() of a datetime costs: every request asks.
        return datetime.fromtimestamp(time_ns() // 1_000_000 / 1000, UTC)
