"""What the store on SQLite has at hand of credentials is never older than the file."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import Engine, event

from app.domain.credentials import Session
from app.domain.errors import UserNotFound
from app.domain.ports import Transaction
from app.domain.users import AccountRef, User
from app.storage.engine import sqlite_engine
from app.storage.recent import Recent
from app.storage.sqlite import SqliteStore
from tests.contracts.rows import access_key, add_users, save, session

pytestmark = pytest.mark.anyio

Found = tuple[Session, User] | None


@pytest.fixture
def engine(database: Path) -> Engine:
    return sqlite_engine(database)


@pytest.fixture
async def sqlite(engine: Engine) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(engine)
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


@pytest.fixture
def queries(engine: Engine) -> list[str]:
    """Every statement the store runs from now on."""
    ran: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        ran.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return ran


def execute(database: Path, statement: str) -> None:
    """As another process would: on a connection that the store knows nothing of."""
    other = pysqlite3.connect(str(database))
    other.execute(statement)
    other.commit()
    other.close()


def with_session(tx: Transaction) -> Found:
    return tx.sessions.with_owner("s1")


async def test_a_credential_of_the_last_moments_needs_no_query(
    sqlite: SqliteStore, user: User, queries: list[str]
) -> None:
    first = await sqlite.read(with_session)
    assert len(queries) == 1
    assert await sqlite.read(with_session) == first == (session("s1", user), user)
    assert len(queries) == 1


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM sessions", None),
        ("UPDATE users SET disabled = 1", True),
        ("UPDATE users SET presence = 'DND'", "DND"),
    ],
)
async def test_what_another_process_changed_is_seen_at_the_next_read(
    sqlite: SqliteStore, user: User, database: Path, statement: str, expected: object
) -> None:
    assert await sqlite.read(with_session) is not None
    execute(database, statement)
    found = await sqlite.read(with_session)
    seen = None if found is None else (found[1].disabled or found[1].presence)
    assert seen == expected


async def test_what_the_store_itself_wrote_is_seen_at_the_next_read(
    sqlite: SqliteStore, user: User
) -> None:
    def with_key(tx: Transaction) -> object:
        return tx.keys.with_owner("KEY00001")

    assert await sqlite.read(with_key) is not None
    await save(sqlite, user, admin=True)
    found = await sqlite.read(with_session)
    assert found is not None
    assert found[1].admin
    await sqlite.write(lambda tx: tx.keys.revoke(user.id))
    assert await sqlite.read(with_key) is None


@pytest.mark.parametrize("commits", [1, 2, 3, 10])
async def test_a_change_in_the_middle_of_a_read_makes_it_begin_again(
    sqlite: SqliteStore, user: User, database: Path, commits: int
) -> None:
    """Else it would join an old session with a new account: a view of no moment at all.

    However often that happens: at last it reads in a transaction.
    """
    await sqlite.read(with_session)
    left = ["UPDATE users SET version = version + 1"] * commits

    def look(tx: Transaction) -> tuple[int, int]:
        found = tx.sessions.with_owner("s1")
        if left:
            execute(database, left.pop())
        now = tx.users.find(AccountRef(id=user.id))
        assert found is not None
        assert now is not None
        return found[1].version, now.version

    joined, found = await sqlite.read(look)
    assert joined == found


async def test_a_refusal_out_of_a_view_of_no_moment_is_not_passed_on(
    sqlite: SqliteStore, user: User, database: Path
) -> None:
    left = ["UPDATE users SET version = 7"]

    def look(tx: Transaction) -> None:
        before = tx.users.find(AccountRef(id=user.id))
        if left:
            execute(database, left.pop())
        after = tx.users.find(AccountRef(id=user.id))
        if before != after:
            raise UserNotFound

    await sqlite.read(look)


def test_no_more_is_kept_than_the_bound() -> None:
    few = Recent(most=3).at(1)
    asked: list[int] = []

    def ask(number: int) -> Callable[[], str]:
        def answer() -> str:
            asked.append(number)
            return f"answer {number}"

        return answer

    for number in (*range(10), 9, 8, 7, 6):
        assert few.answer(number, ask(number)) == f"answer {number}"
    assert asked == [*range(10), 6], "the three newest are at hand"


def test_nothing_is_kept_of_what_was_not_found() -> None:
    """So nobody can fill the memory with inventions."""
    one = Recent(most=1).at(1)
    one.answer("known", lambda: "answer")
    assert one.answer("invented", lambda: None) is None
    assert one.answer("known", lambda: "asked again") == "answer"


def test_what_was_read_before_the_version_moved_on_is_neither_kept_nor_told() -> None:
    recent = Recent()
    before = recent.at(1)
    before.answer("known", lambda: "old")

    def overtaken() -> str:
        recent.is_of(2)
        return "late"

    assert before.answer("late", overtaken) == "late"
    assert before.answer("known", lambda: "asked again") == "asked again"
    now = recent.at(2)
    assert now.answer("late", lambda: "new") == "new"
    assert now.answer("known", lambda: "new") == "new"


async def test_a_reader_that_rests_keeps_no_part_of_the_log(
    sqlite: SqliteStore, user: User, database: Path
) -> None:
    """Else the log would grow for as long as the server stands."""
    await sqlite.read(lambda tx: tx.users.find(AccountRef(id=user.id)))
    sqlite.version()
    execute(database, "UPDATE users SET version = version + 1")
    other = pysqlite3.connect(str(database), isolation_level=None)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.close()
