"""Connections to PostgreSQL, each for one transaction at a time, which cannot be cancelled."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from app.domain.errors import DomainError
from app.runtime.shielded_tasks import ShieldedTasks
from app.storage.constraints import is_passing
from app.storage.postgresql.driver_errors import DRIVER_ERRORS, translate
from app.storage.postgresql.renewal import Renewal

T = TypeVar("T")

CONNECTIONS = 10
# Seconds: to connect, and for a transaction from the wait for its connection to its end.
PATIENCE = 5.0
# Serialization failure and deadlock: one of the transactions is retried.
RETRIED = {"40001", "40P01"}


class Connections:
    """Run transactions, each on a connection and in a task of its own.

    If asyncpg is cancelled while it waits for the response to BEGIN, it takes its connection for
    idle, although the server has opened a transaction. Its next user would read an old snapshot.

    Connections stay checked out between transactions: for SQLAlchemy's pool and its asynchronous
    classes, a transaction would take twice the time.
    """

    def __init__(self, engine: AsyncEngine, renewal: Renewal) -> None:
        self._engine = engine.sync_engine
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._transactions = ShieldedTasks(is_expected)
        renewal.also(self.drop)

    async def run(self, isolation: IsolationLevel, work: Callable[[Connection], T]) -> T:
        """Do `work` and commit, within PATIENCE. Raises TimeoutError.

        A cancelled request leaves the queue for a connection, but no transaction that has begun:
        that one ends by itself, and only then is its connection free.
        """
        latest = asyncio.get_running_loop().time() + PATIENCE
        # No timer: each of the transactions before this one ends by its own deadline.
        await self._free.acquire()
        transaction = self._transact(isolation, work, latest)
        return await self._transactions.run(transaction, on_end=self._free.release)

    def drop(self) -> None:
        """Close the idle connections now, those in use after their transaction."""
        idle, self._idle = self._idle, []
        for connection in idle:
            _terminate(connection)

    async def close(self, seconds: float) -> None:
        """Wait for the transactions up to `seconds`, then cancel the rest; close everything."""
        await self._transactions.close(seconds)
        self.drop()

    async def _transact(
        self, isolation: IsolationLevel, work: Callable[[Connection], T], latest: float
    ) -> T:
        idle, loop = self._idle, asyncio.get_running_loop()
        if loop.time() >= latest:
            raise TimeoutError("no connection in time")
        connection = await self._take(latest)
        driver = _driver_of(connection)
        is_late = False

        def end() -> None:
            nonlocal is_late
            is_late = True
            # To cancel a statement would mean to wait for the server's answer to that.
            driver.terminate()

        ending = loop.call_at(latest, end)
        try:
            return await _commit(connection, isolation, work)
        except DBAPIError as error:
            if connection.invalidated or error.connection_invalidated:
                # The others may lead nowhere, too.
                self.drop()
            if is_late:
                raise TimeoutError("no answer in time") from error
            raise
        finally:
            ending.cancel()
            if idle is self._idle and _is_idle(connection):
                idle.append(connection)
            else:
                _terminate(connection)

    async def _take(self, latest: float) -> Connection:
        """Return a connection for one transaction. Raises TimeoutError."""
        while self._idle:
            connection = self._idle.pop()
            if _is_idle(connection):
                return connection
            _terminate(connection)
        async with asyncio.timeout_at(latest):
            return await greenlet_spawn(self._connect)

    def _connect(self) -> Connection:
        # SQLAlchemy begins no transactions of its own then.
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")


async def _commit(
    connection: Connection, isolation: IsolationLevel, work: Callable[[Connection], T]
) -> T:
    """Do `work` in a transaction. Raises DBAPIError, and what `work` raises.

    The driver begins and ends it, for less than SQLAlchemy's own would take.
    """
    driver = _driver_of(connection)
    try:
        await driver.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        try:
            result = await greenlet_spawn(work, connection)
        except Exception:
            with suppress(*DRIVER_ERRORS):
                await driver.execute("ROLLBACK")
            raise
        await driver.execute("COMMIT")
    except DRIVER_ERRORS as error:
        raise translate(error, is_lost=driver.is_closed()) from error
    except asyncio.CancelledError:
        # By the end of the process, which waits for no answer to a rollback.
        _terminate(connection)
        raise
    return result


def is_expected(error: BaseException) -> bool:
    """Return whether a transaction may fail so without a fault of ours."""
    if isinstance(error, DBAPIError):
        return is_passing(error)
    return isinstance(error, DomainError | OSError | TimeoutError)


def _driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _is_idle(connection: Connection) -> bool:
    if connection.invalidated:
        return False
    driver = _driver_of(connection)
    return not driver.is_closed() and not driver.is_in_transaction()


def _terminate(connection: Connection) -> None:
    if not connection.invalidated:
        # SQLAlchemy alone would wait for the server.
        _driver_of(connection).terminate()
        connection.invalidate()
