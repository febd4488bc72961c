"""The store on PostgreSQL: for many workers and many machines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, TypeVar

from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy import URL, Connection, text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.database_url import PostgresUrl
from app.domain.errors import Overloaded
from app.domain.measurements import InFlightCounter, Measurement, measure_transactions
from app.domain.ports.store import Transaction
from app.runtime.background_tasks import Supervisor
from app.storage.compiled import CompiledStatement
from app.storage.constraints import is_passing, is_read_only, sqlstate
from app.storage.deferred_writes import DeferredWrites
from app.storage.dialect import Rows
from app.storage.errors import StoreError
from app.storage.migrations import Migration, Steps, perform, require_current, to_head
from app.storage.postgresql.checks import describe_failure, require_fit
from app.storage.postgresql.connect import Connector
from app.storage.postgresql.connections import CONNECTIONS, PATIENCE, RETRIED, Connections
from app.storage.postgresql.lookups import PostgresLookups
from app.storage.postgresql.queries import QueryConnections
from app.storage.postgresql.renewal import Renewal, drop_outdated
from app.storage.unit_of_work import SqlTransaction
from app.storage.write_probe import require_writable

T = TypeVar("T")

_LOG = logging.getLogger("gatehouse.store")

# The server ends abandoned transactions, and with them the locks of lost clients.
ABANDONED = "10s"
UNKNOWN = (
    "The outcome is unknown: the connection was lost during commit. "
    "Check the current state before retrying."
)
# Seconds for each optional step of closing.
FAREWELL = 1.0
ATTEMPTS = 20
# Seconds for which a connection may still lead to the old primary after a failover.
PRIMARY_CHECKED_EVERY = 1.0
# Our advisory locks: arbitrary numbers that no other application uses.
MIGRATION_LOCK = 0x6761_7465_0001
FIRST_START_LOCK = 0x6761_7465_0002
_SNAPSHOT: IsolationLevel = "REPEATABLE READ"
_SERIALIZABLE: IsolationLevel = "SERIALIZABLE"
_READ_ONLY = "SELECT current_setting('transaction_read_only')"


def postgres_engine(url: str, *, for_requests: bool = True) -> AsyncEngine:
    """Create an engine without connecting. `url` is a URL of libpq. Raises ValueError."""
    # A migration takes as long as it takes, whatever the role is configured to.
    bound = ABANDONED if for_requests else "0"
    settings = {
        # A sequential scan would make a serializable transaction depend on the whole
        # table (postgresql.org/docs/current/transaction-iso.html).
        "random_page_cost": "1",
        "cpu_tuple_cost": "0.05",
        "jit": "off",
        "statement_timeout": bound,
        "idle_in_transaction_session_timeout": bound,
    }
    connect = Connector(PostgresUrl.parse(url), settings, PATIENCE)
    return create_async_engine(
        URL.create("postgresql+asyncpg"),
        hide_parameters=True,
        async_creator=connect,
        # The store keeps its connections itself.
        poolclass=NullPool,
        # For the connections of lookups.
        execution_options={"gatehouse_connect": connect},
    )


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database on a server; the schema is ours alone."""

    url: str

    def __str__(self) -> str:
        return str(PostgresUrl.parse(self.url))

    @property
    def has_password(self) -> bool:
        """True if the URL has a password."""
        return PostgresUrl.parse(self.url).has_password

    def migrate(self, steps: Steps = to_head) -> None:
        """Do `steps`, all of them or nothing. Raises StoreError, SchemaError.

        Of two that migrate at once, the second waits for the lock, then finds nothing to do.
        Where an event loop runs already, call this in a thread.
        """

        def run(connection: Connection) -> Migration | None:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            return perform(connection, steps)

        async def migrate() -> None:
            async with self.connected(check=True) as connection, connection.begin():
                migration = await connection.run_sync(run)
            if migration is not None:
                migration.log_end()

        asyncio.run(migrate())

    @asynccontextmanager
    async def open(self, background: Supervisor | None = None) -> AsyncIterator["PostgresStore"]:
        """The store. Raises SchemaError where it is not prepared, StoreError where it is unfit."""
        async with self.connected(check=True) as connection:
            await connection.run_sync(require_current)
        supervisor = background or Supervisor()
        store = PostgresStore(postgres_engine(self.url), supervisor)
        check = supervisor.start("primary-check", store.check_primary, PRIMARY_CHECKED_EVERY)
        try:
            yield store
        finally:
            await check.stop()
            await store.close()

    async def require_writable(self) -> None:
        """Insert a row as a request would, and roll it back. Raises StoreError."""
        async with self.connected() as connection:
            await connection.execution_options(isolation_level="SERIALIZABLE")
            await connection.run_sync(require_writable)

    async def schema_differences(self) -> list[str]:
        """Compare with the schema that this release makes. Raises StoreError."""
        from app.storage.postgresql.schema_diff import postgres_differences

        async with self.connected() as connection:
            return await connection.run_sync(postgres_differences)

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncIterator[None]:
        """Of all processes that do this on the database, one at a time. Raises StoreError."""
        async with self.connected() as connection:
            await connection.execute(
                text("SELECT pg_advisory_lock(:key)"), {"key": FIRST_START_LOCK}
            )
            # The lock ends with the connection.
            yield

    @asynccontextmanager
    async def connected(self, *, check: bool = False) -> AsyncIterator[AsyncConnection]:
        """One connection; what is wrong with it, or with the database, becomes a sentence."""
        engine = postgres_engine(self.url, for_requests=False)
        try:
            if check:
                await require_fit(engine.get_execution_options()["gatehouse_connect"])
            async with engine.connect() as connection:
                yield connection
        except TimeoutError:
            raise StoreError(f"{self}: no answer within {PATIENCE:.0f} seconds.") from None
        except (DBAPIError, OSError, PostgresError, InterfaceError) as error:
            raise describe_failure(self, error) from error


