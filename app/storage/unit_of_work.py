"""Transactions on SQLite: many readers, one writer, each in a thread of its own."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.storage.constraints import is_passing
from app.storage.credentials import KeyTable, SessionTable, SigningKeyTable
from app.storage.engine import BUSY_TIMEOUT, READERS
from app.storage.names import NameTable
from app.storage.registry import GuildTable, ServerTable
from app.storage.users import UserTable

T = TypeVar("T")

_LOG = logging.getLogger("gatehouse.store")


@dataclass(frozen=True)
class SqlTransaction:
    """The ports of one transaction on one connection."""

    connection: Connection

    @cached_property
    def users(self) -> UserTable:
        return UserTable(self.connection)

    @cached_property
    def names(self) -> NameTable:
        return NameTable(self.connection)

    @cached_property
    def sessions(self) -> SessionTable:
        return SessionTable(self.connection)

    @cached_property
    def keys(self) -> KeyTable:
        return KeyTable(self.connection)

    @cached_property
    def signing_keys(self) -> SigningKeyTable:
        return SigningKeyTable(self.connection)

    @cached_property
    def guilds(self) -> GuildTable:
        return GuildTable(self.connection)

    @cached_property
    def servers(self) -> ServerTable:
        return ServerTable(self.connection)


class SqliteStore:
    """The store on one SQLite file.

    A write is on disk when it returns (WAL, synchronous FULL). A store that stays locked longer
    than the busy timeout, or has no room left, is Overloaded; nothing of the work is kept then.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        # Writers would only wait for each other inside SQLite, by polling.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._writing = 0

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self._run(self._readers, "DEFERRED", work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as the only writer, and commit."""
        self._writing += 1
        try:
            return await self._run(self._writer, "IMMEDIATE", work)
        finally:
            self._writing -= 1

    async def note(self, work: Callable[[Transaction], None]) -> None:
        """Run `work` and commit where nobody writes just now; else leave it."""
        if self._writing:
            return
        with suppress(Overloaded):
            await self._run(self._writer, "IMMEDIATE", work, patience=0)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        mode: str,
        work: Callable[[Transaction], T],
        patience: float = BUSY_TIMEOUT,
    ) -> T:
        # What has waited in the queue as long as it would wait for a lock is not begun any more.
        latest = monotonic() + max(patience, 1.0)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, self._transact, mode, work, patience, latest)

    def _transact(
        self, mode: str, work: Callable[[Transaction], T], patience: float, latest: float
    ) -> T:
        if monotonic() > latest:
            raise Overloaded
        try:
            with self._engine.connect().execution_options(begin=mode) as connection:
                milliseconds = int(patience * 1000)
                raw = connection.connection.driver_connection
                assert raw is not None
                raw.execute(f"PRAGMA busy_timeout = {milliseconds}")
                with connection.begin():
                    return work(SqlTransaction(connection))
        except OperationalError as error:
            if not is_passing(error):
                raise
            _LOG.warning("The store refuses: %s", error.orig)
            raise Overloaded from error

    def close(self) -> None:
        """Finish what is under way and let go of the file."""
        self._readers.shutdown()
        self._writer.shutdown()
        self._engine.dispose()
