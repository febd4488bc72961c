"""Work that continues when the request that waits for it is cancelled.

A transaction, a command to another server and a function in a thread cannot be cancelled cleanly:
the other side continues, and the next user of the connection would get its leftovers. So the
request may be cancelled at any await point, and the work ends by itself.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from app.domain.errors import DomainError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LOG = logging.getLogger("gatehouse.shielded")


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, DomainError)


class ShieldedTasks:
    """Tasks that run to their end, even if their requester is cancelled.

    Each must have a deadline of its own, and end by it without being cancelled.
    """

    def __init__(self, is_expected: Callable[[BaseException], bool] = _is_refusal) -> None:
        """`is_expected` names errors that are not logged if no requester receives them."""
        self._is_expected = is_expected
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(
        self, work: Coroutine[Any, Any, T], *, on_end: Callable[[], None] | None = None
    ) -> T:
        """Return the result of `work`. Raises what it raises; calls `on_end` when it is over."""
        task = asyncio.get_running_loop().create_task(work)
        # The event loop itself holds only a weak reference.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if on_end is not None:
            task.add_done_callback(lambda _: on_end())
        return await _wait_for(task, self._is_expected)

    async def close(self, seconds: float) -> None:
        """Wait for the running tasks up to `seconds`, then cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def run_in_thread(
    threads: Executor,
    function: Callable[[*Ts], T],
    *args: *Ts,
    on_end: Callable[[], None],
) -> T:
    """Return the result of `function`. Raises what it raises.

    If the requester is cancelled, a call that no thread has begun is dropped; one that has begun
    continues. `on_end` is called at the end in both cases.
    """
    call = threads.submit(function, *args)
    ending = asyncio.wrap_future(call)
    ending.add_done_callback(lambda _: on_end())
    try:
        return await _wait_for(ending, _is_refusal)
    except asyncio.CancelledError:
        call.cancel()
        raise


async def _wait_for(work: "asyncio.Future[T]", is_expected: Callable[[BaseException], bool]) -> T:
    def log_failure(abandoned: "asyncio.Future[T]") -> None:
        error = None if abandoned.cancelled() else abandoned.exception()
        if error is not None and not is_expected(error):
            _LOG.error("Work failed after its requester had left.", exc_info=error)

    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(log_failure)
        raise
