"""Both stores: a request that is cancelled at any await point leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from threading import Event
from typing import Any
from uuid import uuid4

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only, greenlet_spawn

from app.domain.errors import NotFound, Overloaded
from app.domain.ports.store import Transaction
from app.domain.rate_limits import Limit
from app.domain.users import AccountRef, Sort, UserFilter
from app.operations.views.accounts import PANEL_USER
from app.runtime.background_tasks import Supervisor
from app.security.clock import SystemClock
from app.security.passwords import Argon2Hasher
from app.security.rate_limiter import MemoryRateLimiter
from app.security.redis_rate_limiter import CONNECTIONS as REDIS_CONNECTIONS
from app.security.redis_rate_limiter import open_redis_rate_limiter
from app.storage.postgresql import connections
from app.storage.postgresql import store as implementation
from app.storage.postgresql.connections import CONNECTIONS, Connections
from app.storage.postgresql.renewal import Renewal
from app.storage.postgresql.store import PostgresStore, postgres_engine
from app.storage.sqlite.store import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from tests.cancelling import cut_everywhere
from tests.contracts.rows import add_users, new_user
from tests.contracts.test_lookups import add_session, end_session
from tests.redis import redis_url

pytestmark = pytest.mark.anyio

Run = Callable[[PostgresStore, Callable[[Transaction], object]], Awaitable[object]]
LOCK = text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
IN_TRANSACTION = text(
    "SELECT query FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)


def page(tx: Transaction) -> Sequence[str]:
    """A query past SQLAlchemy's own machinery, as the streamed list asks it."""
    return tx.users.list_page(UserFilter(), Sort(), None, 10, PANEL_USER)


def add_one_version(tx: Transaction) -> None:
    assert isinstance(tx, SqlTransaction)
    tx.connection.execute(text("UPDATE users SET version = version + 1"))


def find_session(tx: Transaction) -> object:
    return tx.sessions.get_with_owner("ours")


async def in_transaction(store: PostgresStore) -> list[str]:
    """The last statements of connections that are idle in a transaction."""
    async with store._engine.connect() as connection:
        return list((await connection.execute(IN_TRANSACTION)).scalars())


@asynccontextmanager
async def nothing_left(store: PostgresStore, another: PostgresStore) -> Any:
    """Whatever is done meanwhile leaves no transaction, connection or stale snapshot."""
    (user,) = await add_users(store, 1)
    await store.write(partial(add_session, user, "ours"))
    yield
    await eventually(lambda: store._connections._free._value == CONNECTIONS)
    assert await in_transaction(another) == []
    await another.write(partial(end_session, user, "ours"))
    for run in [PostgresStore.read, PostgresStore.scan] * CONNECTIONS:
        assert await run(store, find_session) is None
    assert await store.write(lambda tx: tx.users.newest_id()) == user.id


async def eventually(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110
            await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("run", "work"),
    [
        (PostgresStore.read, page),
        (PostgresStore.scan, page),
        (PostgresStore.write, page),
        (PostgresStore.write, add_one_version),
    ],
)
async def test_a_cancelled_transaction_leaves_nothing(
    postgres: PostgresStore, another: PostgresStore, run: Run, work: Callable[[Transaction], object]
) -> None:
    async with nothing_left(postgres, another):
        for _ in range(3):
            await cut_everywhere(lambda: run(postgres, work))


async def test_a_transaction_that_has_begun_ends_by_itself(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    async with another._engine.begin() as lock:
        await lock.execute(LOCK)
        writing = asyncio.create_task(postgres.write(lambda tx: tx.users.add(new_user(1))))
        await anyio.sleep(0.1)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await postgres.close()
    assert await another.scan(lambda tx: tx.users.newest_id()) == new_user(1).id


async def test_a_cancelled_queue_for_a_connection_leaves_nothing(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    done: list[None] = []
    async with nothing_left(postgres, another):
        async with another._engine.begin() as lock:
            await lock.execute(LOCK)
            asking = [asyncio.create_task(postgres.scan(page)) for _ in range(3 * CONNECTIONS)]
            queue = asyncio.create_task(postgres.write(lambda _: done.append(None)))
            await anyio.sleep(0.1)
            for task in [*asking[::2], queue]:
                task.cancel()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:2]] == [asyncio.CancelledError, list]
    assert done == []


