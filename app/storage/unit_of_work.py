"""Transactions on SQLite: many readers, one writer, each in a thread of its own."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.storage.credentials import KeyTable, SessionTable, SigningKeyTable
from app.storage.names import NameTable
from app.storage.registry import GuildTable, ServerTable
from app.storage.users import UserTable

T = TypeVar("T")
READERS = 4

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

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self._run(self._readers, "DEFERRED", work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as the only writer, and commit."""
        return await self._run(self._writer, "IMMEDIATE", work)

    async def _run(
        self, threads: ThreadPoolExecutor, mode: str, work: Callable[[Transaction], T]
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, self._transact, mode, work)

    def _transact(self, mode: str, work: Callable[[Transaction], T]) -> T:
        try:
            with (
                self._engine.connect().execution_options(begin=mode) as connection,
                connection.begin(),
            ):
                return work(SqlTransaction(connection))
        except OperationalError as error:
            _LOG.warning("The store refuses: %s", error.orig)
            raise Overloaded from error

    def close(self) -> None:
        """Finish what is under way and let go of the file."""
        self._readers.shutdown()
        self._writer.shutdown()
        self._engine.dispose()
