"""Lookups: single queries, on every store; on PostgreSQL on connections of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from asyncpg import Connection as AsyncpgConnection
from sqlalchemy import event, text

from app.domain.errors import DomainError, Overloaded
from app.domain.ports.store import Store, Transaction
from app.domain.rules import Rules
from app.domain.users import Sort, User, UserFilter
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.views.accounts import PANEL_USER
from app.runtime.background_tasks import Supervisor
from app.storage.postgresql import store as implementation
from app.storage.postgresql.lookups import CONNECTIONS
from app.storage.postgresql.store import PostgresStore, postgres_engine
from tests.cancelling import cut_everywhere
from tests.contracts.rows import LATER, NOW, access_key, add_users, save, session
from tests.fakes.ports import START
from tests.fakes.services import PASSWORD, make_services
from tools.corpora.texts import TEXTS

pytestmark = pytest.mark.anyio


async def is_free(store: Store) -> Collection[str]:
    return await store.lookups.find_taken_names(["nobody"], NOW)


def users(tx: Transaction) -> Sequence[str]:
    return tx.users.list_page(UserFilter(), Sort(), None, 10, PANEL_USER)


def claim(name: str, user: User, tx: Transaction) -> bool:
    return tx.name_claims.claim(name, user.id, now=START, include_held=False)


def add_session(user: User, id: str, tx: Transaction) -> None:
    tx.sessions.add(session(id, user))


def end_session(user: User, id: str, tx: Transaction) -> None:
    tx.sessions.end_for_user(user.id, only=id)


async def test_a_credential_is_found_with_its_account(store: Store) -> None:
    (user,) = await add_users(store, 1)
    ours, key = session("ours", user), access_key("KEYKEY01", user)

    def give(tx: Transaction) -> None:
        tx.sessions.add(ours)
        tx.keys.add(key)

    await store.write(give)
    assert await store.lookups.get_session_with_owner("ours") == (ours, user)
    assert await store.lookups.get_session_with_owner("KEYKEY01") is None
    assert await store.lookups.get_key_with_owner("KEYKEY01") == (key, user)
    assert await store.lookups.get_key_with_owner("ours") is None
    changed = await save(store, user, disabled=True)
    assert await store.lookups.get_session_with_owner("ours") == (ours, changed)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 100])
async def test_any_number_of_names_is_looked_up(store: Store, count: int) -> None:
    (user,) = await add_users(store, 1)

    def claims(tx: Transaction) -> None:
        claim("held", user, tx)
        tx.name_claims.hold_current(user.id, LATER)
        claim("own", user, tx)

    await store.write(claims)
    names = {"own", "held", *(f"free{n}" for n in range(count))}
    asked = sorted(names)[-count:]
    found = await store.lookups.find_taken_names(asked, NOW)
    assert set(found) == {"own", "held"}.intersection(asked)
    assert set(await store.lookups.find_taken_names(asked, LATER)) == {"own"}.intersection(asked)


async def test_a_lookup_sees_every_commit_before_it(
    postgres: PostgresStore, another: Store
) -> None:
    (user,) = await add_users(postgres, 1)
    for number in range(20):
        id = f"session {number}"
        await postgres.write(partial(add_session, user, id))
        assert await another.lookups.get_session_with_owner(id) is not None
        await postgres.write(partial(end_session, user, id))
        assert await another.lookups.get_session_with_owner(id) is None


# -------------------------------------------------------------------------- PostgreSQL


async def test_a_lookup_takes_no_connection_of_the_pool(postgres: PostgresStore) -> None:
    uses: list[None] = []
    event.listen(postgres._engine.sync_engine, "checkout", lambda *_: uses.append(None))
    await is_free(postgres)
    assert not uses


async def test_lookups_at_the_same_time_are_one_query_and_get_their_own_rows(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = await add_users(postgres, 30)
    for number, user in enumerate(users):
        await postgres.write(partial(add_session, user, f"session {number}"))
        await postgres.write(partial(claim, f"name{number}", user))
    fetch = AsyncpgConnection.fetch
    queries: list[str] = []

    def counted(connection: Any, query: str, *args: Any, **options: Any) -> Any:
        queries.append(query)
        return fetch(connection, query, *args, **options)

    monkeypatch.setattr(AsyncpgConnection, "fetch", counted)
    sessions = [f"session {number}" for number in range(-1, 31)]
    names = [[f"name{number}", f"free{number}"] for number in range(30)]
    *owners, found = await asyncio.gather(
        *(postgres.lookups.get_session_with_owner(id) for id in sessions),
        asyncio.gather(*(postgres.lookups.find_taken_names(some, NOW) for some in names)),
    )
    assert owners == [None, *((session(f"session {n}", u), u) for n, u in enumerate(users)), None]
    assert found == [{name} for name, _ in names]
    assert len(queries) == 2
    assert len(postgres._queries._idle) <= CONNECTIONS


async def test_lookups_are_planned_once(postgres: PostgresStore) -> None:
    for _ in range(10):
        await is_free(postgres)
    (driver,) = postgres._queries._idle
    plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE $1"
    assert [tuple(row) for row in await driver.fetch(plans, "%FROM name_claims%")] == [(10, 0)]


async def test_a_lookup_shares_no_query_that_has_begun(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    (user,) = await add_users(postgres, 1)
    await another.write(partial(add_session, user, "ours"))
    lookup = partial(postgres.lookups.get_session_with_owner, "ours")
    for _ in range(20):
        ended = asyncio.create_task(another.write(partial(end_session, user, "ours")))
        asked = []
        while not ended.done():
            asked.append(asyncio.create_task(lookup()))
            await asyncio.sleep(0)
        assert await lookup() is None
        await asyncio.gather(*asked)
        await another.write(partial(add_session, user, "ours"))


@asynccontextmanager
async def locked_names(postgres: PostgresStore) -> AsyncIterator[None]:
    """Make every lookup of names wait."""
    async with postgres._engine.begin() as connection:
        await connection.execute(text("LOCK TABLE name_claims IN ACCESS EXCLUSIVE MODE"))
        yield


@pytest.mark.parametrize("pause", [0, 0.1])
async def test_a_cancelled_lookup_leaves_its_answer_to_no_other(
    postgres: PostgresStore, pause: float
) -> None:
    async with locked_names(postgres):
        tasks = [asyncio.create_task(is_free(postgres)) for _ in range(CONNECTIONS + 2)]
        await anyio.sleep(pause)
        tasks[0].cancel()
        tasks[-1].cancel()
    with anyio.fail_after(20):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert isinstance(outcomes[-1], asyncio.CancelledError)
    assert outcomes[1:-1] == [set()] * CONNECTIONS


async def test_a_lookup_that_is_cancelled_anywhere_leaves_nothing(postgres: PostgresStore) -> None:
    (user,) = await add_users(postgres, 1)
    await postgres.write(partial(add_session, user, "ours"))
    for _ in range(3):
        await cut_everywhere(lambda: is_free(postgres))
    with anyio.fail_after(20):
        while postgres.lookups.running:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    assert postgres.lookups.waiting == 0
    for _ in range(2 * CONNECTIONS):
        assert await postgres.lookups.get_session_with_owner("ours") is not None


async def test_a_lookup_without_an_answer_in_time_is_overloaded(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "PATIENCE", 0.3)
    loop = asyncio.get_running_loop()

    async def seconds_until_refused(pause: float) -> float:
        await asyncio.sleep(pause)
        began = loop.time()
        with pytest.raises(Overloaded):
            await is_free(postgres)
        return loop.time() - began

    async with locked_names(postgres):
        # All but the first wait for the query of the first.
        pauses = (0, 0.1, 0.1, 0.2)
        with anyio.fail_after(10):
            waited = await asyncio.gather(*map(seconds_until_refused, pauses))
        assert max(waited) < 1
    monkeypatch.undo()
    assert await is_free(postgres) == set()


END_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
WAITING = text(
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
END = text("SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid")


async def run(store: PostgresStore, statement: Any) -> list[Any]:
    async with store._engine.connect() as connection:
        return list((await connection.execute(statement)).scalars())


async def test_idle_connections_that_the_server_has_ended_are_replaced(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    asked = [is_free(postgres) for _ in range(CONNECTIONS)]
    await asyncio.gather(*asked)
    async with another._engine.connect() as connection:
        await connection.execute(END_OTHERS)
    assert await asyncio.gather(*(is_free(postgres) for _ in range(CONNECTIONS)))


async def test_a_lookup_whose_connection_is_lost_is_done_again(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    await is_free(postgres)
    async with locked_names(another):
        tasks = [asyncio.create_task(is_free(postgres)) for _ in range(3)]
        with anyio.fail_after(20):
            while not (pids := await run(another, WAITING)):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert await run(another, END.bindparams(pids=pids)) == [True]
    with anyio.fail_after(20):
        assert await asyncio.gather(*tasks) == [set()] * 3


async def test_a_closed_store_keeps_no_lookup_waiting(
    server_database: str, postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "FAREWELL", 0.1)
    closing = PostgresStore(postgres_engine(server_database), Supervisor())
    async with locked_names(postgres):
        asked = [asyncio.create_task(is_free(closing)) for _ in range(3)]
        with anyio.fail_after(4):
            while not await run(postgres, WAITING):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            await closing.close()
            await asyncio.wait(asked)


@pytest.mark.parametrize("ask", [is_free, lambda store: store.scan(users)])
async def test_a_connection_lost_between_the_messages_of_one_query_is_replaced(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Store], Any]
) -> None:
    """The driver then raises an AttributeError, as it has no protocol any more."""
    prepare = AsyncpgConnection._get_statement
    lost: list[Any] = []

    async def prepare_and_lose(connection: Any, query: str, *args: Any, **options: Any) -> Any:
        statement = await prepare(connection, query, *args, **options)
        if not lost and "FROM" in query:
            lost.append(connection)
            asyncio.get_running_loop().call_soon(connection.terminate)
            await asyncio.sleep(0)
        return statement

    monkeypatch.setattr(AsyncpgConnection, "_get_statement", prepare_and_lose)
    assert not await ask(postgres)
    assert len(lost) == 1


async def test_connections_are_replaced_after_a_server_refused_writes(
    postgres: PostgresStore,
) -> None:
    await is_free(postgres)
    (before,) = postgres._queries._idle
    async with locked_names(postgres):
        # One is in use meanwhile.
        asked = asyncio.create_task(is_free(postgres))
        await anyio.sleep(0.1)
        postgres._renewal._replace()
    assert await asked == set()
    assert before.is_closed()
    assert postgres._queries._idle == []


async def test_a_server_that_is_not_there_is_overloaded() -> None:
    store = PostgresStore(postgres_engine("postgresql://127.0.0.1:1/nowhere"), Supervisor())
    with pytest.raises(Overloaded):
        await is_free(store)
    await store.close()


async def test_statements_dropped_by_a_pooler_are_prepared_again(postgres: PostgresStore) -> None:
    await is_free(postgres)
    (driver,) = postgres._queries._idle
    await driver.execute("DEALLOCATE ALL")
    assert await is_free(postgres) == set()


async def test_a_hostile_text_harms_no_other_in_its_query(postgres: PostgresStore) -> None:
    """A query that a text would make fail fails for all that share it."""
    services = make_services(store=postgres, rules=Rules(rate_limits=False))
    await perform(services, "users.create", username="alice", password=PASSWORD)
    login = await perform(services, "users.auth", username="alice", password=PASSWORD)
    token = login.view["token"]
    hostile = [text for texts in TEXTS.values() for text in texts]
    assert len(hostile) > 100
    for few in (hostile[at : at + 20] for at in range(0, len(hostile), 20)):
        async with asyncio.TaskGroup() as together:
            good = [
                together.create_task(perform(services, "users.check", username="alice")),
                together.create_task(perform(services, "users.self", token)),
            ]
            for text_ in few:
                together.create_task(refused(perform(services, "users.check", username=text_)))
                together.create_task(refused(perform(services, "users.self", text_)))
                key = f"{text_[:8]}-aaaa-bbbb-cccc-ddddeeee"
                together.create_task(refused(perform(services, "users.self", key)))
        assert good[0].result() is True
        assert good[1].result()["username"] == "alice"


async def refused(call: Awaitable[object]) -> None:
    """Await a call whose error is one of the catalogue, but none of the store."""
    (outcome,) = await asyncio.gather(call, return_exceptions=True)
    if isinstance(outcome, BaseException):
        assert isinstance(outcome, DomainError)
        assert not isinstance(outcome, Overloaded)


async def perform(
    services: Services, name: str, credential: str | None = None, **params: Any
) -> Any:
    operation = OPERATIONS[name]
    return await operation.perform(services, Caller(credential), operation.input(**params))
