"""SQLite without a write-ahead log, as where its library has the defect of WAL mode."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pysqlite3
import pytest

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.runtime.background_tasks import Supervisor
from app.storage.errors import StoreError
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.library import (
    UnsupportedSqliteError,
    has_sound_wal,
    journal_mode,
    require_supported_sqlite,
)
from app.storage.sqlite.store import SqliteFile, SqliteStore
from tests.contracts.rows import add, new_user
from tests.contracts.test_sqlite_locks import busy_timeout

pytestmark = pytest.mark.anyio

# File format versions in the header (sqlite.org/fileformat.html): rollback journal, WAL.
ROLLBACK, WAL = (1, 1), (2, 2)


@pytest.fixture
def without_wal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.sqlite.engine.journal_mode", lambda: "truncate")


@pytest.fixture
async def sqlite(database: Path, without_wal: None) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(sqlite_engine(database), Supervisor())
    yield store
    await store.close()


@pytest.fixture
def other(database: Path, sqlite: SqliteStore) -> Iterator[pysqlite3.Connection]:
    """Another process."""
    sqlite.version()
    connection = pysqlite3.connect(str(database), isolation_level=None, timeout=0)
    yield connection
    connection.close()


def format_of(database: Path) -> tuple[int, ...]:
    return struct.unpack_from("BB", database.read_bytes(), 18)


def count_users(tx: Transaction) -> int:
    return tx.users.newest_id()


@pytest.mark.parametrize(
    ("version", "is_sound"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
    ],
)
def test_wal_is_used_where_the_library_is_sound_for_it(
    version: tuple[int, ...], is_sound: bool
) -> None:
    assert has_sound_wal(version) is is_sound


def test_the_library_of_the_pinned_wheel_is_sound() -> None:
    assert journal_mode() == "wal"


def test_a_library_that_is_too_old_is_refused_with_what_to_do() -> None:
    require_supported_sqlite((3, 34, 0))
    with pytest.raises(UnsupportedSqliteError, match=r"SQLite 3\.33\.0 .* 3\.34\.0 or newer"):
        require_supported_sqlite((3, 33, 0))


async def test_a_database_changes_its_journal_and_keeps_its_rows(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data directory may move between machines with and without a sound library."""
    for number, (mode, expected) in enumerate(
        [("truncate", ROLLBACK), ("wal", WAL), ("truncate", ROLLBACK)]
    ):
        monkeypatch.setattr("app.storage.sqlite.engine.journal_mode", lambda mode=mode: mode)
        async with SqliteFile(database).open() as store:
            await add(store, new_user(number + 1))
            assert await store.read(count_users) == new_user(number + 1).id
        assert format_of(database) == expected


async def test_a_log_that_another_program_uses_stops_the_start(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = pysqlite3.connect(str(database), isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("SELECT count(*) FROM users").fetchone()
    monkeypatch.setattr("app.storage.sqlite.engine.journal_mode", lambda: "truncate")
    engine = sqlite_engine(database, timeout=0)
    monkeypatch.setattr("app.storage.sqlite.store.sqlite_engine", lambda _: engine)
    with pytest.raises(StoreError, match="locked"):
        async with SqliteFile(database).open():
            pass
    other.close()


async def test_every_write_is_on_disk_before_its_end(sqlite: SqliteStore) -> None:
    """Without a log, `synchronous = NORMAL` could corrupt the file."""

    def synchronous(tx: Transaction) -> int:
        connection = tx.connection  # type: ignore[attr-defined]
        found: int = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        return found

    assert [await sqlite.write(synchronous, is_durable=is_it) for is_it in (True, False)] == [2, 2]


async def test_each_commit_of_another_process_changes_the_version(
    sqlite: SqliteStore, other: pysqlite3.Connection
) -> None:
    seen = {sqlite.version()}
    for number in range(3):
        other.execute(f"CREATE TABLE another{number} (number)")
        seen.add(sqlite.version())
        assert sqlite.version() in seen
    await add(sqlite, new_user(1))
    seen.add(sqlite.version())
    assert len(seen) == 5
    assert None not in seen


async def test_during_a_commit_no_version_is_known_and_the_connection_is_kept(
    sqlite: SqliteStore, other: pysqlite3.Connection
) -> None:
    before, kept = sqlite.version(), sqlite._here._kept.open()
    other.execute("BEGIN EXCLUSIVE")
    assert sqlite.version() is None
    other.execute("CREATE TABLE another (number)")
    other.execute("COMMIT")
    assert sqlite.version() not in {None, before}
    assert sqlite._here._kept.open() is kept


async def test_a_read_waits_for_a_commit_in_a_thread(
    sqlite: SqliteStore, other: pysqlite3.Connection
) -> None:
    def read(tx: Transaction) -> int:
        tx.users.newest_id()
        return busy_timeout(tx)

    other.execute("BEGIN EXCLUSIVE")
    reading = asyncio.create_task(sqlite.read(read))
    # The event loop goes on.
    await asyncio.sleep(0)
    assert sqlite._reads.count == 1
    other.execute("COMMIT")
    assert await reading > 0
    assert await sqlite.read(read) == 0


async def test_a_write_that_a_reader_holds_up_too_long_is_not_done(
    sqlite: SqliteStore, other: pysqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM users").fetchone()
    with pytest.raises(Overloaded):
        await sqlite._run(
            sqlite._writer,
            lambda: sqlite._written,
            lambda tx: tx.users.add(new_user(1)),
            patience=0,
        )
    other.execute("COMMIT")
    assert await sqlite.read(count_users) == 0
    await add(sqlite, new_user(2))
    assert await sqlite.read(count_users) == new_user(2).id


async def test_an_idle_reader_holds_no_lock(
    sqlite: SqliteStore, other: pysqlite3.Connection
) -> None:
    await sqlite.read(count_users)
    await sqlite.scan(count_users)
    await sqlite.lookups.get_session_with_owner("s1")
    sqlite.version()
    other.execute("BEGIN EXCLUSIVE")
    other.execute("COMMIT")
