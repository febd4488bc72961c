"""A server goes by a clock that is ahead by as many seconds as a file says at the moment."""

import time
from pathlib import Path

from app.security import clock


def shift(ahead: Path) -> None:
    """Let this process go by that clock."""

    def shifted() -> int:
        return time.time_ns() + int(ahead.read_text()) * 1_000_000_000

    clock.time_ns = shifted  # type: ignore[attr-defined]
