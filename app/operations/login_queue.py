"""A queue for concurrent attempts at one account's password, in this process.

An attempt counts as failed until it succeeds, so of several concurrent correct ones, those over the
limit would find the account locked by the others. The queue admits only a few attempts per network
at once, which leaves room for other processes, and an attempt that finds the account locked waits
while others are in progress. The count in the store decides; the queue never admits what that
refuses.
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
CountResult = LoginAttempts | RateLimited | None
CountAttempt = Callable[[], Awaitable[tuple[T, CountResult]]]

# The maximum number of attempts at one account; they take a few seconds of hashing.
ATTEMPTS_MAX = 256
# Concurrent attempts from one network. A hash keeps a core busy, and five processes together stay
# below the ten attempts without a lock.
CONCURRENT_PER_NETWORK = 2
_RETRY_AFTER = 4


@dataclass(slots=True)
class _Account:
    """The attempts at one account: how many there are, are in progress, and wait for those.

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

    def __init__(self, account: _Account, *, waited: bool) -> None:
        self._account = account
        self.waited = waited
        self.is_in_progress = False

    async def count(self, count: "CountAttempt[T]") -> tuple[T, LoginAttempts | None]:
        """Count the attempt by calling `count`, and return its result.

        Raises RateLimited if the account is locked and no attempt in progress can unlock it.
        """
        while True:
            found, counted = await count()
            if not isinstance(counted, RateLimited):
                self._account.in_progress += 1
                self.is_in_progress = True
                return found, counted
            if not self._account.in_progress:
                raise counted
            await self._wait_for_another()

    async def _wait_for_another(self) -> None:
        # A cancelled waiter is done, and `wake_one` skips it.
        waiter = get_running_loop().create_future()
        self._account.waiting.append(waiter)
        await waiter


class LoginQueue:
    """Password attempts that are in progress or wait, by account."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}

    @property
    def is_empty(self) -> bool:
        """True if there is no attempt."""
        return not self._accounts

    @asynccontextmanager
    async def slot(self, account: int, network: str) -> AsyncIterator[AttemptSlot]:
        """Wait for a slot for an attempt at `account` from `network`, for the duration of the
        context.

        Raises Overloaded if too many wait.
        """
        attempts = self._accounts.setdefault(account, _Account())
        if attempts.total >= ATTEMPTS_MAX:
            raise Overloaded(retry_after=_RETRY_AFTER)
        semaphore = attempts.by_network.setdefault(network, Semaphore(CONCURRENT_PER_NETWORK))
        attempts.total += 1
        slot = AttemptSlot(attempts, waited=semaphore.locked())
        try:
            async with semaphore:
                yield slot
        finally:
            if slot.is_in_progress:
                attempts.end_one()
            attempts.total -= 1
            if not attempts.total:
                del self._accounts[account]
