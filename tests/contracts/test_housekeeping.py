"""Housekeeping: of every table, what has ended is deleted, and nothing else."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Integer, LargeBinary, select

from app.domain.credentials import SESSION_MAX
from app.domain.idempotency import KEPT_FOR as RECORD_KEPT_FOR
from app.domain.outbox import DONE_KEPT_FOR as MESSAGE_KEPT_FOR
from app.domain.ports.store import Transaction
from app.domain.rate_limits import FAILURES_EXPIRE_AFTER
from app.domain.retention import DEAD_MESSAGE_KEPT_FOR, EXPIRED_KEY_KEPT_FOR, GRACE
from app.domain.signing_keys import KEY_LEASE
from app.storage import housekeeping
from app.storage.housekeeping import ENDED, LASTING, Housekeeping
from app.storage.postgresql.store import PostgresStore
from app.storage.sqlite.store import SqliteStore
from app.storage.tables import metadata
from app.storage.types import Milliseconds
from app.storage.unit_of_work import SqlTransaction
from tests.contracts.rows import add_users
from tests.fakes.ports import FakeClock

pytestmark = pytest.mark.anyio

Store = SqliteStore | PostgresStore
TICK = timedelta(milliseconds=1)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    opened: Store = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
def clock(store: Store) -> Iterator[FakeClock]:
    """The clock of the store, too, where that has one of its own."""
    clock = FakeClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Housekeeping, "_now", lambda self, _connection: clock.now())
        yield clock


# By table: the columns that say when a row ends, and by how much that is before it is deleted.
ENDS: list[tuple[str, dict[str, Any], str, timedelta]] = [
    ("sessions", {}, "expires_at", GRACE),
    ("access_keys", {}, "expires_at", EXPIRED_KEY_KEPT_FOR),
    ("name_claims", {}, "held_until", GRACE),
    ("renames", {}, "ends_at", GRACE),
    ("password_attempts", {"failed_at": None}, "familiar_until", GRACE),
    ("password_attempts", {"familiar_until": None}, "failed_at", FAILURES_EXPIRE_AFTER + GRACE),
    ("idempotency_records", {}, "made_at", RECORD_KEPT_FOR),
    ("outbox", {"state": "done"}, "ended_at", MESSAGE_KEPT_FOR),
    ("outbox", {"state": "dead"}, "ended_at", DEAD_MESSAGE_KEPT_FOR),
    ("signing_keys", {"retired_at": None}, "renewed_at", KEY_LEASE + SESSION_MAX + GRACE),
    ("workers", {}, "ends_at", GRACE),
]
NEVER: list[tuple[str, dict[str, Any]]] = [
    ("access_keys", {"expires_at": None}),
    ("name_claims", {"held_until": None}),
    ("outbox", {"state": "waiting", "ended_at": None}),
    ("signing_keys", {}),
]


def row(
    name: str, number: int, now: datetime, user_id: int, values: dict[str, Any]
) -> dict[str, Any]:
    """A row of the table, with a unique `number`."""
    named = {"user_id": user_id, "scope": "admin", "networks": None, **values}
    made: dict[str, Any] = {}
    for column in metadata.tables[name].columns:
        if column.name in named:
            made[column.name] = named[column.name]
        elif isinstance(column.type, Milliseconds):
            made[column.name] = now
        elif isinstance(column.type, LargeBinary):
            made[column.name] = b"%d" % number
        elif isinstance(column.type, Integer):
            made[column.name] = number
        else:
            made[column.name] = str(number)
    return made


async def add(store: Store, name: str, *rows: dict[str, Any]) -> None:
    def insert(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(metadata.tables[name].insert(), list(rows))

    await store.write(insert)


async def keys(store: Store, name: str) -> set[str]:
    """The first columns of the primary keys of all rows."""

    def read(tx: Transaction) -> set[str]:
        assert isinstance(tx, SqlTransaction)
        primary = metadata.tables[name].primary_key.columns.values()
        return {
            "".join(str(part) for part in found if isinstance(part, (int, str)))
            for found in tx.connection.execute(select(*primary))
        }

    return await store.scan(read)


@pytest.mark.parametrize(
    ("name", "values", "column", "kept_for"), ENDS, ids=lambda value: str(value)[:20]
)
async def test_a_row_is_deleted_a_while_after_its_end(
    store: Store,
    clock: FakeClock,
    name: str,
    values: dict[str, Any],
    column: str,
    kept_for: timedelta,
) -> None:
    # Of some tables an account has one row.
    users = await add_users(store, 4)
    housekeeper, now = Housekeeping(store, clock, "this process"), clock.now()
    before = await keys(store, name)
    ends = {3: now - kept_for - TICK, 4: now - kept_for, 5: now - kept_for + TICK, 6: now}
    rows = [
        row(name, n, now, user.id, {**values, column: end})
        for user, (n, end) in zip(users, ends.items(), strict=True)
    ]
    await add(store, name, *rows)
    there = await keys(store, name) - before
    assert len(there) == 4
    await housekeeper.tidy_up()
    left = await keys(store, name) - before
    assert len(left) == 2
    clock.turn(TICK)
    await housekeeper.tidy_up()
    assert len(await keys(store, name) - before) == 1


@pytest.mark.parametrize(("name", "values"), NEVER, ids=lambda value: str(value)[:20])
async def test_a_row_without_an_end_stays(
    store: Store, clock: FakeClock, name: str, values: dict[str, Any]
) -> None:
    (user,) = await add_users(store, 1)
    await add(store, name, row(name, 3, clock.now(), user.id, values))
    before = await keys(store, name)
    clock.turn(timedelta(days=3650))
    await Housekeeping(store, clock, "this process").tidy_up()
    assert await keys(store, name) == before


def test_every_table_is_cleared_or_named_as_one_that_lasts() -> None:
    cleared = {ended.table.name for ended in ENDED}
    assert cleared.isdisjoint(LASTING)
    assert cleared | LASTING.keys() == metadata.tables.keys()
    assert cleared == {name for name, *_ in ENDS}


async def test_of_one_callers_records_the_oldest_beyond_the_most_are_deleted(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "RECORDS_PER_CALLER", 3)
    name, now = "idempotency_records", clock.now()
    made = [
        row(name, n, now, 0, {"caller": caller, "made_at": now + TICK * n})
        for caller, count in (("one", 5), ("other", 3))
        for n in range(count)
    ]
    await add(store, name, *made)
    await Housekeeping(store, clock, "this process").tidy_up()

    def read(tx: Transaction) -> list[tuple[str, bytes]]:
        assert isinstance(tx, SqlTransaction)
        columns = metadata.tables[name].c
        rows = tx.connection.execute(select(columns.caller, columns.key))
        return sorted((found.caller, bytes(found.key)) for found in rows)

    assert await store.scan(read) == [
        *(("one", b"%d" % n) for n in (2, 3, 4)),
        *(("other", b"%d" % n) for n in (0, 1, 2)),
    ]


async def test_it_is_done_in_small_pieces_until_nothing_is_left(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "ROWS_MAX", 3)
    (user,) = await add_users(store, 1)
    now = clock.now()
    await add(store, "sessions", *(row("sessions", n, now, user.id, {}) for n in range(10)))
    clock.turn(timedelta(days=2))
    written: list[int] = []
    write = store.write

    async def count(work: Any) -> Any:
        result = await write(work)
        written.append(result)
        return result

    monkeypatch.setattr(store, "write", count)
    housekeeper = Housekeeping(store, clock, "this process")
    await housekeeper.tidy_up()
    assert written == [3, 3, 3, 1, 0]
    assert await keys(store, "sessions") == set()
    # Where nothing has ended, nothing is written.
    await housekeeper.tidy_up()
    assert len(written) == 5
    # And no round is without an end.
    monkeypatch.setattr(housekeeping, "TRANSACTIONS_MAX", 2)
    clock.turn(-timedelta(days=2))
    await add(store, "sessions", *(row("sessions", n, now, user.id, {}) for n in range(10)))
    clock.turn(timedelta(days=2))
    written.clear()
    await housekeeper.tidy_up()
    assert written == [3, 3]


async def test_one_process_of_all_does_it_until_its_lease_has_ended(
    store: Store, clock: FakeClock
) -> None:
    (user,) = await add_users(store, 1)

    async def end(number: int) -> None:
        ended = clock.now() - timedelta(days=2)
        await add(store, "sessions", row("sessions", number, ended, user.id, {}))

    await end(1)
    first, second = (Housekeeping(store, clock, name) for name in ("first", "second"))
    await first.tidy_up()
    await end(2)
    await second.tidy_up()
    assert await keys(store, "sessions") == {"2"}
    clock.turn(housekeeping.LEASE - TICK)
    await second.tidy_up()
    assert await keys(store, "sessions") == {"2"}
    clock.turn(TICK)
    await second.tidy_up()
    assert await keys(store, "sessions") == set()
    # A lease from a clock that was far ahead delays no process.
    clock.turn(-timedelta(days=400))
    await end(3)
    await first.tidy_up()
    assert await keys(store, "sessions") == set()


async def test_on_postgresql_the_time_is_the_servers(postgres: PostgresStore) -> None:
    """Or a process whose clock is ahead would delete what has not ended."""
    clock = FakeClock()
    clock.turn(timedelta(days=36500))
    (user,) = await add_users(postgres, 1)
    await add(postgres, "sessions", row("sessions", 1, clock.now(), user.id, {}))
    await Housekeeping(postgres, clock, "this process").tidy_up()
    assert await keys(postgres, "sessions") == {"1"}