class PostgresStore:
    """The store on one PostgreSQL database.

    A write is serializable, and on disk when it returns; a write that conflicts with others is
    retried. A server that is unreachable, unavailable or too slow is
    Overloaded. If the connection is lost during commit, the outcome is unknown;
    the error says so, and the write is not retried.
    """

    def __init__(self, engine: AsyncEngine, background: Supervisor) -> None:
        self._engine = engine
        self._renewal = Renewal()
        drop_outdated(engine)
        self._queries = QueryConnections(engine, self._renewal)
        self.lookups = PostgresLookups(engine.dialect, self._fetch)
        self._notes = DeferredWrites(self.write, background)
        self._under_way, self._refused = InFlightCounter(), 0
        self._connections = Connections(engine, self._renewal)

    def measurements(self) -> Iterator[Measurement]:
        """Count transactions and queries that have or wait for a connection, and what was lost."""
        running = min(self._under_way.count, CONNECTIONS)
        waiting = self._under_way.count - running
        running, waiting = running + self.lookups.running, waiting + self.lookups.waiting
        yield from measure_transactions(running, waiting, self._refused)
        yield from self._notes.measurements()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self._read(lambda c: work(SqlTransaction(c)))

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot."""
        return await self.read(work)

    async def accepts_writes(self) -> bool:
        """Return whether the server is writable; where it is not, replace the connections."""
        read_only: str = await self._read(lambda c: c.exec_driver_sql(_READ_ONLY).scalar_one())
        if read_only == "on":
            self._renewal.writes_refused()
        else:
            self._renewal.writes_accepted()
        return read_only == "off"

    async def check_primary(self) -> None:
        """Replace the connections where they lead to a server that is no primary any more."""
        # A server that cannot be reached leaves none to replace; requests report it.
        with suppress(Overloaded):
            await self.accepts_writes()

    async def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        """Run `work` as if alone, and commit."""
        for attempt in range(ATTEMPTS):
            try:
                with self._under_way:
                    result = await self._write(work, is_durable=is_durable)
            except _AgainError:
                # Two that lost to the same third one try at different moments.
                chance = perf_counter_ns() % 1000 / 1000
                await asyncio.sleep(chance * 0.002 * 2 ** min(attempt, 6))
            else:
                self._renewal.writes_accepted()
                return result
        raise Overloaded

    def version(self) -> None:
        """Return None: PostgreSQL keeps no number that could be read without a round trip."""

    def defer(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Run `work` within a second or so, where the server can be reached then."""
        self._notes.add(about, work)

    async def close(self) -> None:
        """Finish what is under way and close the connections; all that in a few seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._notes.close()
        await self._connections.close(FAREWELL)
        await self.lookups.close(FAREWELL)
        self._queries.drop()

    async def _fetch(
        self, statement: CompiledStatement, values: Mapping[str, Any], since: float
    ) -> Rows:
        """Return the rows of a query for callers that wait since that time of the loop."""
        latest = since + PATIENCE
        return await self._run_twice(lambda: self._queries.fetch(statement, values, latest))

    async def _read(self, run: Callable[[Connection], T]) -> T:
        with self._under_way:
            return await self._run_twice(lambda: self._connections.run(_SNAPSHOT, run))

    async def _run_twice(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run it, and once more where the connection was of no use."""
        try:
            return await self._attempt(run)
        except _AgainError:
            pass
        try:
            return await self._attempt(run)
        except _AgainError as error:
            raise self._unreachable(error.__cause__) from error

    async def _attempt(self, run: Callable[[], Awaitable[T]]) -> T:
        try:
            return await run()
        except DBAPIError as error:
            raise self._meaning(error) from error
        except (OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def _write(self, work: Callable[[Transaction], T], *, is_durable: bool) -> T:
        committing = False

        def write(connection: Connection) -> T:
            nonlocal committing
            if not is_durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            result = work(SqlTransaction(connection))
            committing = True
            return result

        try:
            return await self._connections.run(_SERIALIZABLE, write)
        except DBAPIError as error:
            raise self._meaning(error, committing=committing) from error
        except (OSError, TimeoutError) as error:
            raise self._unreachable(error, committing=committing) from error

    def _meaning(self, error: DBAPIError, *, committing: bool = False) -> Exception:
        """Return what to raise: _AgainError, Overloaded, or the error, which is a bug."""
        if sqlstate(error) in RETRIED:
            return _AgainError()
        if error.connection_invalidated and not committing:
            # The server was restarted since; the other connections were dropped, too.
            return _AgainError()
        if is_read_only(error):
            self._renewal.writes_refused()
        if is_passing(error):
            return self._unreachable(error.orig, committing=committing)
        return error

    def _unreachable(self, reason: BaseException | None, *, committing: bool = False) -> Overloaded:
        self._refused += 1
        _LOG.warning("The store refuses: %s", reason)
        return Overloaded(UNKNOWN) if committing else Overloaded()


class _AgainError(Exception):
    """Nothing was done; it may be tried again."""
