"""What each part counts of itself."""

import asyncio
from threading import Event

import anyio
import httpx
import pytest
import respx
from sqlalchemy import text

from app.domain.errors import Overloaded
from app.domain.ports import Transaction
from app.domain.readings import Watched
from app.domain.throttling import LOGINS, SAME_WRONG_KEY, Limit
from app.security import passwords
from app.security.passwords import Argon2Hasher
from app.security.throttle import MemoryThrottle
from app.storage.postgres import CONNECTIONS, PostgresStore
from app.storage.sqlite import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from app.upstream.client import Breaker, open_client
from app.upstream.password_range import PasswordRanges
from tests.fakes.ports import FakeClock

pytestmark = pytest.mark.anyio


def reading(part: Watched, name: str, label: str | None = None) -> float:
    """The one number of this name, and where there are labels, with this value of one."""
    (value,) = [
        found.value
        for found in part.readings()
        if found.name == name and label in {None, *(value for _, value in found.labels)}
    ]
    return value


async def test_who_writes_and_who_waits_on_sqlite_is_counted(sqlite: SqliteStore) -> None:
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


async def test_who_has_a_connection_to_postgresql_and_who_waits_is_counted(
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


async def test_what_sqlite_refuses_is_counted(sqlite: SqliteStore) -> None:
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


async def test_calls_that_were_one_too_many_are_counted_by_limit() -> None:
    throttle = MemoryThrottle(FakeClock())
    for limit in (Limit(LOGINS.name, 1, 60), SAME_WRONG_KEY):
        for _ in range(3):
            await throttle.count(limit, "203.0.113.7")
    assert reading(throttle, "throttle_refusals", LOGINS.name) == 2
    # The same wrong key again is no refusal of its own.
    assert sum(found.value for found in throttle.readings()) == 2


@respx.mock(base_url="https://ranges.example.com")
async def test_what_becomes_of_questions_to_the_range_service_is_counted(
    respx_mock: respx.MockRouter,
) -> None:
    digest = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"
    answers = [httpx.Response(200, text=f"{digest[5:]}:9"), httpx.Response(200, text="")]
    respx_mock.get(f"/range/{digest[:5]}").mock(side_effect=[*answers, httpx.Response(503)])
    async with open_client() as client:
        breaker = Breaker(failures=1)
        ranges = PasswordRanges(client, "https://ranges.example.com/range", breaker)
        for _ in range(4):
            await ranges.knows("password")
    counted = {found.labels[0][1]: found.value for found in ranges.readings()}
    assert counted == {"known": 1, "unknown": 1, "failed": 1, "skipped": 1}
