"""Work that is cancelled at a chosen await point, as a server, a deadline or a client does it."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any


class CutAt:
    """An awaitable whose task is cancelled when it waits for the `step`-th time."""

    def __init__(self, work: Awaitable[Any], step: int) -> None:
        self._work = work
        self._left = step
        self.is_cut = False

    def __await__(self) -> Generator[Any, Any, Any]:
        waiting = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        sent, error = None, None
        while True:
            try:
                awaited = waiting.send(sent) if error is None else waiting.throw(error)
            except StopIteration as done:
                return done.value
            self._left -= 1
            if self._left == 0:
                self.is_cut = True
                asyncio.get_running_loop().call_soon(task.cancel)
            sent = error = None
            try:
                sent = yield awaited
            except BaseException as raised:
                error = raised


async def cut_at(work: Awaitable[Any], step: int) -> bool:
    """Do `work`, cancelled where it waits for the `step`-th time. Returns whether it got there."""
    cut = CutAt(work, step)

    async def run() -> None:
        await cut

    await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    return cut.is_cut


async def cut_everywhere(work: Callable[[], Awaitable[Any]], most: int = 200) -> int:
    """Begin `work` again and again, cut at its 1st, 2nd, … await point; how many it has."""
    for step in range(1, most):
        if not await cut_at(work(), step):
            return step - 1
    raise AssertionError(f"it waits more than {most} times")
