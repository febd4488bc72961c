"""The system's clock as the domain's `Clock`."""

from datetime import UTC, datetime


class SystemClock:
    """UTC, to the millisecond: what the store keeps."""

    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
