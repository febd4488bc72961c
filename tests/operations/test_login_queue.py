"""The queue for attempts at one account: which of those that wait go on when one has ended."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from app.domain.errors import RateLimited
from app.domain.rate_limits import LoginAttempts
from app.operations.login_queue import LoginQueue

pytestmark = pytest.mark.anyio

ALICE = 7


async def settle() -> None:
    """Let all tasks go on as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Account:
    """An account that is locked once so many attempts were counted."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.asked: Counter[str] = Counter()
        self.queue = LoginQueue()

    async def begin(self, stack: AsyncExitStack, network: str) -> None:
        """Begin an attempt that is under way until the stack is closed."""
        turn = await stack.enter_async_context(self.queue.slot(ALICE, network))

        async def count() -> tuple[None, LoginAttempts | RateLimited]:
            self.asked[network] += 1
            self.free -= 1
            return None, LoginAttempts(ALICE) if self.free >= 0 else RateLimited(1.0)

        await turn.count(count)

    async def attempt(self, network: str) -> None:
        async with AsyncExitStack() as stack:
            await self.begin(stack, network)


@pytest.fixture
def account() -> Account:
    return Account(free=2)


async def test_each_end_lets_one_continue_and_the_last_one_all(account: Account) -> None:
    first, second = AsyncExitStack(), AsyncExitStack()
    await account.begin(first, "first")
    await account.begin(second, "second")
    waiting = [asyncio.ensure_future(account.attempt(f"waiting {n}")) for n in range(4)]
    await settle()
    assert account.asked.total() == 2 + 4
    await first.aclose()
    await settle()
    assert account.asked.total() == 2 + 4 + 1
    assert not any(task.done() for task in waiting)
    await second.aclose()
    await settle()
    assert [type(task.exception()) for task in waiting if task.done()] == [RateLimited] * 4
    assert account.queue.is_empty


async def test_attempts_of_a_network_that_has_gone_begin_without_waiting(account: Account) -> None:
    account.free = 10
    async with AsyncExitStack() as other:
        await account.begin(other, "other")
        for _ in range(3):
            await asyncio.gather(*(account.attempt("first") for _ in range(2)))
        async with account.queue.slot(ALICE, "first") as turn:
            assert not turn.waited
    assert account.queue.is_empty


async def test_one_that_is_cancelled_while_it_waits_takes_no_turn(account: Account) -> None:
    first, second = AsyncExitStack(), AsyncExitStack()
    await account.begin(first, "first")
    await account.begin(second, "second")
    gone, waiting = [asyncio.ensure_future(account.attempt(name)) for name in ("gone", "waiting")]
    await settle()
    gone.cancel()
    await settle()
    await first.aclose()
    await settle()
    assert account.asked["waiting"] == 2
    await second.aclose()
    with pytest.raises(RateLimited):
        await waiting
    assert account.queue.is_empty


async def test_a_queue_with_an_attempt_is_not_empty() -> None:
    queue = LoginQueue()
    for slot in (queue.slot(ALICE, "network"), queue.network_slot("network")):
        async with slot:
            assert not queue.is_empty
        assert queue.is_empty
