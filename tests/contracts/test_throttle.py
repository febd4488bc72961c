"""Every throttle: calls counted by address."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import anyio
import pytest

from app.domain.ports import Throttle
from app.domain.throttling import Limit
from app.security.clock import SystemClock
from app.security.redis_throttle import redis_throttle
from app.security.throttle import MemoryThrottle
from tests.fakes.ports import FakeClock, FakeThrottle
from tests.redis import redis_url

pytestmark = pytest.mark.anyio

# None of the tests takes as long as the window, so that it makes no difference where it begins.
LIMIT = Limit("few", 5, 3600)
OTHER = Limit("others", 5, 3600)
SHORT = Limit("short", 2, 1)
HOME, WORK = "203.0.113.7", "2001:db8:1:2::/64"


@pytest.fixture(params=["fake", "memory", "redis"])
async def throttle(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Throttle]:
    # On a busy machine Redis may take longer, and then each process counts for itself.
    monkeypatch.setattr("app.security.redis_throttle.PATIENCE", 5.0)
    match request.param:
        case "fake":
            yield FakeThrottle(SystemClock())
        case "memory":
            yield MemoryThrottle(SystemClock())
        case _:
            url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
            async with redis_throttle(url, MemoryThrottle(SystemClock()), prefix) as opened:
                yield opened


async def allowed(throttle: Throttle, limit: Limit, address: str, calls: int) -> int:
    """How many of so many calls at once are within the limit."""
    waits = await asyncio.gather(*(throttle.count(limit, address) for _ in range(calls)))
    return sum(not wait for wait in waits)


async def test_as_many_calls_as_the_limit_says_are_within_it(throttle: Throttle) -> None:
    waits = [await throttle.count(LIMIT, HOME) for _ in range(7)]
    assert [wait == 0 for wait in waits] == [True] * 5 + [False] * 2
    assert all(0 < wait <= 2 * LIMIT.seconds for wait in waits[5:])


async def test_of_many_calls_at_once_no_more_are_within_it(throttle: Throttle) -> None:
    assert await allowed(throttle, LIMIT, HOME, 50) == 5
    assert await allowed(throttle, LIMIT, HOME, 50) == 0


async def test_each_address_and_each_limit_is_counted_apart(throttle: Throttle) -> None:
    await allowed(throttle, LIMIT, HOME, 6)
    assert await allowed(throttle, LIMIT, WORK, 6) == 5
    assert await allowed(throttle, OTHER, HOME, 6) == 5


@pytest.mark.parametrize(("earlier", "fit"), [(0, 5), (3, 2), (5, 0)])
async def test_of_several_calls_those_that_fit_in_are_counted(
    throttle: Throttle, earlier: int, fit: int
) -> None:
    await allowed(throttle, LIMIT, HOME, earlier)
    assert await throttle.count_each(LIMIT, WORK, 5) == (5, 0)
    counted, wait = await throttle.count_each(LIMIT, HOME, 7)
    assert counted == fit
    assert 0 < wait <= 2 * LIMIT.seconds
    assert await throttle.count(LIMIT, HOME) == pytest.approx(wait, abs=60)


async def test_several_calls_leave_room_for_what_is_left(throttle: Throttle) -> None:
    assert await throttle.count_each(LIMIT, HOME, 3) == (3, 0)
    assert await allowed(throttle, LIMIT, HOME, 5) == 2


async def test_after_a_refusal_the_wait_is_known_without_counting(throttle: Throttle) -> None:
    assert throttle.peek(LIMIT, HOME) == 0
    wait = [await throttle.count(LIMIT, HOME) for _ in range(6)][-1]
    assert throttle.peek(LIMIT, HOME) == pytest.approx(wait, abs=60)
    assert throttle.peek(LIMIT, WORK) == 0


async def test_whoever_waits_as_long_as_he_is_told_gets_in(throttle: Throttle) -> None:
    """A real clock: Redis has no other."""
    await allowed(throttle, SHORT, HOME, 2)
    with anyio.fail_after(30):
        while wait := await throttle.count(SHORT, HOME):
            assert wait <= 2 * SHORT.seconds
            await anyio.sleep(wait)


# ------------------------------------------------------------------------------ in memory


async def test_in_memory_the_window_slides_with_the_clock() -> None:
    clock = FakeClock()
    throttle = MemoryThrottle(clock)
    await allowed(throttle, LIMIT, HOME, 5)
    wait = await throttle.count(LIMIT, HOME)
    clock.turn(timedelta(seconds=wait - 1))
    assert await throttle.count(LIMIT, HOME) == pytest.approx(1)
    clock.turn(timedelta(seconds=1))
    assert await allowed(throttle, LIMIT, HOME, 5) == 1
    clock.turn(timedelta(seconds=2 * LIMIT.seconds))
    assert await allowed(throttle, LIMIT, HOME, 6) == 5


async def test_several_processes_allow_their_part_each() -> None:
    throttle = MemoryThrottle(FakeClock(), processes=2)
    assert await allowed(throttle, LIMIT, HOME, 6) == 3


async def test_in_memory_no_more_addresses_are_kept_than_there_is_room_for() -> None:
    throttle = MemoryThrottle(FakeClock(), most=2)
    for address in ("first", "second", "third"):
        assert await allowed(throttle, LIMIT, address, 6) == 5
    assert throttle.peek(LIMIT, "first") == 0
    assert throttle.peek(LIMIT, "second") > 0
    assert throttle.peek(LIMIT, "third") > 0
