"""Each port, and the implementations that its suite runs against.

A new implementation is a new parameter here, and nothing else.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from app.domain.ports import Clock, Ids, PasswordHasher, Randomness, Store, Tokens
from app.security.clock import SystemClock
from app.security.ids import Snowflakes, SystemRandomness
from app.security.passwords import Argon2Hasher
from app.security.signing import SigningKeyFile
from app.security.tokens import JoseTokens
from app.storage.engine import sqlite_engine
from app.storage.sqlite import SqliteStore
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import (
    FakeClock,
    FakeHasher,
    FakeIds,
    FakeRandomness,
    FakeTokens,
)


def open_sqlite(path: Path) -> SqliteStore:
    return SqliteStore(sqlite_engine(path))


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    sqlite = open_sqlite(request.getfixturevalue("database"))
    yield sqlite
    await sqlite.close()


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
            return Snowflakes(SystemClock(), worker=0)
        case _:
            return Snowflakes(FakeClock(), worker=1023)


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
