"""On PostgreSQL: nobody relies on a state that is not the present one, once its change is told."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import uvloop
from sqlalchemy import event

from app.domain.ports import Transaction
from app.domain.registry import Guild
from app.domain.users import User
from app.storage import snapshots
from app.storage.postgres import PostgresStore, postgres_engine
from app.storage.snapshots import LEASE
from app.storage.unit_of_work import SqlTransaction
from app.storage.voids import READ_BY_LASTING
from app.usecases.registry import REST_OPERATIONS
from tests.contracts.rows import access_key, add_users, new_user, save, session
from tests.fakes.ports import START
from tests.fakes.services import as_user, make_services

pytestmark = pytest.mark.anyio


@pytest.fixture
async def another(server_database: str, postgres: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The same database, seen by another process."""
    store = PostgresStore(postgres_engine(server_database))
    yield store
    await store.close()


async def known(store: PostgresStore) -> object:
    """The version, as soon as it is known."""
    with anyio.fail_after(20):
        while (version := store.version()) is None:
            await anyio.lowlevel.checkpoint()
    return version


async def test_a_version_that_nobody_asks_for_is_not_known_for_long(
    postgres: PostgresStore,
) -> None:
    await known(postgres)
    await anyio.sleep(2 * LEASE)
    assert postgres.version() is None


async def test_whoever_changed_something_returns_when_nobody_knows_the_state_before(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    (user,) = await add_users(postgres, 1)
    for change in range(20):
        before = {await known(another), await known(postgres)}
        await save(postgres, user, display_name=f"name {change}")
        assert another.version() not in before
        assert postgres.version() not in before


def test_no_lease_outlives_the_wait_for_it_by_a_part_of_a_millisecond() -> None:
    """By the clock of uvloop, on which servers run."""
    waited: list[float] = []

    async def wait() -> None:
        began = monotonic()
        await snapshots.outlast()
        waited.append(monotonic() - began)

    async def wait_from_many_moments() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(wait)
                await anyio.sleep(0.0037)

    uvloop.run(wait_from_many_moments())
    assert min(waited) >= LEASE


async def test_no_state_is_known_where_the_server_cannot_be_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = PostgresStore(postgres_engine("postgresql://127.0.0.1:1/nowhere"))
    with anyio.fail_after(20):
        while "not known" not in caplog.text:
            assert store.version() is None
            await anyio.lowlevel.checkpoint()
    assert store.version() is None
    await store.close()


async def test_a_lost_connection_is_replaced(
    postgres: PostgresStore, another: PostgresStore
) -> None:
    await known(another)
    await postgres.write(_end_other_connections)
    await anyio.sleep(2 * LEASE)
    assert await known(another)


def _end_other_connections(tx: Transaction) -> None:
    assert isinstance(tx, SqlTransaction)
    tx.connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


LATER = START + timedelta(days=400)
Change = Callable[[Transaction, User], object]
CHANGES: dict[str, tuple[Change, bool]] = {
    "a new account": (lambda tx, _: tx.users.add(new_user(2)), False),
    "a new session": (lambda tx, user: tx.sessions.add(session("new", user)), False),
    "a changed account": (lambda tx, user: tx.users.save(replace(user, version=2)), True),
    "an ended session": (lambda tx, user: tx.sessions.end(user.id), True),
    "an expired session": (lambda tx, user: tx.sessions.end_expired(user.id, LATER), True),
    "sessions that go on": (lambda tx, user: tx.sessions.end_expired(user.id, START), False),
    "sessions that nobody has": (lambda tx, _: tx.sessions.end(99), False),
    "a revoked key": (lambda tx, user: tx.keys.revoke(user.id), True),
    "a new guild": (lambda tx, user: tx.guilds.put(Guild(7, "guild", user.id, None)), True),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_only_who_voids_a_kept_answer_waits(
    postgres: PostgresStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user,) = await add_users(postgres, 1)
    await postgres.write(lambda tx: tx.sessions.add(session("old", user)))
    await postgres.write(lambda tx: tx.keys.add(access_key("KEYKEY01", user)))
    waited = []

    async def outlast() -> None:
        waited.append(name)

    monkeypatch.setattr(snapshots, "outlast", outlast)
    change, voids = CHANGES[name]
    await postgres.write(lambda tx: change(tx, user))
    assert waited == ([name] if voids else [])


async def test_lasting_operations_read_nothing_that_changes_unnoticed(
    postgres: PostgresStore,
) -> None:
    services = make_services(store=postgres)
    caller = await as_user(services, "alice")
    read: set[str] = set()

    @event.listens_for(postgres._engine.sync_engine, "before_cursor_execute")
    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        read.update(re.findall(r"(?:FROM|JOIN) (\w+)", statement))

    for operation in REST_OPERATIONS.values():
        # The lists of accounts last where the store tells of new ones, and this one does not.
        if operation.lasting and not operation.lists_accounts:
            await operation.perform(services, caller, operation.input())
    assert {"users", "sessions", "guilds"} <= read <= READ_BY_LASTING
