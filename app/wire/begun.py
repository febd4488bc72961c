"""Work that is begun without a task: most of it is done before it has to wait for anything."""

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Begun(Generator[Any, None, T]):
    """A coroutine that has gone as far as it goes without waiting, no matter where.

    Up to there it has no task of its own, which `asyncio.timeout` needs. What is left of it is done
    where this is awaited.
    """

    def __init__(self, work: Coroutine[Any, None, T]) -> None:
        """Begin. Raises what `work` does."""
        self._work = work
        self._awaited: Any = None
        self.result: T | None = None
        self.is_done = False
        try:
            self._awaited = work.send(None)
        except StopIteration as done:
            self.result, self.is_done = done.value, True

    def __await__(self) -> Generator[Any, None, T]:
        """For the rest, of which it is the generator."""
        assert not self.is_done
        return self

    def send(self, value: None) -> Any:
        """Wait for what is waited for, or go on from there."""
        if self._awaited is None:
            return self._work.send(value)
        awaited, self._awaited = self._awaited, None
        return awaited

    def throw(self, *error: Any) -> Any:
        """Raise this where the coroutine waits."""
        return self._work.throw(*error)
