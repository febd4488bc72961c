"""Calls counted in Redis, by address: for all processes on all machines together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.domain.ports import Throttle
from app.domain.readings import Reading, Refused
from app.domain.throttling import Limit
from app.domain.times import EPOCH

_LOG = logging.getLogger("gatehouse.throttle")

CONNECTIONS = 10
# No call waits longer for Redis. Whoever did is the last to ask for a while.
PATIENCE = 0.1
PAUSE = 1.0
SHUT_MAX = 10_000


class RedisThrottle:
    """The sliding window counter of `limits`, in Redis.

    Everything is counted in this process as well, and while Redis is lost or slow, that count
    decides: the throttle is looser or tighter then, but never open. Once a second, one call asks
    whether Redis is back.
    """

    seldom_waits = False

    def __init__(self, storage: RedisStorage, here: Throttle) -> None:
        self._storage = storage
        self._windows = SlidingWindowCounterRateLimiter(storage)
        self._here = here
        self._asks_again_at = 0.0
        self._is_lost = False
        # Who has to wait until when: known without asking.
        self._shut: dict[tuple[str, str], float] = {}
        self._refused = Refused()
        self._alone = 0

    def readings(self) -> Iterator[Reading]:
        """How often it refused, and whether Redis is there."""
        yield from self._refused.readings()
        yield Reading("redis_lost", "Processes that have lost Redis.", self._is_lost)
        about = "Calls that a process counted alone, since Redis was lost or slow."
        yield Reading("throttle_alone", about, self._alone, is_total=True)

    async def count(self, limit: Limit, address: str) -> float:
        _, wait = await self.count_each(limit, address, 1)
        return wait

    async def count_each(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        fit, wait = await self._count(limit, address, calls)
        self._refused.note(limit, calls - fit)
        return fit, wait

    async def _count(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        here = await self._here.count_each(limit, address, calls)
        if wait := self._still_shut(limit, address):
            return 0, wait
        if monotonic() < self._asks_again_at:
            self._alone += calls
            return here
        if self._is_lost:
            # The others do not wait for what this call is going to find.
            self._asks_again_at = monotonic() + PAUSE
        try:
            async with asyncio.timeout(PATIENCE):
                fit, wait = await self._ask(limit, address, calls)
        except (RedisError, OSError, TimeoutError) as error:
            self._lose(error)
            self._alone += calls
            return here
        self._find()
        if wait:
            self._shut_out(limit, address, wait)
        return fit, wait

    def peek(self, limit: Limit, address: str) -> float:
        if self._is_lost:
            return self._here.peek(limit, address)
        return self._still_shut(limit, address)

    async def _ask(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        item = RateLimitItemPerSecond(limit.calls, limit.seconds, namespace=limit.name)
        if await self._windows.hit(item, address, cost=calls):
            return calls, 0.0
        fit = 0
        while fit < calls - 1 and await self._windows.hit(item, address):
            fit += 1
        key = item.key_for(address)
        earlier, _, current, left = await self._storage.get_sliding_window(key, limit.seconds)
        # There a window's counter is kept for the length of another one.
        return fit, limit.wait(earlier, current, left - limit.seconds) or 1.0

    def _still_shut(self, limit: Limit, address: str) -> float:
        return max(0.0, self._shut.get((limit.name, address), 0.0) - monotonic())

    def _shut_out(self, limit: Limit, address: str, wait: float) -> None:
        if len(self._shut) >= SHUT_MAX:
            del self._shut[next(iter(self._shut))]
        self._shut[limit.name, address] = monotonic() + wait

    def _lose(self, error: Exception) -> None:
        self._asks_again_at = monotonic() + PAUSE
        if not self._is_lost:
            self._is_lost = True
            _LOG.warning("Redis is lost, each process throttles alone: %r", error)

    def _find(self) -> None:
        self._asks_again_at = 0.0
        if self._is_lost:
            self._is_lost = False
            _LOG.warning("Redis is back.")


async def server_facts(url: str) -> tuple[str, datetime]:
    """The version of the Redis at `url`, and what time it is there. Raises OSError."""
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as server:
        try:
            about, (seconds, microseconds) = await server.info("server"), await server.time()
        except RedisError as error:
            raise OSError(str(error)) from error
    time = EPOCH + timedelta(seconds=seconds, microseconds=microseconds)
    return str(about["redis_version"]), time


@asynccontextmanager
async def redis_throttle(
    url: str, here: Throttle, prefix: str = "gatehouse"
) -> AsyncIterator[RedisThrottle]:
    """A throttle on the Redis at `url`, which need not be there yet."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=PATIENCE,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
    options: dict[str, Any] = {"connection_pool": pool, "key_prefix": prefix}
    try:
        yield RedisThrottle(RedisStorage(f"async+{url}", implementation="redispy", **options), here)
    finally:
        await pool.disconnect()
