"""What the store on SQLite does while somebody else writes, and with mistakes of ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.storage.engine import sqlite_engine
from app.storage.sqlite import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from tests.fakes.ports import START

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sqlite(database: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(sqlite_engine(database))
    yield store
    await store.close()


def hold(tx: Transaction) -> None:
    """Any change at all."""
    tx.signing_keys.retire("nobody", START)


async def test_notes_are_left_while_somebody_else_writes_and_reads_go_on(database: Path) -> None:
    ran: list[str] = []
    other = pysqlite3.connect(str(database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    blocked = SqliteStore(sqlite_engine(database))
    blocked.note("a session", lambda tx: ran.append("while locked"))
    assert await blocked.read(lambda tx: tx.users.newest_id()) == 0
    await blocked.close()
    assert ran == []
    other.execute("COMMIT")
    other.close()
    free = SqliteStore(sqlite_engine(database))
    free.note("a session", lambda tx: ran.append("replaced"))
    free.note("a session", lambda tx: ran.append("last"))
    free.note("a key", lambda tx: ran.append("another"))
    await free.close()
    assert ran == ["last", "another"]


async def test_a_mistake_of_ours_is_not_taken_for_a_busy_store(sqlite: SqliteStore) -> None:
    def mistaken(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(OperationalError):
        await sqlite.read(mistaken)


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
