"""A table altered under a running gateway: statements are prepared again, no request is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import count

import pytest
from sqlalchemy import text

from app.domain.ports.store import Transaction
from app.domain.users import User
from app.runtime.background_tasks import Supervisor
from app.storage.postgresql.connections import CONNECTIONS
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from app.storage.unit_of_work import SqlTransaction
from tests.contracts.rows import NOW, new_user, save, session
from tests.contracts.test_store_transactions import count_everything
from tests.postgres import new_database

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
WIDER = 'ALTER TABLE users ALTER COLUMN {} TYPE varchar(4000) COLLATE "C"'
CHANGES = {
    "a type": [WIDER.format("display_name"), WIDER.format("password_hash")],
    "the types of keys": [
        "ALTER TABLE sessions ALTER COLUMN address TYPE varchar(4000)",
        "ALTER TABLE access_keys ALTER COLUMN name TYPE varchar(4000)",
        "ALTER TABLE guilds ALTER COLUMN name TYPE varchar(4000)",
    ],
    "a column more": ["ALTER TABLE users ADD COLUMN colour text"],
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with new_database() as url:
        PostgresServer(url).migrate()
        yield url


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_engine(url), Supervisor())
    yield store
    await store.close()


async def use(store: PostgresStore) -> User:
    """Read and write on all connections at once."""
    number = next(NUMBERS)

    def write(tx: Transaction) -> User:
        user = tx.users.add(new_user(number))
        tx.sessions.add(session(f"s{number}", user))
        return user

    await asyncio.gather(*(store.scan(count_everything) for _ in range(2 * CONNECTIONS)))
    user = await store.write(write)
    await asyncio.gather(
        store.read(lambda tx: tx.sessions.get_with_owner("s1")),
        *(store.read(lambda tx: tx.users.get_by_username("user1")) for _ in range(CONNECTIONS)),
        *(
            store.read(lambda tx: tx.name_claims.find_taken(["user1"], NOW))
            for _ in range(CONNECTIONS)
        ),
    )
    return user


async def discard(store: PostgresStore) -> None:
    """Drop what each connection of the pool has prepared, as a pooler may do."""
    alone = store._engine.execution_options(isolation_level="AUTOCOMMIT")
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = await stack.enter_async_context(alone.connect())
            await connection.execute(text("DEALLOCATE ALL"))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_no_request_fails_after_a_table_was_altered(
    store: PostgresStore, url: str, change: list[str]
) -> None:
    user = await use(store)
    other = postgres_engine(url, for_requests=False)
    for statement in change:
        async with other.begin() as connection:
            await connection.execute(text(statement))
    await other.dispose()
    await use(store)
    await save(store, user, display_name="x" * 300)


async def test_no_request_fails_after_prepared_statements_were_dropped(
    store: PostgresStore,
) -> None:
    await use(store)
    await discard(store)
    await use(store)


async def test_no_request_fails_after_a_composite_type_was_altered(
    store: PostgresStore, url: str
) -> None:
    """The driver notices that itself, in the middle of an answer."""

    def look(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text("SELECT pair FROM pairs")).all()

    other = postgres_engine(url, for_requests=False)
    async with other.begin() as connection:
        await connection.execute(text("CREATE TYPE pair AS (one int)"))
        await connection.execute(text("CREATE TABLE pairs AS SELECT ROW(1)::pair AS pair"))
    await store.scan(look)
    async with other.begin() as connection:
        await connection.execute(text("ALTER TYPE pair ADD ATTRIBUTE two int CASCADE"))
        await connection.execute(text("UPDATE pairs SET pair = ROW(1, 2)"))
    await other.dispose()
    await store.scan(look)
