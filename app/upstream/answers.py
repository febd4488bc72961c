"""What a service said lately: asked once for all who want to know, and shown when it is down."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from app.domain.errors import Overloaded, UpstreamFailed, UpstreamTimeout
from app.domain.ports import Told
from app.upstream.client import BusyError, SlowError, UpstreamError

T = TypeVar("T")

FRESH_SECONDS = 10.0
# How old an answer may be that is shown because there is no newer one (RFC 5861 section 4).
STALE_SECONDS = 3600.0
# Guilds or servers in all answers that are kept; each takes up to 3 kB, mostly a tenth of that.
KEPT_MAX = 20_000
_LOG = structlog.get_logger("gatehouse.upstream")


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    value: Sequence[T]
    at: float

    @property
    def size(self) -> int:
        return 1 + len(self.value)


class Answers(Generic[T]):
    """A list for each subject, as `ask` tells it.

    What is fresh is told again. Where the service fails, what it said within the last hour is told,
    and for how long it is overdue; else the failure comes out as an error of the catalogue.
    """

    def __init__(
        self,
        who: str,
        ask: Callable[[str], Awaitable[Sequence[T]]],
        seconds: Callable[[], float],
        *,
        most: int = KEPT_MAX,
    ) -> None:
        """`who` names the service to people; `ask` raises UpstreamError; `seconds` only goes on."""
        self._who, self._ask, self._seconds, self._most = who, ask, seconds, most
        self._known: dict[str, _Known[T]] = {}
        self._size = 0
        self._asking: dict[str, asyncio.Task[Sequence[T]]] = {}

    async def of(self, subject: str) -> Told[Sequence[T]]:
        """What is known of the subject. Raises UpstreamFailed, UpstreamTimeout, Overloaded."""
        known = self._known.get(subject)
        if known is not None and self._seconds() - known.at < FRESH_SECONDS:
            return Told(known.value)
        with refusing(self._who):
            try:
                return Told(await self._together(subject))
            except UpstreamError as error:
                known = self._known.get(subject)
                overdue = None if known is None else self._seconds() - known.at - FRESH_SECONDS
                if known is None or overdue is None or overdue > STALE_SECONDS:
                    raise
                _LOG.warning("an old answer is shown", upstream=self._who, reason=str(error))
                return Told(known.value, max(0, int(overdue)))

    def forget(self, subject: str) -> None:
        """Ask anew the next time: it is known to have changed."""
        if (known := self._known.pop(subject, None)) is not None:
            self._size -= known.size

    async def _together(self, subject: str) -> Sequence[T]:
        """The answer to the question that is under way, or to a new one.

        Whoever asked first may go away; the others still get it, and it is kept.
        """
        task = self._asking.get(subject)
        if task is None:
            task = self._asking[subject] = asyncio.create_task(self._ask_and_keep(subject))
            task.add_done_callback(lambda done: self._done(subject, done))
        return await asyncio.shield(task)

    def _done(self, subject: str, task: "asyncio.Task[Sequence[T]]") -> None:
        del self._asking[subject]
        if not task.cancelled():
            # Where nobody waits any more, nobody else looks at it.
            task.exception()

    async def _ask_and_keep(self, subject: str) -> Sequence[T]:
        value = await self._ask(subject)
        self.forget(subject)
        known = self._known[subject] = _Known(value, self._seconds())
        self._size += known.size
        while self._size > self._most:
            self.forget(next(iter(self._known)))
        return value


@contextmanager
def refusing(who: str) -> Iterator[None]:
    """Say in the catalogue's terms that a service failed, and in the log why."""
    try:
        yield
    except UpstreamError as error:
        _LOG.warning("another service failed", upstream=who, reason=str(error))
        match error:
            case SlowError():
                raise UpstreamTimeout(who) from None
            case BusyError():
                raise Overloaded from None
            case _:
                raise UpstreamFailed(who) from None
