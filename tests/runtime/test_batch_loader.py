"""One query for all callers that look something up at the same time."""

import asyncio
import gc
from collections.abc import Collection

import pytest

from app.runtime.batch_loader import BatchLoader
from tests.cancelling import cut_everywhere

pytestmark = pytest.mark.anyio


class Source:
    """Records the keys of each batch, which ends or fails when the test says so."""

    def __init__(self) -> None:
        self.batches: list[set[str]] = []
        self.may_end = asyncio.Event()
        self.error: BaseException | None = None

    async def load(self, keys: Collection[str], _since: float) -> int:
        self.batches.append(set(keys))
        number = len(self.batches)
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return number


def call(loader: BatchLoader[str, int], *keys: str) -> "asyncio.Task[int]":
    return asyncio.create_task(loader.load(keys))


async def turns() -> None:
    """Let each task get to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_calls_of_one_turn_share_a_batch() -> None:
    source = Source()
    source.may_end.set()
    loader = BatchLoader(source.load)
    calls = [call(loader, "a", "b"), call(loader, "b"), call(loader, "c")]
    assert [await each for each in calls] == [1, 1, 1]
    assert source.batches == [{"a", "b", "c"}]


async def test_a_call_during_a_batch_waits_for_the_next_one() -> None:
    """The running query may not see what was committed before the call."""
    source = Source()
    loader = BatchLoader(source.load)
    first = call(loader, "a")
    await turns()
    second, third = call(loader, "a"), call(loader, "b")
    await turns()
    assert source.batches == [{"a"}]
    assert (loader.loading, loader.waiting) == (1, 2)
    source.may_end.set()
    assert (await first, await second, await third) == (1, 2, 2)
    assert source.batches == [{"a"}, {"a", "b"}]
    assert (loader.loading, loader.waiting) == (0, 0)


async def test_a_batch_knows_since_when_its_first_caller_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, loop = Source(), asyncio.get_running_loop()
    since: list[float] = []

    async def load(keys: Collection[str], began: float) -> int:
        since.append(began)
        return await source.load(keys, began)

    loader = BatchLoader(load)
    now = [1.0]
    monkeypatch.setattr(loop, "time", lambda: now[0])
    calls = []
    for _ in range(3):
        now[0] += 1
        calls.append(call(loader, "a"))
        await turns()
    source.may_end.set()
    await asyncio.gather(*calls)
    monkeypatch.undo()
    assert since == [2.0, 3.0]


@pytest.mark.parametrize("cancelled", [[0], [1], [2], [0, 1], [0, 1, 2]])
@pytest.mark.parametrize("is_begun", [False, True])
async def test_a_cancelled_caller_leaves_the_batch_to_the_others(
    cancelled: list[int], is_begun: bool
) -> None:
    source = Source()
    loader = BatchLoader(source.load)
    calls = [call(loader, "a") for _ in range(3)]
    if is_begun:
        await turns()
    else:
        await asyncio.sleep(0)
    for number in cancelled:
        calls[number].cancel()
    source.may_end.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    left = [outcomes[number] for number in range(3) if number not in cancelled]
    assert left == [1] * len(left)
    assert all(isinstance(outcomes[n], asyncio.CancelledError) for n in cancelled)
    assert await loader.load(["b"]) == len(source.batches)


async def test_no_batch_is_loaded_for_callers_that_left() -> None:
    source = Source()
    loader = BatchLoader(source.load)
    first = call(loader, "a")
    await turns()
    second = call(loader, "b")
    await turns()
    second.cancel()
    source.may_end.set()
    await first
    await turns()
    assert source.batches == [{"a"}]
    assert await loader.load(["c"]) == 2


async def test_a_caller_that_is_cancelled_anywhere_harms_no_other() -> None:
    source = Source()
    source.may_end.set()
    loader = BatchLoader(source.load)

    async def beside_another() -> None:
        other = call(loader, "other")
        try:
            await loader.load(["ours"])
        finally:
            assert await other

    for _ in range(3):
        assert await cut_everywhere(beside_another) > 0


async def test_an_error_goes_to_every_caller_and_is_not_remembered() -> None:
    source = Source()
    source.error = KeyError("no")
    source.may_end.set()
    loader = BatchLoader(source.load)
    calls = [call(loader, "a"), call(loader, "b")]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes == [source.error] * 2
    source.error = None
    assert await loader.load(["a"]) == 2


async def test_an_error_that_no_caller_waits_for_is_not_reported_as_unseen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source()
    source.error = KeyError("no")
    loader = BatchLoader(source.load)
    loop = asyncio.get_running_loop()

    async def leave() -> None:
        first, second = call(loader, "a"), call(loader, "b")
        await turns()
        first.cancel()
        source.may_end.set()
        # In the turn in which the error arrives.
        loop.call_soon(lambda: loop.call_soon(second.cancel))
        await asyncio.gather(first, second, return_exceptions=True)

    await leave()
    await turns()
    gc.collect()
    assert not caplog.records


async def test_the_end_waits_for_all_callers() -> None:
    source = Source()
    loader = BatchLoader(source.load)
    first = call(loader, "a")
    await turns()
    second = call(loader, "b")
    await turns()
    asyncio.get_running_loop().call_later(0.02, source.may_end.set)
    await loader.close(20)
    assert (await first, await second) == (1, 2)


async def test_the_end_cancels_what_takes_too_long() -> None:
    source = Source()
    loader = BatchLoader(source.load)
    first = call(loader, "a")
    await turns()
    second = call(loader, "b")
    await turns()
    await loader.close(0.02)
    assert loader._task is not None
    assert loader._task.cancelled()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    assert source.batches == [{"a"}]
    assert (loader.loading, loader.waiting) == (0, 0)
    await loader.close(0.02)
