"""Reads on SQLite's event loop: one moment of the file, never an old one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.domain.credentials import Session
from app.domain.errors import Overloaded, UserNotFound
from app.domain.ports.store import Transaction
from app.domain.users import AccountRef, User
from app.runtime.background_tasks import Supervisor
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteStore
from tests.contracts.rows import access_key, add_users, save, session

pytestmark = pytest.mark.anyio

Found = tuple[Session, User] | None


@pytest.fixture
async def sqlite(database: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(sqlite_engine(database), Supervisor())
    yield store
    await store.close()


@pytest.fixture
async def user(sqlite: SqliteStore) -> User:
    (user,) = await add_users(sqlite, 1)

    def give_credentials(tx: Transaction) -> None:
        tx.sessions.add(session("s1", user))
        tx.keys.add(access_key("KEY00001", user))

    await sqlite.write(give_credentials)
    return user


def execute(database: Path, statement: str) -> None:
    """Execute on a connection that the store does not know, as another process would."""
    other = pysqlite3.connect(str(database))
    other.execute(statement)
    other.commit()
    other.close()


def with_session(tx: Transaction) -> Found:
    return tx.sessions.get_with_owner("s1")


@pytest.mark.parametrize("by_lookup", [True, False])
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM sessions", None),
        ("UPDATE users SET disabled = 1", True),
        ("UPDATE users SET presence = 'DND'", "DND"),
    ],
)
async def test_a_change_by_another_process_is_seen_at_the_next_read(
    sqlite: SqliteStore,
    user: User,
    database: Path,
    statement: str,
    expected: object,
    by_lookup: bool,
) -> None:
    async def find() -> Found:
        if by_lookup:
            return await sqlite.lookups.get_session_with_owner("s1")
        return await sqlite.read(with_session)

    assert await find() == (session("s1", user), user)
    execute(database, statement)
    found = await find()
    seen = None if found is None else (found[1].disabled or found[1].presence)
    assert seen == expected


async def test_a_change_by_the_store_itself_is_seen_at_the_next_read(
    sqlite: SqliteStore, user: User
) -> None:
    def with_key(tx: Transaction) -> object:
        return tx.keys.get_with_owner("KEY00001")

    assert await sqlite.read(with_key) is not None
    await save(sqlite, user, admin=True)
    found = await sqlite.read(with_session)
    assert found is not None
    assert found[1].admin
    await sqlite.write(lambda tx: tx.keys.revoke_for_user(user.id))
    assert await sqlite.read(with_key) is None


async def test_a_read_sees_one_moment_whatever_is_committed_meanwhile(
    sqlite: SqliteStore, user: User, database: Path
) -> None:
    """A session and an account of two moments would be a state that never was."""

    def look(tx: Transaction) -> tuple[int, int]:
        found = tx.sessions.get_with_owner("s1")
        execute(database, "UPDATE users SET version = version + 1")
        now = tx.users.find(AccountRef(id=user.id))
        assert found is not None
        assert now is not None
        return found[1].version, now.version

    assert await sqlite.read(look) == (1, 1)
    assert await sqlite.read(look) == (2, 2)


async def test_a_refusal_ends_the_read(sqlite: SqliteStore, user: User, database: Path) -> None:
    tried: list[None] = []

    def look(tx: Transaction) -> None:
        tried.append(None)
        tx.users.find(AccountRef(id=user.id))
        raise UserNotFound

    with pytest.raises(UserNotFound):
        await sqlite.read(look)
    assert len(tried) == 1
    execute(database, "UPDATE users SET version = 7")
    found = await sqlite.read(with_session)
    assert found is not None
    assert found[1].version == 7


async def test_an_idle_reader_keeps_no_part_of_the_log(
    sqlite: SqliteStore, user: User, database: Path
) -> None:
    """Otherwise the log would grow for as long as the server runs."""
    await sqlite.read(lambda tx: tx.users.find(AccountRef(id=user.id)))
    await sqlite.lookups.get_session_with_owner("s1")
    sqlite.version()
    execute(database, "UPDATE users SET version = version + 1")
    other = pysqlite3.connect(str(database), isolation_level=None)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.close()


async def test_a_connection_whose_read_failed_is_closed(database: Path) -> None:
    """It may be in a transaction, or of a file that is gone."""
    engine = sqlite_engine(database)
    store = SqliteStore(engine, Supervisor())
    closed: list[object] = []
    event.listen(engine, "invalidate", lambda connection, *_: closed.append(connection))

    def fail(_tx: Transaction) -> None:
        raise OperationalError("", None, pysqlite3.OperationalError("disk I/O error"))

    with pytest.raises((OperationalError, Overloaded)):
        await store.read(fail)
    assert len(closed) == 1
    assert await store.read(with_session) is None
    await store.close()
