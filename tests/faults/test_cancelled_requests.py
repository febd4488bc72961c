"""Every route and method of both APIs, cancelled at its await points, on either engine.

FAULT_CUTS says how many requests are cut on each, FAULT_SEED what a failure names.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from shutil import copyfile

import anyio
import pytest
from sqlalchemy import text

from app.domain.ports.store import Transaction
from app.rest.operation_route import OperationRoute
from app.runtime.background_tasks import Supervisor
from app.security.passwords import Argon2Hasher
from app.settings import Settings
from app.storage.postgresql.connections import CONNECTIONS
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteStore
from tests.cancelling import cut_at
from tests.databases import ENGINES
from tests.gateway import open_gateway
from tests.postgres import new_database
from tests.security.cast import Cast, cast_of
from tests.security.matrix import CHAT_ROWS, DONE, UNKNOWN, panel_asks

pytestmark = pytest.mark.anyio

CUTS = int(os.environ.get("FAULT_CUTS", "60"))
SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
ROLES = ["an admin", "an admin's key", "a user"]
ASKS: list[tuple[OperationRoute | None, str]] = [*((None, row) for row in CHAT_ROWS), *panel_asks()]
IN_TRANSACTION = text(
    "SELECT query FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)

AnyStore = PostgresStore | SqliteStore


@dataclass(frozen=True, slots=True)
class ApplicationUnderTest:
    """A gateway, everybody who calls at it, and another process at its store."""

    cast: Cast
    store: AnyStore
    another: AnyStore


@contextmanager
def database_of(engine: str, file: Path) -> Iterator[str | None]:
    """The URL of a migrated database on PostgreSQL; None for SQLite."""
    if engine == "sqlite":
        yield None
        return
    with new_database() as url:
        PostgresServer(url).migrate()
        yield url


def open_store(file: Path, url: str | None) -> AnyStore:
    return (
        SqliteStore(sqlite_engine(file), Supervisor())
        if url is None
        else PostgresStore(postgres_engine(url), Supervisor())
    )


@pytest.fixture(params=ENGINES)
def databases(
    request: pytest.FixtureRequest, migrated: Path, tmp_path: Path
) -> Iterator[tuple[Path, str | None]]:
    file = tmp_path / migrated.name
    copyfile(migrated, file)
    with database_of(request.param, file) as url:
        yield file, url


@pytest.fixture
async def application(databases: tuple[Path, str | None]) -> AsyncIterator[ApplicationUnderTest]:
    store, another, hasher = open_store(*databases), open_store(*databases), Argon2Hasher()
    settings = Settings(rate_limits="off")
    async with open_gateway(databases[0], settings, store=store) as gateway:
        yield ApplicationUnderTest(await cast_of(gateway), store, another)
    for opened in (store, another):
        await opened.close()
    hasher.close()


async def test_a_request_that_is_cancelled_leaves_nothing_behind(
    application: ApplicationUnderTest,
) -> None:
    random = Random(SEED)
    cuts = whole = 0
    # Of each kind, how many await points are known.
    points = [0] * len(ASKS)
    while cuts < CUTS:
        for kind in random.sample(range(len(ASKS)), len(ASKS)):
            if cuts >= CUTS:
                break
            route, row = ASKS[kind]
            scene = await application.cast.scene(random.choice(ROLES))
            work = scene.by_chat(row) if route is None else scene.by_panel(route, row, "")
            # Beyond the last one known, so that all of them are found.
            step = random.randint(1, points[kind] + 1)
            is_cut = await cut_at(work, step)
            points[kind] = max(points[kind], step if is_cut else 0)
            cuts, whole = cuts + is_cut, whole + (not is_cut)
    await require_nothing_left(application)
    print(
        f"\n{cuts} requests cut at {sum(points)} await points of {len(ASKS)} kinds, "
        f"{whole} went on to their end; FAULT_SEED={SEED}"
    )


async def require_nothing_left(application: ApplicationUnderTest) -> None:
    """A write, a read and a revocation by another process, and nothing in use or in progress."""
    await require_idle(application.store)
    if isinstance(application.another, PostgresStore):
        async with application.another._engine.connect() as connection:
            assert (await connection.execute(IN_TRANSACTION)).all() == []
    for role in ("an admin's key", "a user's key"):
        key = str(application.cast.parts[role].credential)
        me = await application.cast.scene(role)
        assert await me.get("GET", "/users/@self") == DONE
        await application.another.write(partial(revoke, key[:8]))
        for _ in range(2 * CONNECTIONS):
            assert await me.get("GET", "/users/@self") == UNKNOWN
            assert await me.by_chat("users.self") == UNKNOWN
            assert await me.get("GET", "/users") == UNKNOWN


def revoke(key_id: str, tx: Transaction) -> None:
    found = tx.keys.get_with_owner(key_id)
    assert found is not None
    assert tx.keys.revoke_for_user(found[1].id, only=key_id)


async def require_idle(store: AnyStore) -> None:
    def is_idle() -> bool:
        if isinstance(store, PostgresStore):
            return store._connections._free._value == CONNECTIONS and not store._under_way.count
        return not store._writes.count and not store._reads.count

    with anyio.fail_after(20):
        while not is_idle():  # noqa: ASYNC110
            await anyio.sleep(0.01)
