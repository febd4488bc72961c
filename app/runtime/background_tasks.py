"""Supervisor of the background tasks: everything a process does besides answering requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from time import monotonic

from app.domain.backoff import backoff
from app.domain.errors import DomainError, Overloaded
from app.domain.measurements import Measurement

# One round of a task. Returns None, or a sentence that says why the work is not possible now; an
# exception is an unexpected failure.
Step = Callable[[], Awaitable[str | None]]
Trouble = str | Exception

# Every background task: its name in `/metrics` and `/health/ready`, and what is not done while it
# fails. tests/contracts/test_background_tasks.py makes each of them fail.
TASKS = {
    "clock": "the clock of this machine is more than a minute away from the database's",
    "connections": "unused connections are not closed",
    "deferred-writes": "deferred writes, like the last use of a credential, are not written",
    "housekeeping": "expired rows are not deleted",
    "metrics": "the metrics of this worker are out of date",
    "outbox": "messages of the outbox are not delivered",
    "primary-check": "after a failover, connections may lead to the old primary",
    "signing-keys": "the signing keys are not renewed, and a rotation is not completed",
    "throttle": "it is not known whether a lost Redis is back",
    "worker-id-lease": "the worker id cannot be renewed, so new ids will run out",
}

# Seconds until a failed round is retried, doubling up to the maximum: below the five seconds
# within which a gateway recovers (docs/reliability.md).
RETRY_MIN, RETRY_MAX = 0.25, 4.0
# A round that takes longer than this is stuck.
STUCK_AFTER = 30.0
# Each kind of failure is logged at most once in so many seconds.
LOG_SECONDS = 60.0
# Seconds that a stop waits for the round in progress before it cancels it.
STOP_SECONDS = 1.0

_LOG = logging.getLogger("gatehouse.background")


class Supervisor:
    """The background tasks of one process.

    An error never ends a task: it is logged and counted, and the round is retried with exponential
    back-off and jitter. Until a round succeeds, `failing` names the task.
    """

    def __init__(self, fraction: Callable[[], float] = lambda: 1.0) -> None:
        """`fraction` returns a random number from 0 to 1, for the jitter."""
        self._fraction = fraction
        self._tasks: list[BackgroundTask] = []
        self._failures: dict[str, int] = {}

    def start(
        self,
        name: str,
        step: Step,
        every: float | None,
        *,
        due: asyncio.Event | None = None,
        at_once: bool = True,
    ) -> "BackgroundTask":
        """Run `step` periodically, the first time now or, without `at_once`, after a pause.

        `name` is one of `TASKS`. A round follows `every` seconds after the one before, or as soon
        as `due` is set; without `every` only then. Needs a running event loop. The caller stops the
        task in the end.
        """
        assert name in TASKS
        self._failures.setdefault(name, 0)
        task = BackgroundTask(self, name, step, every, due or asyncio.Event())
        self._tasks.append(task)
        task.begin(at_once=at_once)
        return task

    def failing(self) -> list[str]:
        """Return the names of the failing tasks that make the process not ready.

        Tasks that fail because the store is overloaded are left out: it may still serve reads, and
        reports by itself whether it does.
        """
        return sorted({task.name for task in self._tasks if task.is_blocking_readiness()})

    def measurements(self) -> Iterator[Measurement]:
        """Return the failed rounds and the state of each task."""
        failing = {task.name for task in self._tasks if task.is_failing()}
        for name, count in self._failures.items():
            task = ("task", name)
            about = "Rounds of a background task that failed."
            yield Measurement("background_failures", about, count, (task,), is_total=True)
            about = "Processes in which a background task runs or fails."
            is_started = any(task.name == name for task in self._tasks)
            for state, holds in (("running", name not in failing), ("failing", name in failing)):
                labels = (task, ("state", state))
                yield Measurement("background_tasks", about, is_started and holds, labels)

    def count_failure(self, name: str) -> None:
        """Count one failed round."""
        self._failures[name] += 1

    def back_off(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row, with jitter."""
        return backoff(failures, RETRY_MIN, RETRY_MAX, self._fraction())

    def remove(self, task: "BackgroundTask") -> None:
        """Remove a task that was stopped."""
        self._tasks.remove(task)


class BackgroundTask:
    """One task; created by `Supervisor.start`."""

    def __init__(
        self, supervisor: Supervisor, name: str, step: Step, every: float | None, due: asyncio.Event
    ) -> None:
        self.name = name
        self.due = due
        self._supervisor = supervisor
        self._step = step
        self._every = every
        self._stopping = asyncio.Event()
        self._failures = 0
        # The last failure was that the store is overloaded.
        self._is_overloaded = False
        self._began: float | None = None
        self._task: asyncio.Task[None] | None = None
        # By kind of failure: when it may be logged again, and whether its traceback was logged.
        self._quiet_until: dict[type, float] = {}
        self._traced: set[type] = set()

    def begin(self, *, at_once: bool) -> None:
        """Start the rounds."""
        self._task = asyncio.get_running_loop().create_task(self._run(at_once=at_once))

    def is_failing(self) -> bool:
        """Return True if the last round failed, is stuck, or the task has ended."""
        return self._failures > 0 or self._is_stuck()

    def is_blocking_readiness(self) -> bool:
        """Return whether the task fails for another reason than an overloaded store."""
        return (self._failures > 0 and not self._is_overloaded) or self._is_stuck()

    def _is_stuck(self) -> bool:
        """Return whether the round takes too long, or the task has ended without being stopped."""
        if self._task is None or self._task.done():
            return not self._stopping.is_set()
        return self._began is not None and monotonic() - self._began > STUCK_AFTER

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Begin no further round; cancel the one in progress after so many seconds."""
        self._stopping.set()
        self.due.set()
        assert self._task is not None
        _, late = await asyncio.wait([self._task], timeout=seconds)
        if late:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=seconds)
        self._supervisor.remove(self)

    async def _run(self, *, at_once: bool) -> None:
        if not at_once:
            await _wait(self.due, self._every)
        while not self._stopping.is_set():
            self.due.clear()
            trouble = await self._round()
            if trouble is None:
                self._recover()
                await _wait(self.due, self._every)
            else:
                self._fail(trouble)
                # `due` is not waited for: requests must not shorten the back-off.
                await _wait(self._stopping, self._supervisor.back_off(self._failures))

    async def _round(self) -> Trouble | None:
        self._began = monotonic()
        try:
            return await self._step()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Raised within the step, not by a cancellation of this task.
            return RuntimeError(f"the round was cancelled from within {error.args or ''}".strip())
        except Exception as error:
            return error
        finally:
            self._began = None

    def _fail(self, trouble: Trouble) -> None:
        self._failures += 1
        self._is_overloaded = isinstance(trouble, Overloaded)
        self._supervisor.count_failure(self.name)
        kind, now = type(trouble), monotonic()
        if now < self._quiet_until.get(kind, 0.0):
            return
        self._quiet_until[kind] = now + LOG_SECONDS
        if isinstance(trouble, str | DomainError) or kind in self._traced:
            _LOG.warning("The background task %s fails: %s", self.name, trouble)
        else:
            _LOG.error("The background task %s failed.", self.name, exc_info=trouble)
        self._traced.add(kind)

    def _recover(self) -> None:
        if self._traced:
            _LOG.warning("The background task %s works again.", self.name)
            self._traced.clear()
        self._failures = 0


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for the event, up to so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
