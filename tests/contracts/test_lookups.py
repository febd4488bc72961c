"""On PostgreSQL: what takes one prepared query, and credentials of the last moments."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.domain.users import Sort, User, UserFilter
from app.storage import lookups, snapshots
from app.storage.postgres import CONNECTIONS, PostgresStore, postgres_engine
from app.usecases.views import PANEL_USER
from tests.contracts.rows import add_users, session
from tests.contracts.test_snapshots import another, known
from tests.fakes.ports import START

__all__ = ["another"]
pytestmark = pytest.mark.anyio

Read = Callable[[PostgresStore, Callable[[Transaction], object]], Awaitable[object]]
HeldUp = Callable[[PostgresStore], AbstractAsyncContextManager[None]]


def claim(name: str, user: User, tx: Transaction) -> bool:
    return tx.names.claim(name, user.id, now=START, held_too=False)


def is_free(tx: Transaction) -> bool:
    return not tx.names.taken(["nobody"], START)


# Whoever waits for a lock.
END_WAITING = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Noting:
    """A connection whose questions are noted."""

    def __init__(self, connection: Any, questions: list[Any]) -> None:
        self._connection = connection
        self._questions = questions

    def fetch(self, statement: str, keys: Any) -> Any:
        self._questions.append(keys)
        return self._connection.fetch(statement, keys)

    def terminate(self) -> None:
        self._connection.terminate()


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The keys of each question that is sent."""
    noted: list[Any] = []

    async def connect(engine: AsyncEngine, patience: float) -> Noting:
        return Noting(await snapshots.connect(engine, patience), noted)

    monkeypatch.setattr(lookups, "connect", connect)
    return noted


async def taken(store: PostgresStore, *asked: Sequence[str]) -> list[Collection[str]]:
    """What is found by all who ask at once."""

    async def find(names: Sequence[str]) -> Collection[str]:
        return await store.read(lambda tx: tx.names.taken(names, START))

    return [*await asyncio.gather(*map(find, asked))]


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


async def test_what_is_asked_by_key_at_once_is_one_question(
    postgres: PostgresStore, questions: list[Any]
) -> None:
    (user,) = await add_users(postgres, 1)
    await postgres.write(partial(claim, "one", user))
    asked = [["one"], ["other"], ["other", "one"], [], ["one", "one"]]
    assert await taken(postgres, *asked) == [{"one"}, set(), {"one"}, set(), {"one"}]
    assert questions == [["one", "other", "other", "one", "one", "one"]]


async def test_no_question_grows_without_bound(
    postgres: PostgresStore, questions: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "KEYS_MAX", 3)
    assert await taken(postgres, ["a", "b"], ["c", "d"], ["e"]) == [set()] * 3
    assert questions == [["a", "b", "c", "d"], ["e"]]


async def test_who_comes_while_others_wait_for_an_answer_goes_by_what_holds_when_he_comes(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    """Claims of a name, each told before somebody asks for it."""
    (user,) = await add_users(postgres, 1)
    found = []

    async def claim_and_ask(name: str) -> None:
        await another.write(partial(claim, name, user))
        found.append(await taken(postgres, [name]) == [{name}])

    async def keep_asking() -> None:
        while len(found) < 20:
            await postgres.read(is_free)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(keep_asking)
        for number in range(20):
            group.start_soon(claim_and_ask, f"name{number}")
    assert found == [True] * 20


async def test_who_goes_away_takes_nobody_with_him(postgres: PostgresStore) -> None:
    answers = []

    async def ask() -> None:
        answers.append(await postgres.read(is_free))

    for first in (True, False):
        async with locked_names(postgres):
            tasks = [asyncio.create_task(ask()) for _ in range(3)]
            # Their question has been sent by then, or not yet.
            await anyio.sleep(0 if first else 0.1)
            tasks[0].cancel()
        with anyio.fail_after(20):
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
    assert answers == [True] * 4


async def test_a_connection_lost_in_the_middle_of_a_question_leaves_nobody_waiting(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    assert await postgres.read(is_free)
    async with locked_names(another):
        tasks = [asyncio.create_task(postgres.read(is_free)) for _ in range(3)]
        ended = 0
        with anyio.fail_after(20):
            while not ended:
                async with another._engine.connect() as connection:
                    ended = len((await connection.execute(END_WAITING)).all())
    assert ended == 1
    with anyio.fail_after(20):
        assert await asyncio.gather(*tasks) == [True] * 3


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
    postgres: PostgresStore,
    another: PostgresStore,
    read: Read,
    held_up: HeldUp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A busy machine takes longer for the rest of this than a lookup waits for its answer.
    monkeypatch.setattr("app.storage.lookups.PATIENCE", 30.0)
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
