"""Deferred writes: writes that may be lost are batched, so that no request waits for them."""

import logging
from collections.abc import Awaitable, Callable, Iterator

from app.domain.errors import Overloaded
from app.domain.measurements import Measurement
from app.domain.ports.store import Transaction
from app.runtime.background_tasks import BackgroundTask, Supervisor
from app.runtime.bounded_map import BoundedMap

Work = Callable[[Transaction], None]

SECONDS = 1.0
# Pending writes at most; beyond that the oldest are dropped.
PENDING_MAX = 10_000
# Writes in one transaction.
BATCH_MAX = 500
# Rounds in a row without any success, about a minute, before writes are given up.
ROUNDS_MAX = 20
# Writes that a round tries one by one.
SINGLY_MAX = 20

_LOG = logging.getLogger("gatehouse.store")


class DeferredWrites:
    """Writes of a store that wait for the next second."""

    def __init__(self, write: Callable[[Work], Awaitable[None]], background: Supervisor) -> None:
        self._write = write
        self._background = background
        self._pending: BoundedMap[str, Work] = BoundedMap(PENDING_MAX)
        self._task: BackgroundTask | None = None
        self._failed_rounds = 0
        self._lost = 0

    def measurements(self) -> Iterator[Measurement]:
        """Count the writes that were given up."""
        about = "Deferred writes that were given up."
        yield Measurement("deferred_writes_lost", about, self._lost, is_total=True)

    def add(self, about: str, work: Work) -> None:
        """Write soon; a later write with the same `about` replaces this one."""
        self._lost += len(self._pending.put(about, work))
        if self._task is None:
            self._task = self._background.start(
                "deferred-writes", self._flush, SECONDS, at_once=False
            )

    async def close(self) -> None:
        """Write everything pending, and stop."""
        if self._task is not None:
            await self._task.stop()
            self._task = None
            await self._flush()

    async def _flush(self) -> None:
        """Write everything pending; while the store is overloaded, keep it pending.

        Raises the first error if nothing could be written.
        """
        is_written = True
        while self._pending and is_written:
            is_written = await self._write_some()

    async def _write_some(self) -> bool:
        """Write the oldest batch in one transaction, small enough not to block the store.

        Return whether the whole batch is written or given up.
        """
        batch = self._pending.pop_oldest(BATCH_MAX)

        def write_all(tx: Transaction) -> None:
            for work in batch.values():
                work(tx)

        try:
            await self._write(write_all)
        except Overloaded:
            self._put_back(batch)
            return False
        except Exception:
            return await self._write_singly(batch)
        self._failed_rounds = 0
        return True

    async def _write_singly(self, batch: dict[str, Work]) -> bool:
        """Write one by one, and give up what fails while other writes succeed: it would fail again.

        The rest stays pending. If nothing can be written, try again in the next
        rounds, but not forever: a server that is not ready gets no requests, so these would stay
        the only writes. Return False: this round is over.
        """
        items = list(batch.items())
        self._put_back(dict(items[SINGLY_MAX:]))
        failed: dict[str, Exception] = {}
        written = 0
        for about, work in items[:SINGLY_MAX]:
            try:
                await self._write(work)
                written += 1
            except Overloaded:
                self._put_back({about: work})
            except Exception as error:
                failed[about] = error
        if not failed:
            return False
        first = next(iter(failed.values()))
        if written or self._failed_rounds == ROUNDS_MAX:
            self._failed_rounds = 0
            self._lost += len(failed)
            _LOG.error("Deferred writes are given up: %d.", len(failed), exc_info=first)
            return False
        self._failed_rounds += 1
        self._put_back({about: batch[about] for about in failed})
        raise first

    def _put_back(self, works: dict[str, Work]) -> None:
        for about, work in works.items():
            if about not in self._pending:
                self._lost += len(self._pending.put(about, work))
