"""On PostgreSQL: what takes one prepared query, and credentials of the last moments."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import pytest
from sqlalchemy import event, text

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.domain.users import Sort, User, UserFilter
from app.storage import lookups
from app.storage.postgres import CONNECTIONS, PostgresStore, postgres_engine
from app.usecases.views import PANEL_USER
from tests.contracts.rows import add_users, session
from tests.contracts.test_snapshots import another, known
from tests.fakes.ports import START

__all__ = ["another"]
pytestmark = pytest.mark.anyio

Read = Callable[[PostgresStore, Callable[[Transaction], object]], Awaitable[object]]
HeldUp = Callable[[PostgresStore], AbstractAsyncContextManager[None]]


def is_free(tx: Transaction) -> bool:
    return not tx.names.is_taken("nobody", START)


def count_uses(store: PostgresStore, uses: list[None]) -> None:
    event.listen(store._engine.sync_engine, "checkout", lambda *_: uses.append(None))


async def test_one_prepared_query_takes_no_connection_of_the_pool(postgres: PostgresStore) -> None:
    uses: list[None] = []
    count_uses(postgres, uses)
    assert await postgres.read(is_free)
    assert not uses


async def test_neither_does_one_beside_a_credential_that_is_at_hand(
    postgres: PostgresStore,
) -> None:
    (user,) = await add_users(postgres, 1)
    ours = session("ours", user)
    await postgres.write(lambda tx: tx.sessions.add(ours))

    def page(tx: Transaction) -> object:
        found = tx.sessions.with_owner(ours.id)
        return found, tx.users.page(UserFilter(), Sort(), None, 10, PANEL_USER)

    uses: list[None] = []
    count_uses(postgres, uses)
    with anyio.fail_after(20):
        while True:
            await known(postgres)
            uses.clear()
            found = await postgres.read(page)
            if not uses:
                break
    assert found == await postgres.scan(page)


async def test_more_at_once_than_there_are_connections_are_all_answered(
    postgres: PostgresStore,
) -> None:
    answers = []

    async def ask() -> None:
        answers.append(await postgres.read(is_free))

    async with anyio.create_task_group() as group:
        for _ in range(10 * lookups.CONNECTIONS):
            group.start_soon(ask)
    assert answers == [True] * 10 * lookups.CONNECTIONS


async def test_nobody_finds_a_session_whose_end_was_told_by_another(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    (user,) = await add_users(postgres, 1)
    for number in range(20):
        id = f"session {number}"
        find, end = partial(find_session, id), partial(end_session, user, id)
        await postgres.write(partial(add_session, user, id))
        await known(another)
        assert await another.read(find) is not None
        assert await another.read(find) is not None
        await postgres.write(end)
        assert await another.read(find) is None


def add_session(user: User, id: str, tx: Transaction) -> None:
    tx.sessions.add(session(id, user))


def find_session(id: str, tx: Transaction) -> object:
    return tx.sessions.with_owner(id)


def end_session(user: User, id: str, tx: Transaction) -> None:
    tx.sessions.end(user.id, only=id)


@asynccontextmanager
async def full_pool(postgres: PostgresStore) -> AsyncIterator[None]:
    """Nobody gets a connection meanwhile."""
    async with AsyncExitStack() as held:
        for _ in range(CONNECTIONS):
            await held.enter_async_context(postgres._engine.connect())
        yield


@asynccontextmanager
async def locked_names(postgres: PostgresStore) -> AsyncIterator[None]:
    """Nobody is told meanwhile whether a name is taken."""
    async with postgres._engine.begin() as connection:
        await connection.execute(text("LOCK TABLE name_claims IN ACCESS EXCLUSIVE MODE"))
        yield


@pytest.mark.parametrize(
    ("read", "held_up"), [(PostgresStore.scan, full_pool), (PostgresStore.read, locked_names)]
)
async def test_who_was_held_up_finds_no_session_that_ended_meanwhile(
    postgres: PostgresStore, another: PostgresStore, read: Read, held_up: HeldUp
) -> None:
    (user,) = await add_users(postgres, 1)
    found: list[object] = []

    def find(tx: Transaction) -> object:
        session = tx.sessions.with_owner("ours")
        return session if is_free(tx) else None

    async def ask() -> None:
        found.append(await read(postgres, find))

    await postgres.write(partial(add_session, user, "ours"))
    await known(postgres)
    assert await postgres.read(find) is not None
    async with anyio.create_task_group() as group, held_up(postgres):
        await known(postgres)
        group.start_soon(ask)
        await another.write(partial(end_session, user, "ours"))
        assert not found
    assert found == [None]


async def test_a_server_that_is_not_there_is_overloaded() -> None:
    store = PostgresStore(postgres_engine("postgresql://127.0.0.1:1/nowhere"))
    with pytest.raises(Overloaded):
        await store.read(is_free)
    await store.close()
