"""The sides of a copy that are PostgreSQL databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.storage.constraints import sqlstate
from app.storage.copying import Side
from app.storage.errors import StoreError
from app.storage.migrations import require_current
from app.storage.postgresql.store import PostgresServer
from app.storage.postgresql.worker_ids import IN_USE, has_lease
from app.storage.tables import WorkerRow

# Held on both sides of a copy; an arbitrary number, as those in `store.py`.
_COPY_LOCK = {"key": 0x6761_7465_0003}
# How long a copy waits for a lock.
_LOCK_TIMEOUT = text("SET lock_timeout = '5s'")
_NOT_AVAILABLE = "55P03"


@asynccontextmanager
async def open_source(server: PostgresServer) -> AsyncIterator[Side]:
    """Open a snapshot that nothing can be added to. Raises StoreError.

    Every process that writes has a worker number, and needs to renew it. While the table of the
    numbers is locked and has no valid one, no process writes.
    """
    async with server.connected() as connection:
        await connection.run_sync(require_current)
        await connection.rollback()
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await connection.execute(_LOCK_TIMEOUT)
        # Before the first SELECT, which begins the snapshot.
        await connection.execute(text(f"LOCK TABLE {WorkerRow.__tablename__} IN SHARE MODE"))
        if await connection.run_sync(has_lease):
            raise StoreError(IN_USE.format(server))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), _COPY_LOCK)
        yield _side(server, connection.sync_connection)
        await connection.rollback()


@asynccontextmanager
async def open_target(server: PostgresServer) -> AsyncIterator[Side]:
    """Open a database for one copy at a time. Raises StoreError."""
    async with server.connected(check=True) as connection:
        await connection.execute(_LOCK_TIMEOUT)
        try:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), _COPY_LOCK)
        except DBAPIError as error:
            if sqlstate(error) != _NOT_AVAILABLE:
                raise
            raise StoreError(
                f"{server} is the database to be copied, or another copy to it is running."
            ) from error
        # The lock ends with the connection.
        await connection.commit()
        yield _side(server, connection.sync_connection)


def _side(server: PostgresServer, connection: Connection | None) -> Side:
    assert connection is not None
    return Side(str(server), connection)
