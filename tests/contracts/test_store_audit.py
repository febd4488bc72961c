"""Every store: audit entries are kept in order, and cannot be changed."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pysqlite3
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.audit import Door, Entry, EntryFilter, Ref, RefKind
from app.domain.ports.store import Store, Transaction
from app.domain.users import Position
from app.storage.postgresql.store import PostgresStore
from app.storage.sqlite.store import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from tests.contracts.rows import NOW, add_users
from tests.postgres import serializable

pytestmark = pytest.mark.anyio

ALICE, BOBBY = (f"00000000-0000-4000-8000-{n:012}" for n in (1, 2))
SECOND = timedelta(seconds=1)
FULL = Entry(
    at=NOW,
    actor=ALICE,
    action="admin.users.update",
    outcome="done",
    target=Ref(RefKind.USER, BOBBY),
    changes={"username": ("böse", "gut"), "admin": (False, True), "password": None},
    door=Door.REST,
    address="2001:db8::1",
    request_id="9f0c2b8e6d3a4c51",
    credential=Ref(RefKind.KEY, "ABCDEFGH"),
)
BARE = replace(
    FULL,
    actor=None,
    target=None,
    changes={},
    door=Door.COMMAND_LINE,
    address=None,
    request_id=None,
    credential=None,
)


async def add(store: Store, *entries: Entry) -> None:
    for entry in entries:
        await store.write(lambda tx, entry=entry: tx.audit.add(entry))  # type: ignore[misc]


async def page(
    store: Store, after: Position | None = None, limit: int = 100, **wanted: Any
) -> list[Entry]:
    return list(
        await store.read(lambda tx: tx.audit.list_page(EntryFilter(**wanted), after, limit))
    )


@pytest.mark.parametrize("entry", [FULL, BARE], ids=["full", "bare"])
async def test_an_entry_comes_back_as_it_was_added(store: Store, entry: Entry) -> None:
    await add(store, entry)
    (found,) = await page(store)
    assert replace(found, number=0) == entry
    assert found.number > 0


async def test_an_entry_speaks_of_what_is_gone_or_never_was(store: Store) -> None:
    await add(store, replace(FULL, target=Ref(RefKind.GUILD, "nothing")))
    assert len(await page(store, target=("nothing",))) == 1


async def test_the_newest_comes_first_and_of_one_moment_the_last_added(store: Store) -> None:
    await add(store, *(replace(BARE, at=NOW + SECOND * s, action=a) for s, a in ORDER))
    assert [entry.action for entry in await page(store)] == ["e", "c", "b", "a", "d"]


ORDER = [(1, "a"), (1, "b"), (1, "c"), (0, "d"), (2, "e")]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_pages_end_to_end_are_the_whole_trail(store: Store, limit: int) -> None:
    await add(store, *(replace(BARE, at=NOW + SECOND * s, action=a) for s, a in ORDER))
    whole = await page(store)
    found = await page(store, limit=limit)
    while len(found) < len(whole):
        following = await page(store, found[-1].position, limit)
        assert following
        found += following
    assert found == whole


async def test_a_page_after_the_end_of_time_is_the_first_and_before_it_none(store: Store) -> None:
    await add(store, BARE)
    last = 2**63 - 1
    assert len(await page(store, Position(last, last))) == 1
    assert await page(store, Position(0, 0)) == []


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["d", "c", "b", "a"]),
    ({"actor": ALICE}, ["c", "a"]),
    ({"actor": "nobody\0"}, []),
    ({"target": (BOBBY,)}, ["b", "a"]),
    ({"target": (BOBBY, "5")}, ["c", "b", "a"]),
    ({"target": ("",)}, []),
    ({"action": "b"}, ["b"]),
    ({"action": "B"}, []),
    ({"outcome": "forbidden"}, ["d"]),
    ({"since": NOW + SECOND}, ["d", "c", "b"]),
    ({"until": NOW + SECOND}, ["a"]),
    ({"since": NOW + SECOND, "until": NOW + 3 * SECOND}, ["c", "b"]),
    ({"actor": ALICE, "target": (BOBBY,), "since": NOW, "outcome": "done"}, ["a"]),
]


@pytest.mark.parametrize(("wanted", "actions"), FILTERS, ids=repr)
async def test_every_condition_that_is_given_holds(
    store: Store, wanted: dict[str, Any], actions: list[str]
) -> None:
    await add(
        store,
        replace(FULL, action="a"),
        replace(FULL, action="b", at=NOW + SECOND, actor=None),
        replace(FULL, action="c", at=NOW + 2 * SECOND, target=Ref(RefKind.GUILD, "5")),
        replace(BARE, action="d", at=NOW + 3 * SECOND, outcome="forbidden"),
    )
    assert [entry.action for entry in await page(store, **wanted)] == actions


async def test_an_error_after_an_entry_leaves_neither(store: Store) -> None:
    (user,) = await add_users(store, 1)

    def fail(tx: Any) -> None:
        tx.users.save(replace(user, version=2))
        tx.audit.add(FULL)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(fail)
    assert await page(store) == []
    assert await store.read(lambda tx: tx.users.get_by_username(user.username)) == user


async def test_writers_at_the_same_time_lose_no_entry(store: Store) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(add, store, FULL)
    found = await page(store)
    assert len({entry.number for entry in found}) == len(found) == 20


async def test_writers_do_not_get_in_each_others_way(postgres: PostgresStore) -> None:
    """Each runs once: no two entries make two transactions depend on each other."""
    runs: list[int] = []

    async def write(number: int) -> None:
        def work(tx: Any) -> None:
            runs.append(number)
            tx.audit.add(FULL)

        await postgres.write(work)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(write, number)
    assert sorted(runs) == list(range(50))


FORGERIES = [
    "UPDATE audit SET actor = 'somebody else'",
    "UPDATE audit SET number = number + 1",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE action = 'admin.users.update'",
]
ONLY_ON = {
    "sqlite": [
        "INSERT OR REPLACE INTO audit SELECT * FROM audit",
        "REPLACE INTO audit SELECT number, 0, actor, action, outcome, target_kind, target_id,"
        " changes, door, address, request_id, credential_kind, credential_id FROM audit",
        "INSERT INTO audit SELECT * FROM audit WHERE true"
        " ON CONFLICT (number) DO UPDATE SET actor = NULL",
    ],
    "postgres": [
        "TRUNCATE audit",
        "INSERT INTO audit SELECT * FROM audit ON CONFLICT (number) DO UPDATE SET actor = NULL",
        "MERGE INTO audit USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    ],
}


@pytest.fixture(
    params=[
        *((engine, statement) for engine in ONLY_ON for statement in FORGERIES),
        *((engine, statement) for engine, own in ONLY_ON.items() for statement in own),
    ],
    ids=" ".join,
)
def forgery(request: pytest.FixtureRequest) -> tuple[Store, str]:
    """A store, and the statements of an attacker with access to the database."""
    engine, statement = request.param
    return request.getfixturevalue(engine), statement


async def test_the_database_itself_refuses_to_change_or_delete_an_entry(
    forgery: tuple[Store, str],
) -> None:
    store, statement = forgery
    await add(store, FULL)

    def forge(tx: Any) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text(statement))

    with pytest.raises(DBAPIError, match="only added to"):
        await store.write(forge)
    (found,) = await page(store)
    assert replace(found, number=0) == FULL


_PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
(ON_SQLITE,) = re.findall(r'executescript\("""(.*?)"""\)', _PAGE, re.DOTALL)
(ON_POSTGRESQL,) = re.findall(r"```sql [^\n]*\n(.*?)```", _PAGE, re.DOTALL)
OLD, YOUNG = (datetime(year, 12, 31, tzinfo=UTC) for year in (2025, 2026))


async def test_the_operator_shortens_the_trail_of_sqlite_as_documented(
    sqlite: SqliteStore, database: Path
) -> None:
    await add(sqlite, replace(FULL, at=OLD), replace(FULL, at=YOUNG))
    connection = pysqlite3.connect(str(database))
    connection.executescript(ON_SQLITE)
    assert [entry.at for entry in await page(sqlite)] == [YOUNG]
    with pytest.raises(pysqlite3.IntegrityError, match="only added to"):
        connection.execute("DELETE FROM audit")
    connection.close()


async def test_the_operator_shortens_the_trail_of_postgresql_as_documented(
    postgres: PostgresStore,
) -> None:
    await add(postgres, replace(FULL, at=OLD), replace(FULL, at=YOUNG))
    # The transaction is ours here.
    _begin, *steps, _commit = ON_POSTGRESQL.strip().split("\n")

    def shorten(tx: Any) -> None:
        for step in steps:
            tx.connection.execute(text(step))

    await postgres.write(shorten)
    assert [entry.at for entry in await page(postgres)] == [YOUNG]
    with pytest.raises(DBAPIError, match="only added to"):
        await postgres.write(lambda tx: tx.connection.execute(text("DELETE FROM audit")))  # type: ignore[attr-defined]


async def test_an_entry_outlives_the_objects_it_names(sqlite: SqliteStore) -> None:
    (user,) = await add_users(sqlite, 1)
    await add(sqlite, replace(FULL, actor=user.uuid, target=Ref(RefKind.USER, user.uuid)))

    def remove(tx: Any) -> None:
        tx.connection.execute(text("DELETE FROM users"))

    await sqlite.write(remove)
    assert len(await page(sqlite, actor=user.uuid)) == 1


# ------------------------------------------------------------------------ following it


OWN_LOCKS = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
)


def following(tx: Transaction, after: int, up_to: int | None = None) -> list[int]:
    up_to = tx.audit.get_complete_up_to() if up_to is None else up_to
    return [entry.number for entry in tx.audit.list_after(EntryFilter(), after, up_to, 1000)]


async def test_the_trail_can_be_followed_in_its_order(store: Store) -> None:
    assert await store.scan(lambda tx: tx.audit.get_complete_up_to()) == 0
    await add(store, FULL, replace(FULL, at=NOW - SECOND), replace(FULL, action="another"))
    assert await store.scan(lambda tx: tx.audit.get_complete_up_to()) == 3
    assert await store.scan(lambda tx: following(tx, 0)) == [1, 2, 3]
    assert await store.scan(lambda tx: following(tx, 1)) == [2, 3]
    assert await store.scan(lambda tx: following(tx, 1, 2)) == [2]
    assert await store.scan(lambda tx: following(tx, 3)) == []
    assert await store.scan(lambda tx: following(tx, 2**53 - 1)) == []
    found = await store.scan(lambda tx: tx.audit.list_after(EntryFilter(action="another"), 0, 3, 1))
    assert [entry.number for entry in found] == [3]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_an_uncommitted_entry_holds_back_later_ones(
    postgres: PostgresStore, is_kept: bool
) -> None:
    await add(postgres, FULL)

    async def complete() -> list[int]:
        up_to = await postgres.scan(lambda tx: tx.audit.get_complete_up_to())
        return await postgres.scan(lambda tx: following(tx, 0, up_to))

    async with serializable(postgres).connect() as connection:
        transaction = await connection.begin()
        for _ in range(3):
            await connection.run_sync(lambda c: SqlTransaction(c).audit.add(FULL))
        assert await complete() == [1]
        await add(postgres, FULL)
        assert await complete() == [1]
        # However many entries there are, PostgreSQL's memory for locks is bounded.
        assert (await connection.execute(OWN_LOCKS)).scalar_one() == 1
        await (transaction.commit() if is_kept else transaction.rollback())
    assert await complete() == ([1, 2, 3, 4, 5] if is_kept else [1, 5])


async def test_a_follower_misses_no_entry_while_many_write(postgres: PostgresStore) -> None:
    seen: list[int] = []
    writers = 12

    async def write() -> None:
        for _ in range(10):
            await add(postgres, FULL)
            await add_and_fail(postgres)
        nonlocal writers
        writers -= 1

    async def follow() -> None:
        is_last = False
        while not is_last:
            is_last = writers == 0
            up_to = await postgres.scan(lambda tx: tx.audit.get_complete_up_to())
            after = seen[-1] if seen else 0
            seen.extend(await postgres.scan(partial(following, after=after, up_to=up_to)))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            for _ in range(writers):
                group.start_soon(write)
    written = sorted(entry.number for entry in await page(postgres, limit=1000))
    assert len(written) == 120
    assert seen == written


async def add_and_fail(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.audit.add(FULL)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(work)
