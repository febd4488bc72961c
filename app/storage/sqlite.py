"""The store on one SQLite file: short reads on the event loop, writes in a thread of their own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar, cast

import pysqlite3
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.domain.readings import Reading, UnderWay, transactions
from app.storage.constraints import is_passing
from app.storage.engine import BUSY_TIMEOUT, READERS, sqlite_engine
from app.storage.errors import StoreError
from app.storage.migrations import (
    MIGRATION_TIMEOUT,
    SchemaError,
    Steps,
    perform,
    require_current,
    to_head,
)
from app.storage.notes import Notes
from app.storage.prepared import SecondQuery
from app.storage.recent import Recent
from app.storage.unit_of_work import (
    OneLook,
    OneQuery,
    RecentTransaction,
    SqlTransaction,
)

T = TypeVar("T")

_LOG = logging.getLogger("gatehouse.store")


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """The database in one file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def migrate(self, steps: Steps = to_head) -> None:
        """Do `steps`, all of them or nothing. Raises StoreError, SchemaError.

        BEGIN IMMEDIATE is the lock: of two that migrate at once, the second waits, then finds
        nothing left to do. Foreign keys are checked at the end, since a table may be rebuilt.
        """
        engine = sqlite_engine(self.path, foreign_keys=False, timeout=MIGRATION_TIMEOUT)
        try:
            with (
                engine.connect().execution_options(begin="IMMEDIATE") as connection,
                connection.begin(),
            ):
                perform(connection, steps)
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                    raise SchemaError("The migration would leave rows that refer to nothing.")
        except DBAPIError as error:
            raise StoreError(f"{self.path}: {error.orig}.") from error
        finally:
            engine.dispose()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["SqliteStore"]:
        """The store. Raises SchemaError where it is not prepared, StoreError where it is unfit."""
        if not self.path.exists():
            raise SchemaError(
                f"There is no database at {self.path.resolve()}: run 'gatehouse migrate', "
                "or set GATEHOUSE_DATA_DIR to where it is."
            )
        engine = sqlite_engine(self.path)
        try:
            with engine.connect() as connection:
                require_current(connection)
        except DBAPIError as error:
            engine.dispose()
            raise StoreError(f"{self.path}: {error.orig}.") from error
        except SchemaError:
            engine.dispose()
            raise
        store = SqliteStore(engine)
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncIterator[None]:
        """For what must not be begun twice: here every write is alone anyway."""
        yield


class SqliteStore:
    """The store on one SQLite file.

    A write is on disk when it returns (WAL, synchronous FULL). A store that stays locked longer
    than the busy timeout, or has no room left, is Overloaded; nothing of the work is kept then.
    """

    seldom_waits = True
    tells_of_accounts = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._here = LoopReader(engine)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        # Writers would only wait for each other inside SQLite, by polling.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._notes = Notes(self._write_notes)
        self._reads, self._writes, self._refused = UnderWay(), UnderWay(), 0

    def readings(self) -> Iterator[Reading]:
        """What is under way, and what was refused; short reads, which wait for nobody, apart."""
        running = min(self._reads.count, READERS) + min(self._writes.count, 1)
        waiting = self._reads.count + self._writes.count - running
        yield from transactions(running, waiting, self._refused)
        yield from self._here.readings()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot, at once: a change of threads costs more than a few rows.

        A reader in WAL mode waits for no writer; in the rare cases where it has to wait for
        something else, it does so in a thread.
        """
        try:
            return self._here.read(work)
        except Unsteady:
            pass
        except OperationalError as error:
            if not is_passing(error):
                raise
        return await self.scan(work)

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot, in a thread."""
        return await self._run(self._readers, "DEFERRED", work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as the only writer, and commit."""
        return await self._run(self._writer, "IMMEDIATE", work)

    def version(self) -> object | None:
        """What SQLite itself counts of the commits of all others on this file."""
        try:
            return self._here.version()
        except OperationalError:
            return None

    def note(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Run `work` within a second or so, where the store is not locked then."""
        self._notes.add(about, work)

    async def _write_notes(self, work: Callable[[Transaction], None]) -> None:
        await self._run(self._writer, "IMMEDIATE", work, patience=0)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        mode: str,
        work: Callable[[Transaction], T],
        patience: float = BUSY_TIMEOUT,
    ) -> T:
        # To wait in the queue and to wait for a lock are one wait.
        latest = monotonic() + max(patience, 1.0)
        loop = asyncio.get_running_loop()
        with self._writes if threads is self._writer else self._reads:
            try:
                return await loop.run_in_executor(
                    threads, self._transact, mode, work, patience, latest
                )
            except Overloaded:
                self._refused += 1
                raise

    def _transact(
        self, mode: str, work: Callable[[Transaction], T], patience: float, latest: float
    ) -> T:
        left = latest - monotonic()
        if left < 0:
            raise Overloaded
        try:
            with self._engine.connect().execution_options(begin=mode) as connection:
                milliseconds = int(min(patience, left) * 1000)
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

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        await self._notes.flush()
        self._here.close()
        self._readers.shutdown()
        self._writer.shutdown()
        self._engine.dispose()


_DATA_VERSION = "PRAGMA data_version"
# A read that others' commits keep disturbing takes a transaction after so many attempts.
ATTEMPTS = 3


class LoopReader:
    """Reads on a connection of the event loop's thread, with what was read lately at hand.

    `PRAGMA data_version` moves at every commit of any other connection, those of other processes
    among them (sqlite.org/pragma.html#pragma_data_version), and this one never writes. Where it
    stands still, all that was read in between is of one moment: that takes no transaction. A
    single query is of one moment anyway.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recent = Recent()
        self._connection: Connection | None = None
        self._cursor: Any = None

    def readings(self) -> Iterator[Reading]:
        """See `Recent.readings`."""
        return self._recent.readings()

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one consistent view. Raises Unsteady, OperationalError."""
        connection = self._connection or self._connect()
        with suppress(SecondQuery):
            return work(OneLook(cast("Connection", OneQuery(connection))))
        for _ in range(ATTEMPTS):
            version = self.version()
            try:
                result = work(RecentTransaction(connection, self._recent.at(version)))
            except OperationalError:
                raise
            except Exception:
                if self.version() == version:
                    raise
            else:
                if self.version() == version:
                    return result
        raise Unsteady

    def version(self) -> int:
        """Another number after every commit of others. Raises OperationalError."""
        if self._connection is None:
            self._connect()
        try:
            (version,) = self._cursor.execute(_DATA_VERSION).fetchone()
        except pysqlite3.OperationalError as error:
            raise OperationalError(_DATA_VERSION, None, error) from error
        return int(version)

    def _connect(self) -> Connection:
        connection = self._connection = self._engine.connect().execution_options(begin=None)
        self._cursor = connection.connection.cursor()
        self._cursor.execute("PRAGMA busy_timeout = 0")
        # SQLAlchemy's idea of a transaction lasts as long as the connection; SQLite knows of none.
        connection.begin()
        return connection

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


class Unsteady(Exception):
    """Others committed in the middle of each attempt."""
