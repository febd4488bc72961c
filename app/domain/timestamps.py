"""Timestamps in APIs and store: RFC 3339, UTC, in milliseconds."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from app.domain.text import ASCII, Pattern

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = Pattern(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", 35, ASCII
)


def to_milliseconds(time: datetime) -> int:
    """Return the milliseconds since 1970."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: int) -> datetime:
    """Return the time that is so many milliseconds after 1970."""
    return EPOCH + timedelta(milliseconds=value)


def format_time(time: datetime) -> str:
    """Format a UTC time as RFC 3339, as both APIs send it."""
    return time.isoformat().replace("+00:00", "Z")


def parse_time(raw: str) -> datetime | None:
    """Parse an RFC 3339 text to milliseconds, or return None."""
    if _RFC_3339.fullmatch(raw):
        with suppress(ValueError, OverflowError):
            time = datetime.fromisoformat(raw.upper()).astimezone(UTC)
            return time.replace(microsecond=time.microsecond // 1000 * 1000)
    return None
