"""Deferred writes: what may be lost is written together, in the next second."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.runtime import background_tasks
from app.runtime.background_tasks import Supervisor
from app.storage import deferred_writes
from app.storage.deferred_writes import DeferredWrites
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteFile, SqliteStore
from tests.postgres import SERVER

pytestmark = pytest.mark.anyio


class Written:
    """A store that writes numbers, or refuses."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.transactions = 0
        self.is_locked = False

    async def write(self, work: Callable[[Transaction], None]) -> None:
        self.transactions += 1
        if self.is_locked:
            raise Overloaded
        made: list[int] = []
        work(cast("Transaction", made))
        self.numbers += made


def number(value: int) -> Any:
    return lambda made: made.append(value)


def broken(_made: object) -> None:
    raise ZeroDivisionError


@pytest.fixture
def store() -> Written:
    return Written()


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.setattr(deferred_writes, "SECONDS", 0.001)
    monkeypatch.setattr(background_tasks, "RETRY_MIN", 0.001)
    monkeypatch.setattr(background_tasks, "RETRY_MAX", 0.001)
    return Supervisor()


@pytest.fixture
async def pending(store: Written, supervisor: Supervisor) -> AsyncIterator[DeferredWrites]:
    made = DeferredWrites(store.write, supervisor)
    yield made
    await made.close()


def lost(pending: DeferredWrites) -> float:
    (reading,) = pending.measurements()
    return reading.value


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_pending_writes_are_written_together_the_last_of_each(
    store: Written, pending: DeferredWrites
) -> None:
    for value in (1, 2, 3):
        pending.add("one", number(value))
        pending.add(f"another {value}", number(10 * value))
    await until(lambda: store.numbers)
    assert (sorted(store.numbers), store.transactions) == ([3, 10, 20, 30], 1)


async def test_overloaded_writes_stay_pending(
    store: Written, pending: DeferredWrites, supervisor: Supervisor
) -> None:
    store.is_locked = True
    pending.add("one", number(1))
    pending.add("other", number(2))
    await until(lambda: store.transactions > 3)
    pending.add("one", number(3))
    assert supervisor.failing() == []
    store.is_locked = False
    await until(lambda: store.numbers)
    assert sorted(store.numbers) == [2, 3]
    assert lost(pending) == 0


@pytest.fixture
def five_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred_writes, "PENDING_MAX", 5)


async def test_pending_writes_are_bounded_and_the_oldest_is_dropped(
    store: Written, five_pending: None, pending: DeferredWrites
) -> None:
    store.is_locked = True
    for value in range(8):
        pending.add(f"{value}", number(value))
    await until(lambda: store.transactions)
    store.is_locked = False
    await until(lambda: store.numbers)
    assert sorted(store.numbers) == [3, 4, 5, 6, 7]
    assert lost(pending) == 3


async def test_pending_writes_are_bounded_before_the_first_flush(
    store: Written, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_writes, "PENDING_MAX", 5)
    pending = DeferredWrites(store.write, supervisor)
    for value in range(8):
        pending.add(f"{value}", number(value))
    await pending.close()
    assert store.numbers == [3, 4, 5, 6, 7]
    assert lost(pending) == 3


async def test_writes_put_back_after_a_failure_are_bounded(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_writes, "PENDING_MAX", 3)

    async def refuse(_: object) -> None:
        for value in range(3):
            kept.add(f"later {value}", number(value))
        raise Overloaded

    kept = DeferredWrites(refuse, supervisor)
    for value in range(3):
        kept.add(f"{value}", number(value))
    await until(lambda: lost(kept) == 3)
    await kept.close()


