"""What may be lost: gathered, and written together, so that no request waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app.domain.errors import Overloaded
from app.domain.ports import Transaction

Work = Callable[[Transaction], None]

SECONDS = 1.0


class Notes:
    """Works of a store that wait for the next second."""

    def __init__(self, write: Callable[[Work], Awaitable[None]]) -> None:
        self._write = write
        self._pending: dict[str, Work] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def add(self, about: str, work: Work) -> None:
        """Write it soon; a later one about the same takes its place."""
        self._pending[about] = work
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self.flush())

    async def flush(self) -> None:
        """Write what waits; where the store has no time for it, it is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        works, self._pending = list(self._pending.values()), {}

        def write_all(tx: Transaction) -> None:
            for work in works:
                work(tx)

        if works:
            with suppress(Overloaded):
                await self._write(write_all)
