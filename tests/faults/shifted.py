"""`gatehouse serve` by a clock that is ahead by as many seconds as a file says at the moment.

python shifted.py FILE serve
"""

import sys
import time
from pathlib import Path

from app import cli
from app.security import clock

AHEAD = Path(sys.argv.pop(1))


def shifted_time_ns() -> int:
    return time.time_ns() + int(AHEAD.read_text()) * 1_000_000_000


if __name__ == "__main__":
    clock.time_ns = shifted_time_ns  # type: ignore[attr-defined]
    cli.main()
