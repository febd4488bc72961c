"""Leases of snowflake worker numbers, so that no two live processes share one."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.domain.timestamps import EPOCH
from app.runtime.background_tasks import BackgroundTask, Supervisor
from app.runtime.boot_clock import boottime
from app.storage import leases
from app.storage.inserts import insert_or_replace
from app.storage.postgresql.store import PostgresStore
from app.storage.tables import WorkerRow, metadata
from app.storage.unit_of_work import SqlTransaction

_WORKERS = metadata.tables[WorkerRow.__tablename__]

LEASE = timedelta(seconds=60)
# A lease ends for its holder a little earlier than for other processes.
MARGIN = timedelta(seconds=10)
RENEWED_EVERY = 15.0
# How often the task checks if a renewal is due.
LOOKED_EVERY = 1.0
IN_USE = (
    "A gateway is running on {}, or was killed within the last minute. Stop it, and wait for a "
    "minute."
)
# Seconds to release the number, whose lease expires otherwise.
FAREWELL = 1.0


class WorkerLease:
    """The number of one process, renewed as long as it lives.

    The server's clock decides when a lease ends; the holder uses a monotonic clock, from
    before the renewal, so that it always stops first (Gray and Cheriton, "Leases",
    1989). If the server's clock jumps ahead, all leases seem to have ended at once; so a
    number that was not released is taken only if no other is left.
    """

    def __init__(
        self, store: PostgresStore, holder: str, numbers: int, background: Supervisor
    ) -> None:
        self._store = store
        self._holder = holder
        self._numbers = numbers
        self._number: int | None = None
        self._renew_at = self._valid_until = 0.0
        self._background = background
        self._renewing: BackgroundTask | None = None
        self._is_closing = False

    async def __aenter__(self) -> "WorkerLease":
        await self._renew()
        self._renewing = self._background.start(
            "worker-id-lease", self._renew_in_time, LOOKED_EVERY, at_once=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            await self._renewing.stop()
        # A renewal that was left in progress must not take the number again.
        self._is_closing = True
        with suppress(Overloaded, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._store.write(self._give_back)

    def number(self) -> int:
        """Return the number. Raises Overloaded if the lease was not renewed in time."""
        if self._number is None or boottime() >= self._valid_until:
            raise Overloaded
        return self._number

    async def _renew_in_time(self) -> str | None:
        """Renew when due. Raises Overloaded while the lease lasts, and returns the reason then."""
        if boottime() < self._renew_at:
            return None
        try:
            await self._renew()
        except Overloaded:
            if boottime() >= self._valid_until:
                return "the lease has ended, and the store refuses another"
            raise
        return None

    async def _renew(self) -> None:
        asked = boottime()
        self._number = await self._store.write(self._take)
        self._renew_at = asked + RENEWED_EVERY
        self._valid_until = asked + (LEASE - MARGIN).total_seconds()

    def _take(self, tx: Transaction) -> int:
        """Renew our number, or take the lowest free one. Raises Overloaded."""
        assert isinstance(tx, SqlTransaction)
        if self._is_closing:
            raise Overloaded
        connection = tx.connection
        now = leases.server_time(connection)
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
        """Return the lowest free number, or the one whose lease ended first.

        Raises Overloaded if none has ended.
        """
        taken = connection.execute(select(_WORKERS.c.number, _WORKERS.c.ends_at))
        ends = {lease.number: lease.ends_at for lease in taken}
        number = min(range(self._numbers), key=lambda number: ends.get(number, EPOCH))
        if ends.get(number, EPOCH) > now:
            raise Overloaded
        return number

    def _give_back(self, tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(delete(_WORKERS).where(_WORKERS.c.holder == self._holder))


async def server_time(store: PostgresStore) -> datetime:
    """Return the time of the server's clock. Raises Overloaded."""

    def ask(tx: Transaction) -> datetime:
        assert isinstance(tx, SqlTransaction)
        return leases.server_time(tx.connection)

    return await store.read(ask)


async def are_leased(store: PostgresStore) -> bool:
    """Return whether a process holds a number, including ones that ended without releasing it."""

    def ask(tx: Transaction) -> bool:
        assert isinstance(tx, SqlTransaction)
        return has_lease(tx.connection)

    return await store.scan(ask)


def has_lease(connection: Connection) -> bool:
    """Return whether a process holds a number."""
    now = leases.server_time(connection)
    ends = select(_WORKERS.c.ends_at).where(_WORKERS.c.ends_at > now)
    return connection.execute(ends.limit(1)).first() is not None
