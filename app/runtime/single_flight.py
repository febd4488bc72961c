"""Single flight: callers that want the same at the same time share one piece of work."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import lru_cache
from threading import Lock
from typing import Any, Generic, TypeVar, TypeVarTuple

K = TypeVar("K")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SingleFlight(Generic[K, T]):
    """Work by key, at most one at a time for each.

    A caller that is cancelled does not cancel the work: others wait for it.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the work in flight for `key`, else that of `work`.

        Raises what the work raises.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(work())
            task.add_done_callback(lambda done: self._end(key, done))
        # Unlike `await task`, this does not cancel it.
        await asyncio.wait({task})
        return task.result()

    def _end(self, key: K, task: "asyncio.Task[T]") -> None:
        del self._tasks[key]
        if not task.cancelled():
            # Marks the error as seen: every caller may have been cancelled.
            task.exception()


def cached_by_threads(
    function: Callable[[*Ts], T], *, max_count: int | None = None
) -> Callable[[*Ts], T]:
    """Return `function` with a cache of its results, of which threads compute one at a time.

    `functools.cache` lets each thread compute what another one has begun.
    """
    lock = Lock()
    cached = lru_cache(max_count)(function)

    def compute(*args: *Ts) -> T:
        with lock:
            return cached(*args)

    return compute
