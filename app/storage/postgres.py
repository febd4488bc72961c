"""The store on PostgreSQL: for many workers and many machines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.domain.readings import Reading, UnderWay, transactions
from app.storage import snapshots, voids
from app.storage.constraints import is_passing, sqlstate
from app.storage.errors import StoreError
from app.storage.lookups import Lookups
from app.storage.migrations import Steps, perform, require_current, to_head
from app.storage.notes import Notes
from app.storage.prepared import Foreseen, Question, SecondQuery
from app.storage.recent import Recent
from app.storage.snapshots import Snapshots
from app.storage.unit_of_work import OneQuery, RecentTransaction, SqlTransaction

T = TypeVar("T")

_LOG = logging.getLogger("gatehouse.store")

CONNECTIONS = 10
# Seconds: to connect, and for a transaction from the wait for its connection to its end.
PATIENCE = 5.0
# The server itself ends what nobody waits for any more, and the locks of whoever vanished.
ABANDONED = "10s"
UNKNOWN = "Nobody knows whether this was done: ask what holds before you send it again."
# Seconds for each thing that is done at the end, and can be left undone.
FAREWELL = 1.0
# Two transactions that cannot both be true: one is begun again (SERIALIZABLE).
RETRIED = {"40001", "40P01"}
ATTEMPTS = 20
# Advisory locks of ours, any numbers that nobody else uses.
MIGRATION_LOCK = 0x6761_7465_0001
FIRST_START_LOCK = 0x6761_7465_0002


def postgres_engine(url: str, *, pooled: bool = True) -> AsyncEngine:
    """An engine; nothing is connected yet. `url` is postgresql://user:password@host:port/name."""
    address = make_url(url).set(drivername="postgresql+asyncpg")
    pool: dict[str, Any] = {"poolclass": NullPool}
    bounds = {}
    if pooled:
        pool = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": PATIENCE}
        bounds = {
            "statement_timeout": ABANDONED,
            "idle_in_transaction_session_timeout": ABANDONED,
        }
    return create_async_engine(
        address,
        hide_parameters=True,
        connect_args={
            "timeout": PATIENCE,
            "server_settings": {
                "application_name": "gatehouse",
                # A sequential scan would make a serializable transaction depend on the whole
                # table (postgresql.org/docs/current/transaction-iso.html).
                "random_page_cost": "1",
                "cpu_tuple_cost": "0.05",
                "jit": "off",
                **bounds,
            },
        },
        **pool,
    )


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database on a server; the schema is ours alone."""

    url: str

    def __str__(self) -> str:
        return make_url(self.url).render_as_string(hide_password=True)

    def migrate(self, steps: Steps = to_head) -> None:
        """Do `steps`, all of them or nothing. Raises StoreError, SchemaError.

        Of two that migrate at once, the second waits for the lock, then finds nothing to do.
        Where an event loop runs already, call this in a thread.
        """

        def run(connection: Connection) -> None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            perform(connection, steps)

        async def migrate() -> None:
            async with self._connected() as connection, connection.begin():
                await connection.run_sync(run)

        asyncio.run(migrate())

    @asynccontextmanager
    async def open(self) -> AsyncIterator["PostgresStore"]:
        """The store. Raises SchemaError where it is not prepared, StoreError where it is unfit."""
        async with self._connected() as connection:
            await connection.run_sync(require_current)
        store = PostgresStore(postgres_engine(self.url))
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncIterator[None]:
        """Of all processes that do this on the database, one at a time. Raises StoreError."""
        async with self._connected() as connection:
            await connection.execute(
                text("SELECT pg_advisory_lock(:key)"), {"key": FIRST_START_LOCK}
            )
            # The lock ends with the connection.
            yield

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """One connection; what is wrong with it becomes a sentence."""
        engine = postgres_engine(self.url, pooled=False)
        try:
            async with engine.connect() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StoreError(f"{self}: {reason}.") from error
        except TimeoutError:
            raise StoreError(f"{self}: no answer within {PATIENCE:.0f} seconds.") from None
        finally:
            await engine.dispose()


class PostgresStore:
    """The store on one PostgreSQL database.

    A write is serializable, and on disk when it returns; one that others get in the way of is done
    again. A server that cannot be reached, refuses for a while or does not answer in time is
    Overloaded. Where the connection is lost in the middle of a commit nobody knows whether it was
    done: that is said, and nothing is repeated.
    """

    seldom_waits = False
    # Whoever signs up would have to wait until the leases have ended.
    tells_of_accounts = False

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._each_alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._snapshot = engine.execution_options(isolation_level="REPEATABLE READ")
        self._serializable = engine.execution_options(isolation_level="SERIALIZABLE")
        self._snapshots = Snapshots(engine)
        self._recent = Recent()
        self._lookups = Lookups(engine)
        snapshots.watch(engine)
        self._notes = Notes(self._write_notes)
        self._under_way, self._refused = UnderWay(), 0

    def readings(self) -> Iterator[Reading]:
        """Who has or waits for a connection of the pool, what was refused, what was at hand."""
        pool = self._engine.sync_engine.pool
        assert isinstance(pool, QueuePool)
        running = min(pool.checkedout(), self._under_way.count)
        yield from transactions(running, self._under_way.count - running, self._refused)
        yield from self._recent.readings()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`; its one query needs no transaction, which would be two more round trips."""
        try:
            return await self._foresee(work)
        except SecondQuery:
            pass
        alone = self._each_alone
        try:
            return await self._read(
                alone, lambda c: work(self._look(cast("Connection", OneQuery(c))))
            )
        except SecondQuery:
            return await self.scan(work)

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self._read(self._snapshot, lambda c: work(self._look(c)))

    def _look(self, connection: Connection) -> SqlTransaction:
        """A transaction that reads, with credentials of the last moments at hand.

        Made when the reading begins: whoever had to wait for that goes by what holds by then.
        """
        version = self.version()
        if version is None:
            return SqlTransaction(connection)
        return RecentTransaction(connection, self._recent.at(version))

    async def _foresee(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` that asks one prepared query or none. Raises SecondQuery for any other."""
        dialect = self._engine.dialect
        try:
            return work(self._look(cast("Connection", Foreseen(dialect))))
        except Question as question:
            rows = await self._lookups.rows(question)
            return work(self._look(cast("Connection", Foreseen(dialect, question, rows))))

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as if alone, commit, and wait until nobody relies on what was before."""
        result, is_felt = await self._write_again(work)
        if is_felt:
            await snapshots.outlast()
        return result

    async def _write_notes(self, work: Callable[[Transaction], None]) -> None:
        await self._write_again(work)

    async def _write_again(self, work: Callable[[Transaction], T]) -> tuple[T, bool]:
        for attempt in range(ATTEMPTS):
            try:
                with self._under_way:
                    return await self._write(work)
            except _AgainError:
                # Whoever lost to the same other one tries at another moment.
                chance = perf_counter_ns() % 1000 / 1000
                await asyncio.sleep(chance * 0.002 * 2 ** min(attempt, 6))
        raise Overloaded

    def version(self) -> object | None:
        """The server's snapshot of a moment ago, while nobody answers for a newer one."""
        return self._snapshots.version()

    def note(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Run `work` within a second or so, where the server can be reached then."""
        self._notes.add(about, work)

    async def close(self) -> None:
        """Finish what is under way and let go of the connections; all that in a few seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._notes.flush()
        await self._snapshots.close()
        await self._lookups.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._engine.dispose()

    async def _read(self, engine: AsyncEngine, run: Callable[[Connection], T]) -> T:
        try:
            return await self._attempt(engine, run)
        except _AgainError:
            return await self._attempt(engine, run, last=True)

    async def _attempt(
        self, engine: AsyncEngine, run: Callable[[Connection], T], *, last: bool = False
    ) -> T:
        try:
            with self._under_way:
                async with self._connected(engine) as connection:
                    return await connection.run_sync(run)
        except DBAPIError as error:
            raise self._meaning(error, last=last) from error
        except (OSError, TimeoutError, PoolTimeoutError) as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool, for no longer than PATIENCE. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + PATIENCE
        ending: asyncio.TimerHandle | None = None
        try:
            async with asyncio.timeout_at(latest) as waiting, engine.connect() as connection:
                waiting.reschedule(None)
                assert connection.sync_connection is not None
                driver: Any = connection.sync_connection.connection.driver_connection
                # To cancel a statement would mean to wait for the server's answer to that.
                ending = loop.call_at(latest, driver.terminate)
                yield connection
        except DBAPIError as error:
            if error.connection_invalidated and loop.time() >= latest:
                # The others in the pool may lead nowhere, too; to close each takes its time.
                self._engine.sync_engine.dispose(close=False)
                raise TimeoutError("no answer in time") from error
            raise
        finally:
            if ending is not None:
                ending.cancel()

    async def _write(self, work: Callable[[Transaction], T]) -> tuple[T, bool]:
        committing = False
        try:
            async with (
                self._connected(self._serializable) as connection,
                connection.begin() as transaction,
            ):
                assert connection.sync_connection is not None
                voids.begins(connection.sync_connection)
                result = await connection.run_sync(lambda c: work(SqlTransaction(c)))
                committing = True
                await transaction.commit()
                return result, voids.are_made(connection.sync_connection)
        except (DBAPIError, OSError, TimeoutError, PoolTimeoutError) as error:
            if isinstance(error, DBAPIError):
                meaning = self._meaning(error, last=committing, committing=committing)
            else:
                meaning = self._unreachable(error, committing=committing)
            if committing and isinstance(meaning, Overloaded):
                # If it was done after all, nobody goes by what was before when this is told.
                await snapshots.outlast()
            raise meaning from error

    def _meaning(self, error: DBAPIError, *, last: bool, committing: bool = False) -> Exception:
        """What to raise: to be done again, Overloaded, or the error, which is a mistake of ours."""
        if sqlstate(error) in RETRIED:
            return _AgainError()
        if error.connection_invalidated and not last:
            # The server was restarted since; the pool has dropped its connections with this one.
            return _AgainError()
        if is_passing(error):
            return self._unreachable(error.orig, committing=committing)
        return error

    def _unreachable(self, reason: BaseException | None, *, committing: bool = False) -> Overloaded:
        self._refused += 1
        _LOG.warning("The store refuses: %s", reason or "no reason given")
        return Overloaded(UNKNOWN) if committing else Overloaded()


class _AgainError(Exception):
    """Nothing was done; it may be tried again."""
