"""The measurements of each component."""

import asyncio
from threading import Event

import anyio
import httpx
import pytest
import respx
from sqlalchemy import text

from app.domain.errors import Overloaded
from app.domain.measurements import Measurable
from app.domain.ports.store import Transaction
from app.security import passwords
from app.security.passwords import Argon2Hasher
from app.storage.postgresql.connections import CONNECTIONS
from app.storage.postgresql.store import PostgresStore
from app.storage.sqlite.store import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from app.upstream.breached_passwords import PasswordRanges
from app.upstream.client import CircuitBreaker, open_client

pytestmark = pytest.mark.anyio


def reading(part: Measurable, name: str, label: str | None = None) -> float:
    """The one number of this name, and where there are labels, with this value of one."""
    (value,) = [
        found.value
        for found in part.measurements()
        if found.name == name and label in {None, *(value for _, value in found.labels)}
    ]
    return value


async def test_sqlite_writers_and_waiting_requests_are_counted(sqlite: SqliteStore) -> None:
    begun, go_on = Event(), Event()

    def wait(_: Transaction) -> None:
        begun.set()
        assert go_on.wait(30)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(sqlite.write, wait)
        await anyio.to_thread.run_sync(begun.wait)
        await anyio.wait_all_tasks_blocked()
        assert reading(sqlite, "store_transactions", "running") == 1
        assert reading(sqlite, "store_transactions", "waiting") == 2
        go_on.set()
    assert reading(sqlite, "store_transactions", "running") == 0


async def test_postgresql_connections_in_use_and_waiting_requests_are_counted(
    postgres: PostgresStore,
) -> None:
    def sleep(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        tx.connection.execute(text("SELECT pg_sleep(1)"))

    async with anyio.create_task_group() as tasks:
        for _ in range(CONNECTIONS + 2):
            tasks.start_soon(postgres.scan, sleep)
        for _ in range(3000):
            if reading(postgres, "store_transactions", "running") == CONNECTIONS:
                break
            await anyio.sleep(0.01)
        assert reading(postgres, "store_transactions", "waiting") == 2
    assert reading(postgres, "store_transactions", "running") == 0


async def test_errors_of_sqlite_are_counted(sqlite: SqliteStore) -> None:
    def refuse(_: Transaction) -> None:
        raise Overloaded

    with pytest.raises(Overloaded):
        await sqlite.write(refuse)
    assert reading(sqlite, "store_refusals") == 1


async def test_hashes_that_run_that_wait_and_that_are_too_many_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "HASHES_PER_SECOND", 1)
    hasher = Argon2Hasher(cores=1)
    hashing = [asyncio.create_task(hasher.hash("correct horse")) for _ in range(5)]
    await asyncio.sleep(0)
    assert reading(hasher, "hashes", "running") == 1
    assert reading(hasher, "hashes", "waiting") == passwords.QUEUE_SECONDS - 1
    outcomes = await asyncio.gather(*hashing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str] * 4 + [Overloaded]
    assert reading(hasher, "hashes_refused") == 1
    assert reading(hasher, "hashes", "running") == 0
    hasher.close()


@respx.mock(base_url="https://ranges.example.com")
async def test_outcomes_of_requests_to_the_range_service_are_counted(
    respx_mock: respx.MockRouter,
) -> None:
    digest = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"
    answers = [httpx.Response(200, text=f"{digest[5:]}:9"), httpx.Response(200, text="")]
    respx_mock.get(f"/range/{digest[:5]}").mock(side_effect=[*answers, httpx.Response(503)])
    async with open_client() as client:
        breaker = CircuitBreaker(subjects=1)
        ranges = PasswordRanges(client, "https://ranges.example.com/range", breaker)
        for _ in range(4):
            await ranges.contains("password")
    counted = {found.labels[0][1]: found.value for found in ranges.measurements()}
    assert counted == {"known": 1, "unknown": 1, "failed": 1, "skipped": 1}
