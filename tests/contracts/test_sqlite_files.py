"""Preparing, opening and closing an SQLite file, and its possible flaws."""

import threading
from pathlib import Path

import pysqlite3
import pytest
from alembic.config import Config
from sqlalchemy import Connection

from app.storage.errors import StoreError
from app.storage.migrations import SchemaError
from app.storage.sqlite.store import SqliteFile

pytestmark = pytest.mark.anyio


async def test_a_closed_store_leaves_no_thread_and_no_open_file(database: Path) -> None:
    before = set(threading.enumerate())
    async with SqliteFile(database).open() as store:
        for ask in (store.read, store.scan, store.write):
            await ask(lambda tx: tx.users.newest_id())
        log = database.with_name(database.name + "-wal")
        assert log.exists()
    # SQLite deletes it with the last connection.
    assert not log.exists()
    assert set(threading.enumerate()) <= before


async def test_a_file_that_is_no_database_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "gatehouse.sqlite3"
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match=r"gatehouse\.sqlite3: file is not a database\."):
        async with SqliteFile(path).open():
            pass


async def test_a_file_without_tables_is_neither_opened_nor_held_open(tmp_path: Path) -> None:
    path = tmp_path / "gatehouse.sqlite3"
    path.touch()
    with pytest.raises(SchemaError):
        async with SqliteFile(path).open():
            pass
    assert not path.with_name(path.name + "-wal").exists()


async def test_a_folder_is_neither_migrated_nor_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a file"):
        SqliteFile(tmp_path).migrate()
    with pytest.raises(StoreError, match="is not a file"):
        async with SqliteFile(tmp_path).open():
            pass


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "gatehouse.sqlite3"
    with pytest.raises(SchemaError, match="There is no database"):
        async with SqliteFile(path).open():
            pass
    assert not path.exists()


def test_a_file_that_is_no_database_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "gatehouse.sqlite3"
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match="file is not a database"):
        SqliteFile(path).migrate()


def test_a_migration_leaves_no_row_that_refers_to_nothing(database: Path) -> None:
    def mistaken(config: Config) -> None:
        connection: Connection = config.attributes["connection"]
        connection.exec_driver_sql("INSERT INTO guild_members VALUES (7, 7)")

    with pytest.raises(SchemaError, match="refer to nothing"):
        SqliteFile(database).migrate(mistaken)
    other = pysqlite3.connect(str(database))
    assert other.execute("SELECT count(*) FROM guild_members").fetchone() == (0,)
    other.close()


async def test_a_file_that_takes_no_row_says_so(database: Path) -> None:
    await SqliteFile(database).require_writable()
    other = pysqlite3.connect(str(database), isolation_level=None)
    other.execute(
        "CREATE TRIGGER full BEFORE INSERT ON password_attempts BEGIN SELECT RAISE(FAIL, 'no'); END"
    )
    other.close()
    with pytest.raises(StoreError, match="no"):
        await SqliteFile(database).require_writable()