async def test_a_transaction_that_the_process_ends_takes_its_connection_with_it(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    """At the end of a process its event loop cancels all tasks, these among them."""
    async with nothing_left(postgres, another):
        for step in range(1, 4):
            asked = asyncio.create_task(postgres.scan(page))
            for _ in range(step):
                await asyncio.sleep(0)
            for task in list(postgres._connections._transactions._tasks):
                task.cancel()
            await asyncio.gather(asked, return_exceptions=True)


async def test_the_end_of_the_process_waits_for_no_answer(
    another: PostgresStore,
    server_database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(implementation, "FAREWELL", 0.1)
    store = PostgresStore(postgres_engine(server_database), Supervisor())
    async with another._engine.begin() as lock:
        await lock.execute(LOCK)
        asked = asyncio.create_task(store.scan(page))
        await anyio.sleep(0.1)
        # SQLAlchemy would give the server two seconds to say goodbye.
        with anyio.fail_after(1.5):
            await store.close()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert caplog.records == []


def failure(sqlstate: str, *, is_lost: bool = False) -> DBAPIError:
    error = RuntimeError()
    error.sqlstate = sqlstate  # type: ignore[attr-defined]
    return DBAPIError("", None, error, connection_invalidated=is_lost)


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (failure("", is_lost=True), False),
        (failure("40001"), False),
        (failure("53300"), False),
        (failure("42601"), True),
        (NotFound("by intention"), False),
        (ZeroDivisionError(), True),
    ],
)
async def test_of_a_transaction_that_no_request_waits_for_mistakes_are_logged(
    postgres: PostgresStore,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    is_logged: bool,
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    def work(_: Transaction) -> None:
        began.set()
        await_only(go_on.wait())
        raise error

    asked = asyncio.create_task(postgres.scan(work))
    await began.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    go_on.set()
    await eventually(lambda: postgres._connections._free._value == CONNECTIONS)
    await asyncio.sleep(0)
    assert ("after its requester had left" in caplog.text) == is_logged


async def test_a_transaction_without_an_answer_in_time_is_not_tried_again(
    postgres: PostgresStore, another: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections of the pool, which may lead nowhere like this one, are replaced."""
    before = await three_drivers(postgres)
    tried: list[None] = []

    def look(tx: Transaction) -> None:
        tried.append(None)
        page(tx)

    async with another._engine.begin() as lock:
        await lock.execute(LOCK)
        monkeypatch.setattr(connections, "PATIENCE", 0.3)
        with pytest.raises(Overloaded):
            await postgres.scan(look)
        monkeypatch.undo()
    assert len(tried) == 1
    after = await three_drivers(postgres)
    assert set(before).isdisjoint(after)
    assert all(driver.is_closed() for driver in before)


async def three_drivers(store: PostgresStore) -> list[Any]:
    """The driver's connections of three transactions at once."""
    all_begun = asyncio.Barrier(3)

    def own(tx: Transaction) -> Any:
        await_only(all_begun.wait())
        return driver_of(tx)

    return await asyncio.gather(*(store.scan(own) for _ in range(3)))


def driver_of(tx: Transaction) -> Any:
    assert isinstance(tx, SqlTransaction)
    return tx.connection.connection.driver_connection


async def test_the_timeout_of_a_transaction_ends_with_it(
    server_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next transaction on the connection has a timeout of its own."""
    own = Connections(postgres_engine(server_database), Renewal())
    driver = await own.run("SERIALIZABLE", lambda c: driver_of(SqlTransaction(c)))
    loop = asyncio.get_running_loop()
    later = loop.time() + connections.PATIENCE + 1
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: later)
        for _ in range(3):
            await asyncio.sleep(0)
    assert not driver.is_closed()
    await own.close(0)


async def test_a_transaction_without_a_connection_in_time_harms_none(
    server_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Connections(postgres_engine(server_database), Renewal())
    driver = await own.run("SERIALIZABLE", lambda c: driver_of(SqlTransaction(c)))
    loop = asyncio.get_running_loop()
    now = loop.time()
    with monkeypatch.context() as patch:
        patch.setattr(connections, "PATIENCE", 0.0)
        patch.setattr(loop, "time", lambda: now)
        with pytest.raises(TimeoutError, match="no connection in time"):
            await own.run("SERIALIZABLE", lambda c: None)
    assert not driver.is_closed()
    assert await own.run("SERIALIZABLE", lambda c: driver_of(SqlTransaction(c))) is driver
    await own.close(0)
    assert driver.is_closed()


async def test_an_idle_connection_that_was_closed_is_replaced(server_database: str) -> None:
    own = Connections(postgres_engine(server_database), Renewal())
    closed = await own.run("SERIALIZABLE", lambda c: driver_of(SqlTransaction(c)))
    closed.terminate()
    assert await own.run("SERIALIZABLE", lambda c: driver_of(SqlTransaction(c))) is not closed
    await own.close(0)


async def test_a_cancelled_transaction_waits_for_no_answer(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither to a rollback nor to the end of the connection."""

    async def close(connection: Any) -> None:
        await connection._connection.close(timeout=60)

    began = asyncio.Event()
    drivers: list[Any] = []

    def work(tx: Transaction) -> None:
        page(tx)
        driver = driver_of(tx)
        drivers.append(driver)
        # From now on the server is silent.
        driver._transport.pause_reading()
        began.set()
        await_only(asyncio.Event().wait())

    monkeypatch.setattr(connections, "PATIENCE", 60.0)
    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "_terminate_graceful_close", close)
    asked = asyncio.create_task(postgres.scan(work))
    await began.wait()
    (transaction,) = postgres._connections._transactions._tasks
    transaction.cancel()
    with anyio.fail_after(10):
        await asyncio.wait({asked})
    assert asked.cancelled()
    assert drivers[0].is_closed()
    assert caplog.records == []


def begin_beside_sqlalchemy(tx: Transaction) -> None:
    driver = driver_of(tx)
    await_only(driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users"))


async def test_a_connection_that_comes_back_in_a_transaction_is_terminated(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    async with nothing_left(postgres, another):
        await postgres.scan(begin_beside_sqlalchemy)
        # Earlier than the server ends it.
        with anyio.fail_after(5):
            while await in_transaction(another):  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_a_connection_that_waits_in_a_transaction_is_not_used(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    async with nothing_left(postgres, another):
        await postgres.scan(page)
        (idle,) = postgres._connections._idle
        await greenlet_spawn(begin_beside_sqlalchemy, SqlTransaction(idle))
        assert len(await in_transaction(another)) == 1
        await postgres.scan(page)
        assert idle not in postgres._connections._idle


# ------------------------------------------------------------------------------ threads


async def test_work_in_a_thread_is_counted_until_it_ends(sqlite: SqliteStore) -> None:
    began, go_on = Event(), Event()
    done: list[str] = []

    def work(_: Transaction) -> None:
        began.set()
        assert go_on.wait(20)
        done.append("begun")

    begun = asyncio.create_task(sqlite.write(work))
    await asyncio.to_thread(began.wait, 20)
    queued = asyncio.create_task(sqlite.write(lambda _: done.append("queued")))
    await asyncio.sleep(0)
    assert sqlite._writes.count == 2
    for task in (begun, queued):
        task.cancel()
    await asyncio.gather(begun, queued, return_exceptions=True)
    assert sqlite._writes.count == 1
    go_on.set()
    assert await sqlite.write(lambda _: [*done]) == ["begun"]
    assert sqlite._writes.count == 0


async def test_a_failure_in_a_thread_that_no_request_waits_for_is_logged(
    sqlite: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    began, go_on = Event(), Event()

    def work(_: Transaction) -> None:
        began.set()
        assert go_on.wait(20)
        raise ZeroDivisionError

    task = asyncio.create_task(sqlite.scan(work))
    await asyncio.to_thread(began.wait, 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go_on.set()
    await eventually(lambda: "after its requester had left" in caplog.text)
    assert "ZeroDivisionError" in caplog.text


async def test_a_cancelled_write_is_whole_or_not_there(sqlite: SqliteStore) -> None:
    (user,) = await add_users(sqlite, 1)
    for _ in range(20):
        await cut_everywhere(lambda: sqlite.write(add_one_version))
    found = await sqlite.write(lambda tx: tx.users.find(AccountRef(id=user.id)))
    assert found is not None
    assert found == await sqlite.read(lambda tx: tx.users.find(AccountRef(id=user.id)))
    assert sqlite._writes.count == sqlite._reads.count == 0


async def test_a_hash_whose_requester_left_leaves_the_queue() -> None:
    hasher = Argon2Hasher(1)
    queue = hasher._queue
    tasks = [asyncio.create_task(hasher.hash("correct horse battery")) for _ in range(20)]
    await asyncio.sleep(0)
    assert queue.running + queue.waiting == 20
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # One may be under way.
    assert queue.running + queue.waiting <= 1
    await hasher.hash("correct horse battery")
    assert queue.running + queue.waiting == 0
    hasher.close()


# -------------------------------------------------------------------------------- Redis


async def test_a_cancelled_count_leaves_no_connection_of_redis_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    limit = Limit("many", 100_000, 3600)
    prefix = f"gatehouse-test-{uuid4().hex}"
    async with open_redis_rate_limiter(
        redis_url(), MemoryRateLimiter(SystemClock()), Supervisor(), prefix
    ) as rate_limiter:
        count = partial(rate_limiter.count_many, limit, "203.0.113.7", 1)
        for _ in range(20):
            await asyncio.gather(*(cut_everywhere(count) for _ in range(2 * REDIS_CONNECTIONS)))
        pool: Any = rate_limiter._storage.bridge
        pool = pool.storage.connection_pool
        assert not pool._in_use_connections
        assert await rate_limiter.count(limit, "203.0.113.7") == 0
        assert not rate_limiter._is_unavailable
