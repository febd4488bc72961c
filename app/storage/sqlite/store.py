"""The store on one SQLite file: short reads on the event loop, writes in a thread of their own."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.domain.errors import Overloaded
from app.domain.measurements import InFlightCounter, Measurement, measure_transactions
from app.domain.ports.store import Transaction
from app.runtime.background_tasks import Supervisor
from app.runtime.shielded_tasks import run_in_thread
from app.storage.constraints import is_passing
from app.storage.deferred_writes import DeferredWrites
from app.storage.migrations import (
    SchemaError,
    Steps,
    require_current,
    revisions,
    to_head,
)
from app.storage.sqlite import backups
from app.storage.sqlite.engine import (
    BUSY_TIMEOUT,
    READERS,
    driver_of,
    is_busy,
    require_regular,
    set_pragma,
    sqlite_engine,
    synchronous_of,
)
from app.storage.sqlite.kept_connection import KeptConnection
from app.storage.sqlite.library import describe_failure, driver
from app.storage.sqlite.lookups import SqliteLookups
from app.storage.sqlite.migrate import migrate
from app.storage.sqlite.wal_index import WalIndex
from app.storage.unit_of_work import SqlTransaction
from app.storage.write_probe import require_writable_file

T = TypeVar("T")
Connect = Callable[[], AbstractContextManager[Connection]]

_LOG = logging.getLogger("gatehouse.store")


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """The database in one file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def migrate(self, steps: Steps = to_head) -> None:
        """Do `steps`, all of them or nothing. Raises StoreError, SchemaError."""
        migrate(self.path, steps)

    async def schema_differences(self) -> list[str]:
        """Compare with the schema that this release makes. Raises StoreError."""
        return backups.schema_differences(self.path, revisions()[-1])

    @asynccontextmanager
    async def open(self, background: Supervisor | None = None) -> AsyncIterator["SqliteStore"]:
        """The store. Raises SchemaError where it is not prepared, StoreError where it is unfit."""
        self.require_there()
        engine = sqlite_engine(self.path)
        store = SqliteStore(engine, background or Supervisor())
        try:
            self._require_current(engine)
            yield store
        finally:
            await store.close()

    def require_there(self) -> None:
        """Raise SchemaError if there is no such file, StoreError if it is something else."""
        require_regular(self.path)
        if not self.path.exists():
            raise SchemaError(
                f"There is no database at {self.path.resolve()}: run the command in the server's "
                "directory, or set GATEHOUSE_DATA_DIR; 'gatehouse migrate' creates a database."
            )

    def _require_current(self, engine: Engine) -> None:
        try:
            with engine.connect() as connection:
                require_current(connection)
        except DBAPIError as error:
            raise describe_failure(self.path, error.orig) from error

    async def require_writable(self) -> None:
        """Insert a row and roll it back. Raises StoreError."""
        require_writable_file(self.path)

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncIterator[None]:
        """For what must not be begun twice: here every write is alone anyway."""
        yield


