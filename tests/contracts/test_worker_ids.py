"""Snowflake worker numbers on PostgreSQL: leased, so that no two live processes have one."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import make_url, text

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.runtime import background_tasks
from app.runtime.background_tasks import Supervisor
from app.runtime.boot_clock import boottime
from app.storage.postgresql import worker_ids
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from app.storage.postgresql.worker_ids import WorkerLease
from app.storage.unit_of_work import SqlTransaction
from tests.postgres import ask_server, new_database

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
        async with WorkerLease(postgres, f"process {holder}", 1024, Supervisor()) as lease:
            taken.add(lease.number())
            while len(taken) < 8:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for holder in range(8):
                group.start_soon(take, holder)
    assert taken == set(range(8))


async def test_a_number_is_free_again_when_its_process_has_ended(postgres: PostgresStore) -> None:
    async with WorkerLease(postgres, "one", 1024, Supervisor()) as first:
        assert first.number() == 0
    async with WorkerLease(postgres, "other", 1024, Supervisor()) as second:
        assert second.number() == 0


async def test_the_number_of_a_process_that_was_killed_is_free_when_its_lease_has_ended(
    postgres: PostgresStore,
) -> None:
    await execute(postgres, "INSERT INTO workers VALUES (0, 'killed', 9999999999999)")
    await execute(postgres, "INSERT INTO workers VALUES (1, 'killed long ago', 1)")
    async with WorkerLease(postgres, "new", 2, Supervisor()) as lease:
        assert lease.number() == 1


async def test_a_free_number_is_taken_before_one_whose_lease_has_ended(
    postgres: PostgresStore,
) -> None:
    """The server's clock may have jumped ahead, and its holder live on."""
    async with WorkerLease(postgres, "living", 3, Supervisor()) as living:
        await execute(postgres, "UPDATE workers SET ends_at = 1")
        async with WorkerLease(postgres, "new", 3, Supervisor()) as new:
            assert (living.number(), new.number()) == (0, 1)


async def test_of_leases_that_have_ended_the_oldest_is_taken(postgres: PostgresStore) -> None:
    await execute(postgres, "INSERT INTO workers VALUES (0, 'killed', 2), (1, 'long ago', 1)")
    async with WorkerLease(postgres, "new", 2, Supervisor()) as lease:
        assert lease.number() == 1


async def test_no_process_gets_a_number_while_all_are_leased(postgres: PostgresStore) -> None:
    async with WorkerLease(postgres, "only", 1, Supervisor()):
        with pytest.raises(Overloaded):
            async with WorkerLease(postgres, "one too many", 1, Supervisor()):
                pass


async def test_a_lease_is_renewed_while_its_process_lives(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_ids, "RENEWED_EVERY", 0.01)
    monkeypatch.setattr(worker_ids, "LOOKED_EVERY", 0.01)
    async with WorkerLease(postgres, "living", 1024, Supervisor()):
        ((_, first),) = await postgres.read(ends)
        with anyio.fail_after(10):
            while (await postgres.read(ends))[0][1] == first:  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_a_lease_that_could_not_be_renewed_gives_no_more_ids(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_ids, "MARGIN", worker_ids.LEASE + timedelta(seconds=1))
    async with WorkerLease(postgres, "cut off", 1024, Supervisor()) as lease:
        with pytest.raises(Overloaded):
            lease.number()


async def test_a_process_that_lost_its_number_takes_another(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_ids, "RENEWED_EVERY", 0.01)
    monkeypatch.setattr(worker_ids, "LOOKED_EVERY", 0.01)
    async with WorkerLease(postgres, "slow", 1024, Supervisor()) as lease:
        await execute(postgres, "UPDATE workers SET holder = 'quick'")
        with anyio.fail_after(10):
            while lease.number() == 0:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert lease.number() == 1


