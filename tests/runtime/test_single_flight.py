"""One piece of work for all who want the same at the same time."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

import pytest

from app.runtime.single_flight import SingleFlight, cached_by_threads

pytestmark = pytest.mark.anyio


class Work:
    """Counts how often it was begun, and ends when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.may_end.wait()
        return self.begun


async def started(*calls: "asyncio.Task[int]") -> None:
    """Let each call get to where it waits."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(call.done() for call in calls)


async def test_calls_at_the_same_time_share_one_result() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    calls = [asyncio.create_task(flights.run("a", work)) for _ in range(3)]
    await started(*calls)
    work.may_end.set()
    assert await asyncio.gather(*calls) == [1, 1, 1]


async def test_another_key_and_a_later_call_do_their_own_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    calls = [asyncio.create_task(flights.run(key, work)) for key in "ab"]
    await started(*calls)
    assert work.begun == 2
    work.may_end.set()
    await asyncio.gather(*calls)
    assert await flights.run("a", work) == 3


async def test_a_caller_that_is_cancelled_leaves_the_work_to_the_others() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work()
    first, second = (asyncio.create_task(flights.run("a", work)) for _ in range(2))
    await started(first, second)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.may_end.set()
    assert await second == 1


async def test_an_error_goes_to_every_caller_and_is_not_remembered() -> None:
    flights: SingleFlight[str, int] = SingleFlight()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise KeyError("no")

    results = await asyncio.gather(
        *(flights.run("a", fail) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [KeyError, KeyError]
    work = Work()
    work.may_end.set()
    assert await flights.run("a", work) == 1


async def test_an_error_that_no_caller_waits_for_is_not_reported_as_unseen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    may_fail = asyncio.Event()

    async def fail() -> int:
        await may_fail.wait()
        raise KeyError("no")

    call = asyncio.create_task(flights.run("a", fail))
    await started(call)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    may_fail.set()
    for _ in range(3):
        await asyncio.sleep(0)

    gc.collect()
    assert not caplog.records


def test_threads_that_want_the_same_value_compute_it_once() -> None:
    computed: list[int] = []
    # Broken after a moment, unless a second thread computes meanwhile.
    both = Barrier(2, timeout=0.1)

    def double(number: int) -> int:
        computed.append(number)
        with pytest.raises(BrokenBarrierError):
            both.wait()
        return 2 * number

    once = cached_by_threads(double)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(once, [3, 3])) == [6, 6]
    assert computed == [3]
