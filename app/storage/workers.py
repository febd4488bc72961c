"""Snowflake worker numbers leased from the store, so that no two live processes share one."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, delete, func, select, update

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.domain.times import EPOCH
from app.storage.inserts import insert_or_replace
from app.storage.postgres import PostgresStore
from app.storage.tables import WorkerRow, metadata
from app.storage.unit_of_work import SqlTransaction

_WORKERS = metadata.tables[WorkerRow.__tablename__]
_LOG = logging.getLogger("gatehouse.store")

LEASE = timedelta(seconds=60)
# A lease is over for its holder a little earlier than for everybody else.
MARGIN = timedelta(seconds=10)
RENEWED_EVERY = 15.0
# After a renewal that failed.
RETRIED_EVERY = 1.0
# Seconds to give the number back, which ends by itself otherwise.
FAREWELL = 1.0


class WorkerLease:
    """One process's number, renewed for as long as it lives.

    The server's clock decides when a lease ends; the holder goes by its own monotonic one, from
    before it asked, so that it stops first, however its clock is set (Gray and Cheriton, "Leases",
    1989). Where the server's own clock jumps ahead, all leases seem to have ended at once; so a
    number whose holder did not give it back is given anew only where no other is left.
    """

    def __init__(self, store: PostgresStore, holder: str, numbers: int) -> None:
        self._store = store
        self._holder = holder
        self._numbers = numbers
        self._number: int | None = None
        self._valid_until = 0.0
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "WorkerLease":
        await self._renew()
        self._renewing = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        with suppress(Overloaded, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._store.write(self._give_back)

    def number(self) -> int:
        """The number. Raises Overloaded where the lease could not be renewed in time."""
        if self._number is None or monotonic() >= self._valid_until:
            raise Overloaded
        return self._number

    async def _keep(self) -> None:
        pause = RENEWED_EVERY
        while True:
            await asyncio.sleep(pause)
            try:
                await self._renew()
            except Overloaded:
                _LOG.warning("The lease of the worker number could not be renewed.")
                pause = RETRIED_EVERY
            else:
                pause = RENEWED_EVERY

    async def _renew(self) -> None:
        asked = monotonic()
        self._number = await self._store.write(self._take)
        self._valid_until = asked + (LEASE - MARGIN).total_seconds()

    def _take(self, tx: Transaction) -> int:
        """The number that is ours, else the lowest that is free. Raises Overloaded."""
        assert isinstance(tx, SqlTransaction)
        connection = tx.connection
        now = _server_time(connection)
        kept = connection.execute(
            update(_WORKERS)
            .where(_WORKERS.c.holder == self._holder, _WORKERS.c.number == self._number)
            .values(ends_at=now + LEASE)
        )
        if kept.rowcount:
            assert self._number is not None
            return self._number
        number = self._free(connection, now)
        row = {"number": number, "holder": self._holder, "ends_at": now + LEASE}
        insert_or_replace(connection, _WORKERS, row)
        return number

    def _free(self, connection: Connection, now: datetime) -> int:
        """The lowest number that nobody has, else that of the lease that ended first.

        Raises Overloaded where none has ended.
        """
        leases = connection.execute(select(_WORKERS.c.number, _WORKERS.c.ends_at))
        ends = {lease.number: lease.ends_at for lease in leases}
        number = min(range(self._numbers), key=lambda number: ends.get(number, EPOCH))
        if ends.get(number, EPOCH) > now:
            raise Overloaded
        return number

    def _give_back(self, tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(delete(_WORKERS).where(_WORKERS.c.holder == self._holder))


async def are_leased(store: PostgresStore) -> bool:
    """Whether any process has a number: one that serves, or ended without giving it back."""

    def ask(tx: Transaction) -> bool:
        assert isinstance(tx, SqlTransaction)
        ends = select(_WORKERS.c.ends_at).where(_WORKERS.c.ends_at > _server_time(tx.connection))
        return tx.connection.execute(ends.limit(1)).first() is not None

    return await store.scan(ask)


def _server_time(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)