async def test_many_are_written_in_several_transactions(
    store: Written, pending: DeferredWrites, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes longer than the store's patience would never succeed."""
    monkeypatch.setattr(deferred_writes, "BATCH_MAX", 3)
    for value in range(8):
        pending.add(f"{value}", number(value))
    await until(lambda: len(store.numbers) == 8)
    assert store.transactions == 3


async def test_one_that_fails_takes_no_other_with_it_and_fails_no_task(
    store: Written, pending: DeferredWrites, supervisor: Supervisor
) -> None:
    for value in range(3):
        pending.add(f"{value}", number(value))
        pending.add(f"broken {value}", broken)
    await until(lambda: len(store.numbers) == 3)
    await until(lambda: lost(pending) == 3)
    assert supervisor.failing() == []
    assert store.transactions == 1 + 6, "none is tried again"


async def test_a_round_tries_few_one_by_one_and_leaves_the_others_for_the_next(
    store: Written, pending: DeferredWrites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_writes, "SINGLY_MAX", 2)
    pending.add("broken", broken)
    for value in range(4):
        pending.add(f"{value}", number(value))
    await until(lambda: len(store.numbers) == 4)
    assert lost(pending) == 1


async def test_overloaded_writes_stay_pending_beside_a_failed_one(
    store: Written, pending: DeferredWrites, supervisor: Supervisor
) -> None:
    def lock(_made: object) -> None:
        store.is_locked = True
        raise ZeroDivisionError

    pending.add("locks", lock)
    pending.add("one", number(1))
    await until(lambda: store.is_locked)
    await until(lambda: store.transactions > 5)
    assert lost(pending) == 0
    failures = [found for found in supervisor.measurements() if found.name == "background_failures"]
    assert [found.value for found in failures] == [0]
    store.is_locked = False
    pending.add("locks", number(2))
    await until(lambda: len(store.numbers) == 2)
    assert lost(pending) == 0


async def test_writes_that_all_fail_are_retried_but_not_forever(
    store: Written, pending: DeferredWrites, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_writes, "ROUNDS_MAX", 3)
    pending.add("broken", broken)
    await until(supervisor.failing)
    await until(lambda: lost(pending) == 1)
    await until(lambda: not supervisor.failing())
    # The store was asked for it together and alone in each of the rounds.
    assert store.transactions == 2 * 4
    pending.add("one", number(1))
    await until(lambda: store.numbers)


async def test_pending_writes_are_written_at_close(store: Written) -> None:
    supervisor = Supervisor()
    pending = DeferredWrites(store.write, supervisor)
    pending.add("one", number(1))
    await pending.close()
    assert store.numbers == [1]
    assert supervisor.failing() == []
    counts = [found for found in supervisor.measurements() if found.name == "background_tasks"]
    assert [found.value for found in counts] == [0, 0], "no round follows"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_the_supervisor_of_a_store_reports_what_fails_there(
    engine: str, tmp_path: Path, supervisor: Supervisor
) -> None:
    is_broken = True

    def work(_: Transaction) -> None:
        if is_broken:
            raise ZeroDivisionError

    # It needs no table.
    store: SqliteStore | PostgresStore = (
        SqliteStore(sqlite_engine(tmp_path / "any.sqlite3"), supervisor)
        if engine == "sqlite"
        else PostgresStore(postgres_engine(SERVER), supervisor)
    )
    store.defer("an account", work)
    await until(lambda: supervisor.failing() == ["deferred-writes"])
    is_broken = False
    await store.close()


@pytest.fixture(params=["postgresql", "sqlite"])
def migrated_database(request: pytest.FixtureRequest) -> PostgresServer | SqliteFile:
    if request.param == "sqlite":
        return SqliteFile(request.getfixturevalue("database"))
    return PostgresServer(request.getfixturevalue("server_database"))


async def test_a_store_opened_without_a_supervisor_defers_writes(
    migrated_database: PostgresServer | SqliteFile,
) -> None:
    written = asyncio.Event()
    async with migrated_database.open() as store:
        store.defer("a test", lambda _tx: written.set())
    assert written.is_set()


async def test_a_store_defers_writes_on_the_supervisor_that_it_is_given(
    migrated_database: PostgresServer | SqliteFile,
) -> None:
    supervisor = Supervisor()
    labels = (("task", "deferred-writes"), ("state", "running"))
    async with migrated_database.open(supervisor) as store:
        store.defer("a test", lambda _tx: None)
        assert [m.value for m in supervisor.measurements() if m.labels == labels] == [1]
