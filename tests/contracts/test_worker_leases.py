"""Snowflake worker numbers on PostgreSQL: leased, so that no two live processes have one."""

from datetime import datetime, timedelta

import anyio
import pytest
from sqlalchemy import text

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.storage import workers
from app.storage.postgres import PostgresStore
from app.storage.unit_of_work import SqlTransaction
from app.storage.workers import WorkerLease

pytestmark = pytest.mark.anyio


def ends(tx: Transaction) -> list[tuple[int, datetime]]:
    assert isinstance(tx, SqlTransaction)
    rows = tx.connection.execute(text("SELECT number, ends_at FROM workers ORDER BY number"))
    return [(number, ends_at) for number, ends_at in rows]


async def execute(postgres: PostgresStore, statement: str) -> None:
    def run(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text(statement))

    await postgres.write(run)


async def test_no_two_at_once_have_one_number(postgres: PostgresStore) -> None:
    taken: set[int] = set()

    async def take(holder: int) -> None:
        async with WorkerLease(postgres, f"process {holder}", 1024) as lease:
            taken.add(lease.number())
            while len(taken) < 8:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for holder in range(8):
                group.start_soon(take, holder)
    assert taken == set(range(8))


async def test_a_number_is_free_again_when_its_process_has_ended(postgres: PostgresStore) -> None:
    async with WorkerLease(postgres, "one", 1024) as first:
        assert first.number() == 0
    async with WorkerLease(postgres, "other", 1024) as second:
        assert second.number() == 0


async def test_the_number_of_a_process_that_was_killed_is_free_when_its_lease_has_ended(
    postgres: PostgresStore,
) -> None:
    await execute(postgres, "INSERT INTO workers VALUES (0, 'killed', 9999999999999)")
    await execute(postgres, "INSERT INTO workers VALUES (1, 'killed long ago', 1)")
    async with WorkerLease(postgres, "new", 2) as lease:
        assert lease.number() == 1


async def test_a_number_that_nobody_has_is_taken_before_one_whose_lease_has_ended(
    postgres: PostgresStore,
) -> None:
    """The server's clock may have jumped ahead, and its holder live on."""
    async with WorkerLease(postgres, "living", 3) as living:
        await execute(postgres, "UPDATE workers SET ends_at = 1")
        async with WorkerLease(postgres, "new", 3) as new:
            assert (living.number(), new.number()) == (0, 1)


async def test_of_leases_that_have_ended_the_oldest_is_taken(postgres: PostgresStore) -> None:
    await execute(postgres, "INSERT INTO workers VALUES (0, 'killed', 2), (1, 'long ago', 1)")
    async with WorkerLease(postgres, "new", 2) as lease:
        assert lease.number() == 1


async def test_where_all_numbers_are_taken_nobody_gets_one(postgres: PostgresStore) -> None:
    async with WorkerLease(postgres, "only", 1):
        with pytest.raises(Overloaded):
            async with WorkerLease(postgres, "one too many", 1):
                pass


async def test_a_lease_is_renewed_while_its_process_lives(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RENEWED_EVERY", 0.01)
    async with WorkerLease(postgres, "living", 1024):
        ((_, first),) = await postgres.read(ends)
        with anyio.fail_after(10):
            while (await postgres.read(ends))[0][1] == first:  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_a_lease_that_could_not_be_renewed_gives_no_more_ids(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MARGIN", workers.LEASE + timedelta(seconds=1))
    async with WorkerLease(postgres, "cut off", 1024) as lease:
        with pytest.raises(Overloaded):
            lease.number()


async def test_a_process_that_lost_its_number_takes_another(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "RENEWED_EVERY", 0.01)
    async with WorkerLease(postgres, "slow", 1024) as lease:
        await execute(postgres, "UPDATE workers SET holder = 'quick'")
        with anyio.fail_after(10):
            while lease.number() == 0:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert lease.number() == 1


async def test_a_lease_that_could_not_be_renewed_is_soon_asked_for_again(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that comes back after a lease has ended is used at once, not at the next turn."""
    monkeypatch.setattr(workers, "RENEWED_EVERY", 0.01)
    monkeypatch.setattr(workers, "RETRIED_EVERY", 0.01)
    async with WorkerLease(postgres, "patient", 1024) as lease:
        tried = anyio.Event()

        async def fail(work: object) -> None:
            # From now on a renewal comes only where one has failed.
            monkeypatch.setattr(workers, "RENEWED_EVERY", 3600.0)
            lease._valid_until = 0.0
            tried.set()
            raise Overloaded

        with monkeypatch.context() as lost:
            lost.setattr(postgres, "write", fail)
            with anyio.fail_after(10):
                await tried.wait()
            with pytest.raises(Overloaded):
                lease.number()
        with anyio.fail_after(10):
            while lease._valid_until == 0.0:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert lease.number() == 0
