"""Each port, and the implementations that its suite runs against.

A new implementation is a new parameter here, and nothing else.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import copyfile

import anyio
import pytest

from app.domain.ports.services import Clock, Ids, PasswordHasher, Randomness, Tokens
from app.domain.ports.store import Store
from app.runtime.background_tasks import Supervisor
from app.security.clock import SystemClock
from app.security.ids import Snowflakes, SystemRandomness
from app.security.passwords import Argon2Hasher
from app.security.signing_keys import SigningKeyFile
from app.security.tokens import JoseTokens
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteStore
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import (
    FakeClock,
    FakeHasher,
    FakeIds,
    FakeRandomness,
    FakeTokens,
)
from tests.postgres import empty, new_database

STORES = ["memory", "sqlite", "postgresql"]


@pytest.fixture(scope="session")
def server_template() -> Iterator[str]:
    """A migrated PostgreSQL database without connections: copying it is faster than migrating."""
    with new_database() as url:
        PostgresServer(url).migrate()
        yield url


@pytest.fixture(scope="session")
def server_database(server_template: str) -> Iterator[str]:
    """A database on PostgreSQL for all the tests that need it empty."""
    with new_database(server_template) as url:
        yield url


@pytest.fixture
async def postgres(server_database: str) -> AsyncIterator[PostgresStore]:
    """An empty store on PostgreSQL."""
    await empty(server_database)
    store = PostgresStore(postgres_engine(server_database), Supervisor())
    yield store
    await store.close()


@pytest.fixture
async def another(server_database: str, postgres: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The same database as that of `postgres`, seen by another process."""
    store = PostgresStore(postgres_engine(server_database), Supervisor())
    yield store
    await store.close()


@pytest.fixture
async def sqlite(database: Path) -> AsyncIterator[SqliteStore]:
    """An empty store on SQLite."""
    store = SqliteStore(sqlite_engine(database), Supervisor())
    yield store
    await store.close()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store."""
    return _store(request, postgresql="postgres", sqlite="sqlite")


@pytest.fixture(scope="module")
def shared_server_database(server_template: str) -> Iterator[str]:
    """A database on PostgreSQL for the tests of a module that only read it."""
    with new_database(server_template) as url:
        yield url


@pytest.fixture(scope="module")
async def shared_postgres(shared_server_database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_engine(shared_server_database), Supervisor())
    yield store
    await store.close()


@pytest.fixture(scope="module")
async def shared_sqlite(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SqliteStore]:
    path = tmp_path_factory.mktemp("shared") / migrated.name
    copyfile(migrated, path)
    store = SqliteStore(sqlite_engine(path), Supervisor())
    yield store
    await store.close()


@pytest.fixture(scope="module", params=STORES)
def shared_store(request: pytest.FixtureRequest) -> Store:
    """A store for the tests of a module that only read it; empty at first."""
    return _store(request, postgresql="shared_postgres", sqlite="shared_sqlite")


def _store(request: pytest.FixtureRequest, **fixtures: str) -> Store:
    if request.param == "memory":
        return MemoryStore()
    store: Store = request.getfixturevalue(fixtures[request.param])
    return store


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
        return FakeTokens()
    store, signing = MemoryStore(), SigningKeyFile(tmp_path, turned_clock)
    anyio.run(signing.ensure, store)
    return JoseTokens(signing, store, turned_clock)