async def test_a_lease_that_could_not_be_renewed_is_soon_asked_for_again(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that comes back after a lease has ended is used at once, not at the next turn."""
    monkeypatch.setattr(worker_ids, "RENEWED_EVERY", 0.01)
    monkeypatch.setattr(worker_ids, "LOOKED_EVERY", 0.01)
    monkeypatch.setattr(background_tasks, "RETRY_MIN", 0.01)
    async with WorkerLease(postgres, "patient", 1024, Supervisor()) as lease:
        tried = anyio.Event()

        async def fail(work: object) -> None:
            # From now on a renewal comes only where one has failed.
            monkeypatch.setattr(worker_ids, "RENEWED_EVERY", 3600.0)
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


async def test_a_number_that_was_given_back_is_not_taken_by_a_late_renewal(
    postgres: PostgresStore,
) -> None:
    """A renewal that is in progress at the end goes on: no transaction is cancelled."""
    async with WorkerLease(postgres, "one", 1024, Supervisor()) as lease:
        pass
    with pytest.raises(Overloaded):
        await lease._renew()
    assert await postgres.scan(ends) == []


@pytest.fixture
def own_database() -> Iterator[str]:
    """A database that can be renamed."""
    with new_database() as url:
        PostgresServer(url).migrate()
        yield url


@pytest.fixture
async def own(
    own_database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, PostgresStore]]:
    """Its name, and a store on it whose leases are renewed all the time."""
    monkeypatch.setattr(worker_ids, "RENEWED_EVERY", 0.0)
    monkeypatch.setattr(worker_ids, "LOOKED_EVERY", 0.01)
    monkeypatch.setattr(background_tasks, "RETRY_MIN", 0.01)
    monkeypatch.setattr(background_tasks, "RETRY_MAX", 0.05)
    store = PostgresStore(postgres_engine(own_database), Supervisor())
    yield str(make_url(own_database).database), store
    await store.close()


async def rename(old: str, new: str) -> None:
    """Give the database another name; who is connected is cut off."""

    def run() -> None:
        ask_server(f"ALTER DATABASE {old} ALLOW_CONNECTIONS false")
        ask_server(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{old}'"  # noqa: S608
        )
        ask_server(f"ALTER DATABASE {old} RENAME TO {new}")
        ask_server(f"ALTER DATABASE {new} ALLOW_CONNECTIONS true")

    await anyio.to_thread.run_sync(run)


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_a_lease_is_renewed_again_when_a_renamed_database_has_its_name_back(
    own: tuple[str, PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, store = own
    supervisor = Supervisor()

    def failures() -> float:
        return next(iter(supervisor.measurements())).value

    async with WorkerLease(store, "living", 1024, supervisor) as lease:
        await rename(name, f"{name}_away")
        try:
            await until(lambda: failures() >= 3)
            # Its ids last for a while; only then it cannot do its work.
            assert lease.number() == 0
            assert supervisor.failing() == []
            with monkeypatch.context() as later:
                later.setattr(worker_ids, "MARGIN", worker_ids.LEASE)
                lease._valid_until = 0.0
                await until(lambda: supervisor.failing() == ["worker-id-lease"])
        finally:
            await rename(f"{name}_away", name)
        await until(lambda: lease._valid_until > 0.0)
        assert lease.number() == 0
        assert supervisor.failing() == []


async def test_an_unexpected_error_ends_no_lease(
    own: tuple[str, PostgresStore],
) -> None:
    _, store = own
    supervisor = Supervisor()
    async with WorkerLease(store, "living", 1024, supervisor) as lease:
        await execute(store, "ALTER TABLE workers RENAME TO elsewhere")
        await until(lambda: supervisor.failing() == ["worker-id-lease"])
        await execute(store, "ALTER TABLE elsewhere RENAME TO workers")
        await until(lambda: not supervisor.failing())
        assert lease.number() == 0


async def test_a_lease_ends_while_the_machine_is_suspended(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WorkerLease(postgres, "one", 1024, Supervisor()) as lease:
        assert lease.number() == 0
        monkeypatch.setattr(worker_ids, "boottime", lambda: boottime() + 3600)
        with pytest.raises(Overloaded):
            lease.number()
