"""Each port, and the implementations that its suite runs against.

A new implementation is a new parameter here, and nothing else.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text

from app.domain.ports import Clock, Ids, PasswordHasher, Randomness, Store, Tokens
from app.security.clock import SystemClock
from app.security.ids import Snowflakes, SystemRandomness
from app.security.passwords import Argon2Hasher
from app.security.signing import SigningKeyFile
from app.security.tokens import JoseTokens
from app.storage.engine import sqlite_engine
from app.storage.postgres import PostgresServer, PostgresStore, postgres_engine
from app.storage.sqlite import SqliteStore
from app.storage.tables import metadata
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import (
    FakeClock,
    FakeHasher,
    FakeIds,
    FakeRandomness,
    FakeTokens,
)
from tests.postgres import new_database


@pytest.fixture(scope="session")
def server_database() -> Iterator[str]:
    """A migrated database on PostgreSQL for all the tests that empty it."""
    with new_database() as url:
        PostgresServer(url).migrate()
        yield url


@pytest.fixture
async def postgres(server_database: str) -> AsyncIterator[PostgresStore]:
    """An empty store on PostgreSQL."""
    engine = postgres_engine(server_database)
    names = ", ".join(table.name for table in metadata.sorted_tables)
    async with engine.begin() as connection:
        # The trail refuses to be emptied by anybody but the owner of its table.
        await connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        await connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        await connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
    store = PostgresStore(engine)
    yield store
    await store.close()


@pytest.fixture
async def sqlite(database: Path) -> AsyncIterator[SqliteStore]:
    """An empty store on SQLite."""
    store = SqliteStore(sqlite_engine(database))
    yield store
    await store.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    name = "postgres" if request.param == "postgresql" else "sqlite"
    opened: Store = request.getfixturevalue(name)
    return opened


@pytest.fixture(scope="module")
def argon2() -> Iterator[Argon2Hasher]:
    hasher = Argon2Hasher()
    yield hasher
    hasher.close()


@pytest.fixture(params=["fake", "argon2"])
def hasher(request: pytest.FixtureRequest, argon2: Argon2Hasher) -> PasswordHasher:
    return FakeHasher() if request.param == "fake" else argon2


@pytest.fixture(params=[FakeClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    implementation: type[FakeClock | SystemClock] = request.param
    return implementation()


@pytest.fixture(params=["fake", "system", "still clock"])
def ids(request: pytest.FixtureRequest) -> Ids:
    match request.param:
        case "fake":
            return FakeIds()
        case "system":
            return Snowflakes(SystemClock(), worker=lambda: 0)
        case _:
            return Snowflakes(FakeClock(), worker=lambda: 1023)


@pytest.fixture(params=[FakeRandomness, SystemRandomness])
def randomness(request: pytest.FixtureRequest) -> Randomness:
    implementation: type[FakeRandomness | SystemRandomness] = request.param
    return implementation()


@pytest.fixture
def turned_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["fake", "jose"])
def tokens(request: pytest.FixtureRequest, tmp_path: Path, turned_clock: FakeClock) -> Tokens:
    """Tokens that go by `turned_clock`."""
    if request.param == "fake":
        return FakeTokens(turned_clock)
    store, signing = MemoryStore(), SigningKeyFile(tmp_path, turned_clock)
    anyio.run(signing.ensure, store)
    return JoseTokens(signing, store, turned_clock)
