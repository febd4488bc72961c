"""`gatehouse` by clocks that are ahead by as many seconds as a file says at the moment: its
machine's and its database's. It looks at its signing keys all the time.

python turned.py FILE COMMAND...
"""

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from app import container
from app.cli.main import main
from app.runtime.boot_clock import boottime
from app.security import clock, signing_keys

AHEAD = Path(sys.argv.pop(1))


def ahead() -> int:
    return int(AHEAD.read_text())


class TurnedDatabaseClock(clock.DatabaseClock):
    def __init__(self, query: Callable[[], Awaitable[datetime]]) -> None:
        async def turned() -> datetime:
            return await query() + timedelta(seconds=ahead())

        super().__init__(turned)


if __name__ == "__main__":
    clock.time_ns = lambda: time.time_ns() + ahead() * 1_000_000_000  # type: ignore[attr-defined]
    clock.boottime = lambda: boottime() + ahead()  # type: ignore[attr-defined]
    container.DatabaseClock = TurnedDatabaseClock  # type: ignore[attr-defined]
    signing_keys.CHECK_INTERVAL = 0.05
    main()
