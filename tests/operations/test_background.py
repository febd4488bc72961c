"""The supervisor: a background task that fails is logged, counted, named and tried again."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from app.domain.errors import Overloaded
from app.runtime import background_tasks
from app.runtime.background_tasks import RETRY_MAX, RETRY_MIN, Supervisor

pytestmark = pytest.mark.anyio

SECONDS = 10.0


class Work:
    """A task's work that fails on demand."""

    def __init__(self) -> None:
        self.rounds = 0
        self.trouble: BaseException | str | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> str | None:
        self.rounds += 1
        await self.gate.wait()
        if isinstance(self.trouble, BaseException):
            raise self.trouble
        return self.trouble


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.setattr(background_tasks, "RETRY_MIN", 0.001)
    monkeypatch.setattr(background_tasks, "RETRY_MAX", 0.002)
    return Supervisor()


def numbers(supervisor: Supervisor) -> dict[str, float]:
    return {
        " ".join([reading.name, *(value for _, value in reading.labels)]): reading.value
        for reading in supervisor.measurements()
    }


@pytest.mark.parametrize(
    "trouble", [ZeroDivisionError("no one foresaw this"), "a reason", MemoryError()]
)
async def test_a_task_that_fails_is_named_counted_and_tried_again(
    supervisor: Supervisor, trouble: Exception | str
) -> None:
    work = Work()
    task = supervisor.start("outbox", work, every=0.001)
    await until(lambda: work.rounds > 2)
    assert supervisor.failing() == []
    assert numbers(supervisor) == {
        "background_failures outbox": 0,
        "background_tasks outbox running": 1,
        "background_tasks outbox failing": 0,
    }
    work.trouble = trouble
    await until(lambda: numbers(supervisor)["background_failures outbox"] >= 3)
    assert supervisor.failing() == ["outbox"]
    assert numbers(supervisor)["background_tasks outbox failing"] == 1
    work.trouble = None
    await until(lambda: not supervisor.failing())
    rounds = work.rounds
    await until(lambda: work.rounds > rounds + 2)
    assert numbers(supervisor)["background_tasks outbox running"] == 1
    await task.stop()
    assert numbers(supervisor)["background_tasks outbox running"] == 0


async def test_an_unavailable_store_is_counted_but_does_not_affect_readiness(
    supervisor: Supervisor,
) -> None:
    """It may serve all who only read; where it does not, it is not ready by itself."""
    work = Work()
    work.trouble = Overloaded()
    task = supervisor.start("outbox", work, every=0.001)
    await until(lambda: numbers(supervisor)["background_failures outbox"] >= 3)
    assert supervisor.failing() == []
    assert numbers(supervisor)["background_tasks outbox failing"] == 1
    work.trouble = "a reason"
    await until(supervisor.failing)
    work.trouble = Overloaded()
    await until(lambda: not supervisor.failing())
    await task.stop()


async def test_a_cancellation_from_within_a_round_ends_no_task(supervisor: Supervisor) -> None:
    """Libraries raise CancelledError, too, without a request to end this task."""
    work = Work()
    work.trouble = asyncio.CancelledError()
    task = supervisor.start("outbox", work, every=0.001)
    await until(lambda: work.rounds > 3)
    work.trouble = None
    await until(lambda: not supervisor.failing())
    await task.stop()


async def test_a_task_that_was_cancelled_from_outside_is_failing(supervisor: Supervisor) -> None:
    task = supervisor.start("outbox", Work(), every=0.001)
    assert task._task is not None
    task._task.cancel()
    await until(lambda: supervisor.failing() == ["outbox"])
    await task.stop()