class SqliteStore:
    """The store on one SQLite file.

    A durable write is on disk when it returns (synchronous FULL). A store that stays locked
    longer than the busy timeout, or has no room left, is Overloaded; nothing of the work is kept
    then.
    """

    def __init__(self, engine: Engine, background: Supervisor) -> None:
        self._engine = engine
        self._here = LoopReader(engine)
        self._written = KeptConnection(engine.execution_options(begin="IMMEDIATE"))
        self.lookups = SqliteLookups(self._look_up)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        # Writers would only wait for each other inside SQLite, by polling.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._notes = DeferredWrites(self._write_notes, background)
        self._reads, self._writes, self._refused = InFlightCounter(), InFlightCounter(), 0

    def measurements(self) -> Iterator[Measurement]:
        """Count transactions under way and refused; not short reads, which never wait."""
        running = min(self._reads.count, READERS) + min(self._writes.count, 1)
        waiting = self._reads.count + self._writes.count - running
        yield from measure_transactions(running, waiting, self._refused)
        yield from self._notes.measurements()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot, on the event loop: a thread costs more than a few rows.

        A reader in WAL mode waits for no writer. Where it has to wait, as for a commit without
        a write-ahead log, it does so in a thread.
        """
        try:
            return self._here.read(work)
        except OperationalError:
            return await self.scan(work)

    async def _look_up(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, one query, on the event loop, as `read` does."""
        try:
            return self._here.look_up(work)
        except OperationalError:
            return await self.scan(work)

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot, in a thread."""
        return await self._run(self._readers, self._engine.connect, work)

    async def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        """Run `work` as the only writer, and commit."""
        synchronous = synchronous_of(is_durable=is_durable)
        return await self._run(self._writer, lambda: self._written, work, synchronous=synchronous)

    async def accepts_writes(self) -> bool:
        """Return True: a full disk shows at the next write, and no other server would do better."""
        return True

    def version(self) -> object | None:
        """Return the data version, which each commit changes; None if the file cannot be read."""
        try:
            return self._here.version()
        except OperationalError:
            return None

    def defer(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Run `work` within a second or so, where the store is not locked then."""
        self._notes.add(about, work)

    async def _write_notes(self, work: Callable[[Transaction], None]) -> None:
        await self._run(self._writer, lambda: self._written, work, patience=0)

    async def _run(
        self,
        threads: ThreadPoolExecutor,
        connect: Connect,
        work: Callable[[Transaction], T],
        patience: float = BUSY_TIMEOUT,
        *,
        synchronous: str = "FULL",
    ) -> T:
        # To wait in the queue and to wait for a lock are one wait.
        latest = monotonic() + max(patience, 1.0)
        in_progress = self._writes if threads is self._writer else self._reads
        in_progress.begin()
        try:
            return await run_in_thread(
                threads,
                self._transact,
                connect,
                synchronous,
                work,
                patience,
                latest,
                on_end=in_progress.end,
            )
        except Overloaded:
            self._refused += 1
            raise

    def _transact(
        self,
        connect: Connect,
        synchronous: str,
        work: Callable[[Transaction], T],
        patience: float,
        latest: float,
    ) -> T:
        left = latest - monotonic()
        if left < 0:
            raise Overloaded
        try:
            with connect() as connection:
                tenths = ceil(min(patience, left) * 10)
                set_pragma(connection, "busy_timeout", tenths * 100)
                set_pragma(connection, "synchronous", synchronous)
                with connection.begin():
                    return work(SqlTransaction(connection))
        except OperationalError as error:
            if not is_passing(error):
                raise
            _LOG.warning("The store refuses: %s", error.orig)
            raise Overloaded from error

    async def close(self) -> None:
        """Finish pending work and close the file."""
        await self._notes.close()
        self._here.close()
        self._readers.shutdown()
        self._writer.shutdown()
        self._written.close()
        self._engine.dispose()
        self._here.release_wal_index()


_DATA_VERSION = "PRAGMA data_version"


class LoopReader:
    """Reads on a connection of the event loop's thread, which never writes."""

    def __init__(self, engine: Engine) -> None:
        self._database = str(engine.url.database)
        self._kept = KeptConnection(engine, self._prepare)
        # For the version: every request asks for it.
        self._cursor: Any = None
        self._wal_index: WalIndex | None = None

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot. Raises OperationalError."""
        with self._kept as connection, connection.begin():
            return work(SqlTransaction(connection))

    def look_up(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, one query, which needs no transaction. Raises OperationalError."""
        with self._kept as connection:
            return work(SqlTransaction(connection))

    def version(self) -> object:
        """Return a value that changes with every commit. Raises OperationalError.

        Those of other processes count, too.
        """
        connection = self._kept.open()
        if (index := self._wal_index) is not None:
            # The headers of two files are the same if neither has a log yet.
            return index, index.header()
        try:
            (version,) = self._cursor.execute(_DATA_VERSION).fetchone()
        except driver.OperationalError as error:
            if not is_busy(error):
                self._kept.drop()
            raise OperationalError(_DATA_VERSION, None, error) from error
        # Each connection counts for itself (sqlite.org/pragma.html#pragma_data_version).
        return connection, version

    def _prepare(self, connection: Connection) -> None:
        set_pragma(connection, "busy_timeout", 0)
        self._cursor = driver_of(connection).cursor()
        # It exists: setting the journal mode of a new connection reads the file.
        self._use_wal_index(WalIndex.of(self._database))

    def _use_wal_index(self, index: WalIndex | None) -> None:
        previous, self._wal_index = self._wal_index, index
        if previous is not None:
            previous.release()

    def release_wal_index(self) -> None:
        """Call it when no connection is open any more."""
        self._use_wal_index(None)

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()
