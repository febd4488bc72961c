"""Every throttle: calls counted by address."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import anyio
import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.domain.ports.services import RateLimiter
from app.domain.rate_limits import CHANGES, Limit
from app.runtime.background_tasks import Supervisor
from app.security.clock import SystemClock
from app.security.rate_limiter import MemoryRateLimiter
from app.security.redis_rate_limiter import RedisRateLimiter, open_redis_rate_limiter
from tests.contracts.test_measurements import reading
from tests.fakes.ports import FakeClock, FakeRateLimiter
from tests.redis import redis_url

pytestmark = pytest.mark.anyio

# None of the tests takes as long as the window, so that it makes no difference where it begins.
LIMIT = Limit("few", 5, 3600)
OTHER = Limit("others", 5, 3600)
REFUNDED = Limit("refunded", 5, 3600, is_refunded=True)
SHORT = Limit("short", 2, 1)
BUCKET = Limit("bucket", 5, 3600, refills=True)
QUICK = Limit("quick", 4, 1, refills=True)
HOME, WORK = "203.0.113.7", "2001:db8:1:2::/64"


@pytest.fixture(params=["fake", "memory", "redis"])
async def rate_limiter(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RateLimiter]:
    # On a busy machine Redis may take longer, and then each process counts for itself.
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    match request.param:
        case "fake":
            yield FakeRateLimiter(SystemClock())
        case "memory":
            yield MemoryRateLimiter(SystemClock())
        case _:
            url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
            async with open_redis_rate_limiter(
                url, MemoryRateLimiter(SystemClock()), Supervisor(), prefix
            ) as opened:
                yield opened


async def allowed(rate_limiter: RateLimiter, limit: Limit, address: str, calls: int) -> int:
    """Return how many of so many concurrent calls are within the limit."""
    waits = await asyncio.gather(*(rate_limiter.count(limit, address) for _ in range(calls)))
    return sum(not wait for wait in waits)


async def test_as_many_calls_as_the_limit_says_are_within_it(rate_limiter: RateLimiter) -> None:
    waits = [await rate_limiter.count(LIMIT, HOME) for _ in range(7)]
    assert [wait == 0 for wait in waits] == [True] * 5 + [False] * 2
    # One of five is forgotten after a fifth of a window at the earliest.
    earliest = LIMIT.seconds / 5 - 60
    assert all(earliest < wait <= 2 * LIMIT.seconds for wait in waits[5:])


async def test_of_many_calls_at_once_no_more_are_within_it(rate_limiter: RateLimiter) -> None:
    assert await allowed(rate_limiter, LIMIT, HOME, 50) == 5
    assert await allowed(rate_limiter, LIMIT, HOME, 50) == 0


async def test_each_address_and_each_limit_is_counted_apart(rate_limiter: RateLimiter) -> None:
    await allowed(rate_limiter, LIMIT, HOME, 6)
    assert await allowed(rate_limiter, LIMIT, WORK, 6) == 5
    assert await allowed(rate_limiter, OTHER, HOME, 6) == 5


@pytest.mark.parametrize(("earlier", "fit"), [(0, 5), (3, 2), (5, 0)])
async def test_of_several_calls_those_that_fit_in_are_counted(
    rate_limiter: RateLimiter, earlier: int, fit: int
) -> None:
    await allowed(rate_limiter, LIMIT, HOME, earlier)
    assert await rate_limiter.count_many(LIMIT, WORK, 5) == (5, 0)
    counted, wait = await rate_limiter.count_many(LIMIT, HOME, 7)
    assert counted == fit
    assert 0 < wait <= 2 * LIMIT.seconds
    assert await rate_limiter.count(LIMIT, HOME) == pytest.approx(wait, abs=60)


async def test_several_calls_leave_room_for_what_is_left(rate_limiter: RateLimiter) -> None:
    assert await rate_limiter.count_many(LIMIT, HOME, 3) == (3, 0)
    assert await allowed(rate_limiter, LIMIT, HOME, 5) == 2


async def test_after_a_refusal_the_wait_is_known_without_counting(
    rate_limiter: RateLimiter,
) -> None:
    assert rate_limiter.peek(LIMIT, HOME) == 0
    wait = [await rate_limiter.count(LIMIT, HOME) for _ in range(6)][-1]
    assert rate_limiter.peek(LIMIT, HOME) == pytest.approx(wait, abs=60)
    assert rate_limiter.peek(LIMIT, WORK) == 0


async def test_a_client_that_waits_for_retry_after_gets_in(rate_limiter: RateLimiter) -> None:
    """A real clock: Redis has no other."""
    await allowed(rate_limiter, SHORT, HOME, 2)
    with anyio.fail_after(30):
        while wait := await rate_limiter.count(SHORT, HOME):
            assert wait <= 2 * SHORT.seconds
            await anyio.sleep(wait)


async def test_a_bucket_holds_as_many_calls_as_the_limit_says(rate_limiter: RateLimiter) -> None:
    assert rate_limiter.peek(BUCKET, HOME) == 0
    waits = [await rate_limiter.count(BUCKET, HOME) for _ in range(7)]
    assert [wait == 0 for wait in waits] == [True] * 5 + [False] * 2
    # One is there again after a fifth of the time that fills it.
    assert waits[5:] == [pytest.approx(720, abs=60)] * 2
    assert rate_limiter.peek(BUCKET, HOME) == pytest.approx(720, abs=60)
    assert await rate_limiter.count(BUCKET, WORK) == 0
    assert await rate_limiter.count(OTHER, HOME) == 0


async def test_of_many_calls_at_once_no_more_fit_in_than_a_bucket_holds(
    rate_limiter: RateLimiter,
) -> None:
    assert await allowed(rate_limiter, BUCKET, HOME, 50) == 5
    assert await rate_limiter.count_many(BUCKET, WORK, 3) == (3, 0)
    fit, wait = await rate_limiter.count_many(BUCKET, WORK, 3)
    assert fit == 2
    assert wait == pytest.approx(720, abs=60)


@pytest.mark.parametrize("limit", [LIMIT, BUCKET])
async def test_a_call_that_does_not_count_is_given_back(
    rate_limiter: RateLimiter, limit: Limit
) -> None:
    assert await allowed(rate_limiter, limit, HOME, 3) == 3
    await rate_limiter.refund(limit, HOME)
    assert await allowed(rate_limiter, limit, HOME, 5) == 3
    # No more is given back than was taken.
    for _ in range(9):
        await rate_limiter.refund(limit, WORK)
    assert await allowed(rate_limiter, limit, WORK, 6) == 5


async def test_a_bucket_refills_evenly(rate_limiter: RateLimiter) -> None:
    """A real clock: Redis has no other."""
    assert await allowed(rate_limiter, QUICK, HOME, 4) == 4
    with anyio.fail_after(30):
        while wait := await rate_limiter.count(QUICK, HOME):
            assert wait <= 0.26
            await anyio.sleep(wait)


async def test_a_call_that_is_given_back_makes_room_at_once(rate_limiter: RateLimiter) -> None:
    """Also where others were refused before."""
    assert await allowed(rate_limiter, REFUNDED, HOME, 8) == 5
    await rate_limiter.refund(REFUNDED, HOME)
    assert await allowed(rate_limiter, REFUNDED, HOME, 5) == 1


# ------------------------------------------------------------------------------- in Redis


async def refuse_connection(*_: object) -> None:
    raise RedisConnectionError


@pytest.fixture
async def lost(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisRateLimiter]:
    """A throttle that counted `LIMIT` calls from home, and then lost a Redis that is there."""
    monkeypatch.setattr("app.security.redis_rate_limiter.CHECK_INTERVAL", 3600.0)
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
    here = MemoryRateLimiter(SystemClock())
    async with open_redis_rate_limiter(url, here, Supervisor(), prefix) as rate_limiter:
        for limit in (LIMIT, BUCKET):
            assert await rate_limiter.count_many(limit, HOME, 5) == (5, 0)
        with monkeypatch.context() as patch:
            patch.setattr(BlockingConnectionPool, "get_connection", refuse_connection)
            assert await rate_limiter.count(LIMIT, WORK) == 0
        assert reading(rate_limiter, "redis_lost") == reading(rate_limiter, "throttle_alone") == 1
        yield rate_limiter


async def test_while_redis_is_lost_calls_do_not_ask_it(lost: RedisRateLimiter) -> None:
    fit, wait = await lost.count_many(LIMIT, WORK, 7)
    assert (fit, wait > 0) == (4, True)
    assert reading(lost, "redis_lost") == 1
    assert reading(lost, "throttle_alone") == 1 + 7


@pytest.mark.parametrize("limit", [LIMIT, BUCKET])
async def test_while_redis_is_lost_the_count_of_this_process_decides(
    lost: RedisRateLimiter, limit: Limit
) -> None:
    assert lost.peek(limit, HOME) > 0
    await lost.refund(limit, HOME)
    assert lost.peek(limit, HOME) == 0
    assert await allowed(lost, limit, HOME, 3) == 1
    # Redis was not asked.
    await lost.check_connection()
    assert reading(lost, "redis_lost") == 0
    assert lost.peek(limit, HOME) == 0
    assert await allowed(lost, limit, HOME, 3) == 0


async def test_after_a_refusal_redis_is_not_asked_until_the_wait_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
    here = MemoryRateLimiter(SystemClock())
    async with open_redis_rate_limiter(url, here, Supervisor(), prefix) as rate_limiter:
        _, wait = await rate_limiter.count_many(LIMIT, HOME, 6)
        async with Redis.from_url(url) as client:
            keys = [key async for key in client.scan_iter(f"*{prefix}*")]
            assert await client.delete(*keys) == len(keys) > 0
        assert await rate_limiter.count(LIMIT, HOME) == pytest.approx(wait, abs=60)


async def test_another_process_learns_of_a_refund_within_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    monkeypatch.setattr("app.security.redis_rate_limiter.BLOCKED_SECONDS", 0.05)
    url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
    here, there = MemoryRateLimiter(SystemClock()), MemoryRateLimiter(SystemClock())
    async with (
        open_redis_rate_limiter(url, here, Supervisor(), prefix) as first,
        open_redis_rate_limiter(url, there, Supervisor(), prefix) as second,
    ):
        assert await first.count_many(REFUNDED, HOME, 5) == (5, 0)
        assert await second.count(REFUNDED, HOME)
        await first.refund(REFUNDED, HOME)
        await anyio.sleep(0.06)
        assert await second.count(REFUNDED, HOME) == 0


async def test_in_redis_no_more_refusals_are_remembered_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    monkeypatch.setattr("app.security.redis_rate_limiter.BLOCKED_MAX", 2)
    url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
    here = MemoryRateLimiter(SystemClock())
    async with open_redis_rate_limiter(url, here, Supervisor(), prefix) as rate_limiter:
        for address in ("first", "second", "third"):
            assert await rate_limiter.count_many(BUCKET, address, 6) != (6, 0)
        known = [rate_limiter.peek(BUCKET, address) > 0 for address in ("first", "second", "third")]
    assert known == [False, True, True]


async def test_a_call_that_is_given_back_may_find_redis_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = MemoryRateLimiter(SystemClock())
    async with open_redis_rate_limiter(redis_url(), here, Supervisor()) as rate_limiter:
        monkeypatch.setattr(BlockingConnectionPool, "get_connection", refuse_connection)
        await rate_limiter.refund(LIMIT, HOME)
        assert reading(rate_limiter, "redis_lost") == 1


async def test_a_redis_that_is_not_lost_is_not_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    supervisor, prefix = Supervisor(), f"gatehouse-test-{uuid4().hex}"
    here = MemoryRateLimiter(SystemClock())
    async with open_redis_rate_limiter(redis_url(), here, supervisor, prefix) as rate_limiter:
        await rate_limiter.check_connection()
        assert "Redis is available again" not in caplog.text
        assert reading(supervisor, "background_tasks", "running") == 1
    assert reading(supervisor, "background_tasks", "running") == 0


# ------------------------------------------------------------------------------ in memory


async def test_in_memory_no_refusal_takes_calls_off_the_count_where_the_clock_is_set_back() -> None:
    clock = FakeClock()
    rate_limiter = MemoryRateLimiter(clock)
    assert await rate_limiter.count_many(LIMIT, HOME, 5) == (5, 0)
    clock.turn(timedelta(hours=1, minutes=30))
    assert await allowed(rate_limiter, LIMIT, HOME, 5) == 2
    clock.turn(-timedelta(minutes=30))
    assert (await rate_limiter.count_many(LIMIT, HOME, 3))[0] == 0
    clock.turn(timedelta(minutes=30))
    assert await allowed(rate_limiter, LIMIT, HOME, 5) == 0


async def test_in_memory_a_call_of_the_window_before_is_given_back() -> None:
    clock = FakeClock()
    rate_limiter = MemoryRateLimiter(clock)
    assert await allowed(rate_limiter, LIMIT, HOME, 5) == 5
    clock.turn(timedelta(seconds=LIMIT.seconds))
    await rate_limiter.refund(LIMIT, HOME)
    assert await allowed(rate_limiter, LIMIT, HOME, 5) == 1


async def test_in_memory_a_bucket_goes_by_the_clock() -> None:
    clock = FakeClock()
    rate_limiter = MemoryRateLimiter(clock)
    assert await allowed(rate_limiter, CHANGES, HOME, 200) == 120
    clock.turn(timedelta(seconds=59.9))
    assert await allowed(rate_limiter, CHANGES, HOME, 200) == 59
    clock.turn(timedelta(seconds=0.1))
    assert await allowed(rate_limiter, CHANGES, HOME, 200) == 1
    # One that was corrected refills nothing; one that was set back begins again, once.
    clock.turn(timedelta(seconds=-1))
    assert await rate_limiter.count(CHANGES, HOME) == pytest.approx(1)
    clock.turn(timedelta(days=-1))
    assert await allowed(rate_limiter, CHANGES, HOME, 200) == 120
    clock.turn(timedelta(days=2))
    assert await allowed(rate_limiter, CHANGES, HOME, 200) == 120


async def test_several_processes_have_their_part_of_a_bucket_each() -> None:
    rate_limiter = MemoryRateLimiter(FakeClock(), processes=2)
    assert await allowed(rate_limiter, BUCKET, HOME, 6) == 3


async def test_in_memory_no_more_buckets_are_kept_than_there_is_room_for() -> None:
    rate_limiter = MemoryRateLimiter(FakeClock(), max_entries=2)
    for subject in ("first", "second", "third"):
        assert await allowed(rate_limiter, BUCKET, subject, 6) == 5
    assert rate_limiter.peek(BUCKET, "first") == 0
    assert rate_limiter.peek(BUCKET, "second") > 0


async def test_in_memory_the_window_slides_with_the_clock() -> None:
    clock = FakeClock()
    rate_limiter = MemoryRateLimiter(clock)
    await allowed(rate_limiter, LIMIT, HOME, 5)
    wait = await rate_limiter.count(LIMIT, HOME)
    clock.turn(timedelta(seconds=wait - 1))
    assert await rate_limiter.count(LIMIT, HOME) == pytest.approx(1)
    clock.turn(timedelta(seconds=1))
    assert await allowed(rate_limiter, LIMIT, HOME, 5) == 1
    clock.turn(timedelta(seconds=2 * LIMIT.seconds))
    assert await allowed(rate_limiter, LIMIT, HOME, 6) == 5


async def test_several_processes_allow_their_part_each() -> None:
    rate_limiter = MemoryRateLimiter(FakeClock(), processes=2)
    assert await allowed(rate_limiter, LIMIT, HOME, 6) == 3


async def test_in_memory_no_more_addresses_are_kept_than_there_is_room_for() -> None:
    rate_limiter = MemoryRateLimiter(FakeClock(), max_entries=2)
    for address in ("first", "second", "third"):
        assert await allowed(rate_limiter, LIMIT, address, 6) == 5
    assert rate_limiter.peek(LIMIT, "first") == 0
    assert rate_limiter.peek(LIMIT, "second") > 0
    assert rate_limiter.peek(LIMIT, "third") > 0