async def test_a_round_that_does_not_end_is_failing(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    work.gate.clear()
    task = supervisor.start("outbox", work, every=0.001)
    await until(lambda: work.rounds == 1)
    assert supervisor.failing() == []
    monkeypatch.setattr(background_tasks, "STUCK_AFTER", -1.0)
    assert supervisor.failing() == ["outbox"]
    work.gate.set()
    await until(lambda: work.rounds > 1)
    await task.stop()


async def test_a_stop_waits_for_the_round_and_cancels_one_that_is_stuck(
    supervisor: Supervisor,
) -> None:
    work = Work()
    work.gate.clear()
    task = supervisor.start("outbox", work, every=3600.0)
    await until(lambda: work.rounds == 1)
    stopping = asyncio.ensure_future(task.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    work.gate.set()
    await stopping
    work.gate.clear()
    stuck = supervisor.start("outbox", work, every=3600.0)
    await until(lambda: work.rounds == 2)
    await stuck.stop(seconds=0.001)
    assert supervisor.failing() == []


async def test_a_task_that_is_being_stopped_is_not_failing(supervisor: Supervisor) -> None:
    task = supervisor.start("clock", Work(), 60.0)
    await asyncio.sleep(0)
    stopping = asyncio.create_task(task.stop())
    seen = set[str]()
    while not stopping.done():
        seen.update(supervisor.failing())
        await asyncio.sleep(0)
    assert seen == set()


async def test_a_wake_up_runs_the_task_at_once_but_never_shortens_a_back_off(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    task = supervisor.start("outbox", work, every=None)
    await until(lambda: work.rounds == 1)
    task.due.set()
    await until(lambda: work.rounds == 2)
    monkeypatch.setattr(background_tasks, "RETRY_MIN", 3600.0)
    monkeypatch.setattr(background_tasks, "RETRY_MAX", 3600.0)
    work.trouble = "a reason"
    task.due.set()
    await until(supervisor.failing)
    for _ in range(20):
        task.due.set()
        await asyncio.sleep(0)
    assert work.rounds == 3
    await task.stop()


def test_pauses_double_up_to_a_bound_and_differ_by_chance() -> None:
    late, early = Supervisor(lambda: 1.0), Supervisor(lambda: 0.0)
    assert [late.back_off(n) for n in (1, 2, 3)] == [RETRY_MIN, 2 * RETRY_MIN, 4 * RETRY_MIN]
    assert late.back_off(10**6) == RETRY_MAX < 5.0
    assert early.back_off(2) == RETRY_MIN


async def test_a_failure_is_logged_with_its_traceback_once(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    work.trouble = ZeroDivisionError("no one foresaw this")
    task = supervisor.start("outbox", work, every=0.001)
    with caplog.at_level(logging.WARNING, "gatehouse.background"):
        await until(lambda: work.rounds > 10)
        (record,) = caplog.records
        assert record.exc_info is not None
        assert "outbox" in record.getMessage()
        # A minute later one line more says that it goes on.
        monkeypatch.setattr(task, "_quiet_until", {})
        await until(lambda: len(caplog.records) > 1)
        assert caplog.records[1].exc_info is None
        work.trouble = None
        await until(lambda: len(caplog.records) > 2)
        assert "works again" in caplog.records[2].getMessage()
        # One that fails and recovers over and over is not logged over and over.
        for _ in range(5):
            work.trouble = ZeroDivisionError()
            await until(supervisor.failing)
            work.trouble = None
            await until(lambda: not supervisor.failing())
    assert len(caplog.records) == 3
    await task.stop()


async def test_a_failure_of_another_kind_has_its_own_line(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    work.trouble = Overloaded()
    task = supervisor.start("outbox", work, every=0.001)
    with caplog.at_level(logging.WARNING, "gatehouse.background"):
        await until(lambda: work.rounds > 5)
        work.trouble = ZeroDivisionError()
        await until(lambda: len(caplog.records) == 2)
    foreseen, unforeseen = caplog.records
    assert foreseen.exc_info is None
    assert unforeseen.exc_info is not None
    await task.stop()


async def test_only_a_task_that_is_declared_can_be_started(supervisor: Supervisor) -> None:
    with pytest.raises(AssertionError):
        supervisor.start("unheard-of", Work(), every=1.0)
