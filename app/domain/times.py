"""Times as they are sent: RFC 3339, kept in UTC and to the millisecond, as the store keeps them."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def milliseconds(time: datetime) -> int:
    """The milliseconds since 1970."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def time_text(time: datetime) -> str:
    """RFC 3339 of a time in UTC, as the doors write it."""
    return time.isoformat().replace("+00:00", "Z")


def parse_time(raw: str) -> datetime | None:
    """The moment an RFC 3339 text names, or None for anything else."""
    if _RFC_3339.fullmatch(raw):
        with suppress(ValueError, OverflowError):
            time = datetime.fromisoformat(raw.upper()).astimezone(UTC)
            return time.replace(microsecond=time.microsecond // 1000 * 1000)
    return None
