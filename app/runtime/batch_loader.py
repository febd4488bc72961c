"""Batches: callers that look something up at the same time share one query."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

K = TypeVar("K")
R = TypeVar("R")


class BatchLoader(Generic[K, R]):
    """Load by keys, one batch at a time.

    Callers that arrive while a batch is loaded share the next one. It begins after the last of them
    arrived, so no result is older than its call. A caller that is cancelled leaves the batch to the
    others.
    """

    def __init__(self, load: Callable[[Collection[K], float], Awaitable[R]]) -> None:
        """`load` gets the keys of all callers, and the time of the loop when the first arrived.

        It must end by a deadline of its own.
        """
        self._load = load
        self._waiting: list[tuple[Collection[K], asyncio.Future[R]]] = []
        self._since = 0.0
        self._task: asyncio.Task[None] | None = None
        self.loading = 0

    @property
    def waiting(self) -> int:
        """The number of callers whose batch has not begun."""
        return len(self._waiting)

    async def load(self, keys: Collection[K]) -> R:
        """Return the result of a batch with these keys, or raise its error."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._since = loop.time()
        result: asyncio.Future[R] = loop.create_future()
        self._waiting.append((keys, result))
        if self._task is None or self._task.done():
            # It begins after this turn of the event loop: requests that are read together share.
            self._task = loop.create_task(self._load_all())
        return await result

    async def close(self, seconds: float) -> None:
        """Wait for all callers up to `seconds`, then cancel the rest."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            for _, result in self._waiting:
                result.cancel()
            self._waiting.clear()
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _load_all(self) -> None:
        while self._waiting:
            callers = [caller for caller in self._waiting if not caller[1].done()]
            self._waiting, self.loading = [], len(callers)
            try:
                if callers:
                    await self._answer(callers)
            finally:
                self.loading = 0

    async def _answer(self, callers: list[tuple[Collection[K], "asyncio.Future[R]"]]) -> None:
        keys = {key for wanted, _ in callers for key in wanted}
        try:
            loaded = await self._load(keys, self._since)
        except BaseException as error:
            for _, result in callers:
                if not result.done():
                    result.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for _, result in callers:
                if not result.done():
                    result.set_result(loaded)
