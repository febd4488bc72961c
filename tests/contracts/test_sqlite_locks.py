"""The SQLite store while another process writes, and after programming errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pysqlite3
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.runtime.background_tasks import Supervisor
from app.storage.sqlite import store as implementation
from app.storage.sqlite.engine import BUSY_TIMEOUT, driver_of, sqlite_engine
from app.storage.sqlite.store import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from tests.contracts.rows import add, new_user
from tests.fakes.ports import START

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sqlite(database: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(sqlite_engine(database), Supervisor())
    yield store
    await store.close()


def hold(tx: Transaction) -> None:
    """Any change at all."""
    tx.signing_keys.retire("nobody", START)


async def test_deferred_writes_wait_and_reads_go_on_while_another_process_writes(
    database: Path,
) -> None:
    ran: list[str] = []
    other = pysqlite3.connect(str(database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    blocked = SqliteStore(sqlite_engine(database), Supervisor())
    blocked.defer("a session", lambda tx: ran.append("while locked"))
    assert await blocked.read(lambda tx: tx.users.newest_id()) == 0
    await blocked.close()
    assert ran == []
    other.execute("COMMIT")
    other.close()
    free = SqliteStore(sqlite_engine(database), Supervisor())
    free.defer("a session", lambda tx: ran.append("replaced"))
    free.defer("a session", lambda tx: ran.append("last"))
    free.defer("a key", lambda tx: ran.append("another"))
    await free.close()
    assert ran == ["last", "another"]


async def test_a_mistake_of_ours_is_not_taken_for_a_busy_store(sqlite: SqliteStore) -> None:
    def mistaken(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text("SELECT nothing FROM nowhere"))

    for ask in (sqlite.read, sqlite.scan, sqlite.write):
        with pytest.raises(OperationalError):
            await ask(mistaken)


async def test_a_missing_value_is_not_taken_for_a_name_in_use(sqlite: SqliteStore) -> None:
    with pytest.raises(IntegrityError, match="NOT NULL"):
        await add(sqlite, new_user(1, display_name=None))


async def test_a_store_without_room_is_overloaded_and_keeps_what_it_has(
    sqlite: SqliteStore, database: Path
) -> None:
    def grow(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text("PRAGMA max_page_count = 1"))
        tx.connection.execute(text("CREATE TABLE big AS SELECT randomblob(10000000) AS b"))

    with pytest.raises(Overloaded):
        await sqlite.write(grow)
    assert await sqlite.read(lambda tx: tx.users.newest_id()) == 0
    await sqlite.write(hold)


async def test_opening_a_second_engine_leaves_the_locks_of_the_first(database: Path) -> None:
    first = sqlite_engine(database)
    with first.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        sqlite_engine(database).dispose()
        other = pysqlite3.connect(str(database), timeout=0)
        with pytest.raises(pysqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
    first.dispose()


def busy_timeout(tx: Transaction) -> int:
    """Milliseconds that this transaction's connection waits for a lock."""
    assert isinstance(tx, SqlTransaction)
    found: int = tx.connection.execute(text("PRAGMA busy_timeout")).scalar_one()
    return found


async def test_the_event_loop_waits_for_no_lock(sqlite: SqliteStore) -> None:
    assert await sqlite.read(busy_timeout) == 0
    assert await sqlite.scan(busy_timeout) > 0


@pytest.mark.parametrize(
    ("waited", "left"), [(0.0, BUSY_TIMEOUT), (2.0, BUSY_TIMEOUT - 2), (BUSY_TIMEOUT, 0)]
)
async def test_a_write_that_waited_in_the_queue_waits_the_less_for_a_lock(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch, waited: float, left: float
) -> None:
    async with write_after(sqlite, monkeypatch, waited) as written:
        assert await written == left * 1000


async def test_a_write_that_waited_too_long_in_the_queue_is_not_begun(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with write_after(sqlite, monkeypatch, BUSY_TIMEOUT + 0.5) as written:
        with pytest.raises(Overloaded):
            await written


@asynccontextmanager
async def write_after(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> AsyncIterator[asyncio.Task[int]]:
    """A write that is in the queue for so many seconds."""
    now = [0.0]
    monkeypatch.setattr(implementation, "monotonic", lambda: now[0])
    began, go_on = Event(), Event()

    def wait(_: Transaction) -> None:
        began.set()
        assert go_on.wait(20)

    first = asyncio.create_task(sqlite.write(wait))
    await asyncio.to_thread(began.wait, 20)
    second = asyncio.create_task(sqlite.write(busy_timeout))
    await asyncio.sleep(0)
    now[0] = seconds
    go_on.set()
    await first
    yield second


async def test_a_connection_that_fails_on_the_event_loop_is_no_failure_of_the_read(
    sqlite: SqliteStore,
) -> None:
    def newest_id(tx: Transaction) -> int:
        return tx.users.newest_id()

    before = sqlite.version()
    for ask in (
        lambda: sqlite.read(newest_id),
        lambda: sqlite.lookups.get_key_with_owner("nobody"),
    ):
        await sqlite.read(newest_id)
        connection = sqlite._here._kept.open()
        driver_of(connection).set_progress_handler(lambda: 1, 1)
        assert not await ask()
        assert sqlite._here._kept.open() is not connection
        assert sqlite.version() not in {None, before}


async def test_a_connection_that_fails_in_a_write_is_replaced(sqlite: SqliteStore) -> None:
    await add(sqlite, new_user(1))
    driver_of(sqlite._written.open()).set_progress_handler(lambda: 1, 1)
    with pytest.raises(OperationalError, match="interrupted"):
        await add(sqlite, new_user(2))
    await add(sqlite, new_user(3))
    assert await sqlite.read(lambda tx: tx.users.newest_id()) == new_user(3).id


async def test_the_version_is_known_before_the_first_read(sqlite: SqliteStore) -> None:
    version = sqlite.version()
    await sqlite.read(lambda tx: tx.users.newest_id())
    assert sqlite.version() == version is not None
