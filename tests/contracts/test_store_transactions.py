"""Every store: a write is all or nothing, and others see it when it is done."""

from dataclasses import replace

import anyio
import pytest

from app.domain.errors import NotFound
from app.domain.guilds_and_servers import Guild
from app.domain.ports.store import Store, Transaction
from app.domain.signing_keys import PublicKey
from app.domain.users import AccountRef, Sort, Status, User, UserFilter
from app.operations.views.accounts import PANEL_USER
from app.storage.postgresql.store import PostgresStore
from app.storage.sqlite.store import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from tests.contracts.rows import NOW, SERVERS, access_key, add_users, new_user, session

pytestmark = pytest.mark.anyio


def fill_everything(tx: Transaction) -> User:
    user = tx.users.add(new_user(1))
    tx.name_claims.claim("user1", user.id, now=NOW, include_held=False)
    tx.sessions.add(session("s1", user))
    tx.keys.add(access_key("KEY00001", user))
    tx.signing_keys.publish(PublicKey("kid", "{}", NOW, None, NOW, NOW))
    tx.guilds.upsert(Guild(1, "Guild", user.id, None))
    tx.guilds.add_member(1, user.id)
    tx.servers.upsert(SERVERS[0], owner_id=user.id, name="Server", enabled=True)
    return user


def count_everything(tx: Transaction) -> list[int]:
    everybody = UserFilter(status=Status.ALL)
    return [
        len(tx.users.list_page(everybody, Sort(), None, 100, PANEL_USER)),
        len(tx.name_claims.find_taken(["user1", "user2"], NOW)),
        len(tx.sessions.list_for_user(1001)),
        len(tx.keys.list_for_user(1001)),
        len(tx.signing_keys.list_all()),
        len(tx.guilds.list_all()),
        len(tx.guilds.list_for_user(1001)),
        len(tx.servers.list_all()),
    ]


async def test_a_write_leaves_all_of_its_work(store: Store) -> None:
    await store.write(fill_everything)
    assert await store.read(count_everything) == [1] * 8


async def ask_durably_or_not(store: Store, question: str) -> list[object]:
    """The answers in a durable write, in one that is not, and in another durable one."""

    def ask(tx: Transaction) -> object:
        assert isinstance(tx, SqlTransaction)
        return tx.connection.exec_driver_sql(question).scalar()

    return [await store.write(ask, is_durable=it) for it in (True, False, True)]


async def test_only_durable_writes_wait_for_the_disk(
    sqlite: SqliteStore, postgres: PostgresStore
) -> None:
    assert await ask_durably_or_not(sqlite, "PRAGMA synchronous") == [2, 1, 2]
    answers = await ask_durably_or_not(postgres, "SHOW synchronous_commit")
    assert answers == ["on", "off", "on"]


async def test_a_write_that_raises_leaves_nothing_of_its_work(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        fill_everything(tx)
        assert count_everything(tx) == [1] * 8
        raise NotFound("by intention")

    with pytest.raises(NotFound, match="by intention"):
        await store.write(fail)
    assert await store.read(count_everything) == [0] * 8


async def test_a_write_that_raises_leaves_what_was_there_before(store: Store) -> None:
    user = await store.write(fill_everything)

    def fail(tx: Transaction) -> None:
        tx.sessions.end_for_user(user.id)
        tx.keys.revoke_for_user(user.id)
        tx.guilds.delete(1)
        tx.servers.delete(SERVERS[0])
        tx.name_claims.hold_current(user.id, NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(fail)
    assert await store.read(count_everything) == [1] * 8


async def test_a_store_works_on_after_a_write_that_raised(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        await store.write(lambda _: 1 // 0)
    await store.write(fill_everything)
    assert await store.read(count_everything) == [1] * 8


async def test_a_read_that_raises_passes_its_error_on(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        raise NotFound("by intention")

    with pytest.raises(NotFound, match="by intention"):
        await store.read(fail)


async def test_the_answer_of_the_work_is_the_answer(store: Store) -> None:
    assert await store.read(lambda _: ["read"]) == ["read"]
    assert await store.write(lambda _: {"write": None}) == {"write": None}


async def test_a_transaction_sees_its_own_changes(store: Store) -> None:
    def work(tx: Transaction) -> User | None:
        tx.users.add(new_user(1))
        return tx.users.get_by_username("user1")

    found = await store.write(work)
    assert found is not None
    assert found.username == "user1"


async def test_writes_at_the_same_time_lose_nothing(store: Store) -> None:
    (user,) = await add_users(store, 1)

    def add_one(tx: Transaction) -> None:
        stored = tx.users.find(AccountRef(id=user.id))
        assert stored is not None
        tx.users.save(replace(stored, version=stored.version + 1))

    async def write() -> None:
        await store.write(add_one)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(write)
    after = await store.read(lambda tx: tx.users.find(AccountRef(id=user.id)))
    assert after is not None
    assert after.version == user.version + 20


async def test_of_two_who_want_one_name_one_gets_it(store: Store) -> None:
    users = await add_users(store, 10)
    answers: list[bool] = []

    async def want(user: User) -> None:
        answers.append(
            await store.write(
                lambda tx: tx.name_claims.claim("wanted", user.id, now=NOW, include_held=False)
            )
        )

    async with anyio.create_task_group() as group:
        for user in users:
            group.start_soon(want, user)
    assert sorted(answers) == [False] * 9 + [True]
