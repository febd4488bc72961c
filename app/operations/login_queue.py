"""A queue for concurrent password attempts at one account, or from one network, in this process.

An attempt counts as failed until it succeeds, so of several concurrent correct ones, those over the
limit would find the account locked, or the limit of the network reached, by the others. The queue
admits only a few attempts at an account per network at once, which leaves room for other processes,
and an attempt that is refused waits while others are in progress. The count in the store or the
rate limiter decides; the queue never admits what that refuses.
"""

from asyncio import Future, Semaphore, get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakValueDictionary

from app.domain.errors import Overloaded, RateLimited
from app.domain.rate_limits import LoginAttempts

T = TypeVar("T")
K = TypeVar("K")
CountResult = LoginAttempts | RateLimited | None
CountAttempt = Callable[[], Awaitable[tuple[T, CountResult]]]

# The maximum number of attempts at one account, or from one network; they take a few seconds of
# hashing.
ATTEMPTS_MAX = 256
# Concurrent attempts from one network. A hash keeps a core busy, and five processes together stay
# below the ten attempts without a lock.
CONCURRENT_PER_NETWORK = 2
_RETRY_AFTER = 4


@dataclass(slots=True)
class _Attempts:
    """The attempts that share a count: how many there are, are in progress, and wait for those.

    The semaphore of a network lives as long as one of its attempts.
    """

    total: int = 0
    in_progress: int = 0
    waiting: deque["Future[None]"] = field(default_factory=deque)
    by_network: WeakValueDictionary[str, Semaphore] = field(default_factory=WeakValueDictionary)

    def end_one(self) -> None:
        """Let one waiting attempt retry; after the last attempt in progress, all of them."""
        self.in_progress -= 1
        for _ in range(1 if self.in_progress else len(self.waiting)):
            self.wake_one()

    def wake_one(self) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class AttemptSlot:
    """An admitted attempt."""

    def __init__(self, attempts: _Attempts, *, waited: bool = False) -> None:
        self._attempts = attempts
        self.waited = waited
        self.is_in_progress = False

    async def count(self, count: "CountAttempt[T]") -> tuple[T, LoginAttempts | None]:
        """Count the attempt by calling `count`, and return its result.

        Raises RateLimited if it is refused and no attempt in progress can change that.
        """
        while True:
            found, counted = await count()
            if not isinstance(counted, RateLimited):
                self._attempts.in_progress += 1
                self.is_in_progress = True
                return found, counted
            if not self._attempts.in_progress:
                raise counted
            await self._wait_for_another()

    async def _wait_for_another(self) -> None:
        # A cancelled waiter is done, and `wake_one` skips it.
        waiter = get_running_loop().create_future()
        self._attempts.waiting.append(waiter)
        await waiter


class LoginQueue:
    """Password attempts that are in progress or wait, by account and by network."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Attempts] = {}
        self._networks: dict[str, _Attempts] = {}

    @property
    def is_empty(self) -> bool:
        """True if there is no attempt."""
        return not (self._accounts or self._networks)

    @asynccontextmanager
    async def slot(self, account: int, network: str) -> AsyncIterator[AttemptSlot]:
        """Wait for a slot for an attempt at `account` from `network`, for the duration of the
        context.

        Raises Overloaded if too many wait.
        """
        attempts = _enter(self._accounts, account)
        semaphore = attempts.by_network.setdefault(network, Semaphore(CONCURRENT_PER_NETWORK))
        slot = AttemptSlot(attempts, waited=semaphore.locked())
        try:
            async with semaphore:
                yield slot
        finally:
            _leave(self._accounts, account, slot)

    @asynccontextmanager
    async def network_slot(self, network: str) -> AsyncIterator[AttemptSlot]:
        """Return a slot for an attempt from `network`, whatever the account, for the duration of
        the context.

        Raises Overloaded if too many wait.
        """
        slot = AttemptSlot(_enter(self._networks, network))
        try:
            yield slot
        finally:
            _leave(self._networks, network, slot)


def _enter(places: dict[K, _Attempts], key: K) -> _Attempts:
    """Add an attempt to those that share the count of `key`. Raises Overloaded."""
    attempts = places.setdefault(key, _Attempts())
    if attempts.total >= ATTEMPTS_MAX:
        raise Overloaded(retry_after=_RETRY_AFTER)
    attempts.total += 1
    return attempts


def _leave(places: dict[K, _Attempts], key: K, slot: AttemptSlot) -> None:
    attempts = places[key]
    if slot.is_in_progress:
        attempts.end_one()
    attempts.total -= 1
    if not attempts.total:
        del places[key]
