"""Rate limits counted in Redis, shared by all processes on all machines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from secrets import token_hex
from time import monotonic
from typing import Any

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from app.domain.measurements import Measurement
from app.domain.ports.services import RateLimiter
from app.domain.rate_limits import Limit
from app.domain.timestamps import EPOCH
from app.runtime.background_tasks import Supervisor
from app.runtime.bounded_map import BoundedMap

_LOG = logging.getLogger("gatehouse.throttle")

CONNECTIONS = 10
# Seconds that a call waits for Redis. After a timeout no call uses Redis until it is back.
TIMEOUT = 0.1
CHECK_INTERVAL = 1.0
BLOCKED_MAX = 10_000
# How long a refused address is blocked without asking Redis, if calls of the limit are refunded.
BLOCKED_SECONDS = 1.0
_PROBE = RateLimitItemPerSecond(1, 1, namespace="probe")
# Seconds for each response to `gatehouse doctor`.
PROBE_TIMEOUT = 2.0


# `Limit.take`, in milliseconds. A bucket is a key that expires when the bucket is full again, so
# its time to live is its level, and no clock is needed.
_TAKE = """
local size, span, calls = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left = math.min(math.max(redis.call('PTTL', KEYS[1]), 0), span)
local fit = math.min(calls, math.floor((span - left) * size / span + 0.000001))
left = math.floor(left + fit * span / size + 0.5)
if left > 0 then
    redis.call('SET', KEYS[1], '', 'PX', left)
else
    redis.call('DEL', KEYS[1])
end
if fit == calls then
    return {fit, 0}
end
return {fit, math.max(1, math.ceil(left + span / size - span))}
"""


class RedisRateLimiter:
    """The sliding window counter of `limits` and token buckets, in Redis.

    Every call is counted in this process, too, and while Redis is lost or slow, that count
    decides: the limits are looser or tighter then, but never off. Once a second, a background
    task counts a probe to find out if Redis is back; no other call waits for that.
    """

    def __init__(
        self, storage: RedisStorage, client: Redis, prefix: str, local: RateLimiter
    ) -> None:
        self._storage = storage
        self._pool = client.connection_pool
        self._take = client.register_script(_TAKE)
        self._prefix = prefix
        self._windows = SlidingWindowCounterRateLimiter(storage)
        self._local = local
        self._is_unavailable = False
        # Refused addresses, with the time until which Redis need not be asked.
        self._blocked_until: BoundedMap[tuple[str, str], float] = BoundedMap(BLOCKED_MAX)
        self._local_calls = 0

    def measurements(self) -> Iterator[Measurement]:
        """Measure the connection to Redis."""
        description = "Processes for which Redis is unavailable."
        yield Measurement("redis_lost", description, self._is_unavailable)
        description = "Calls counted only locally, because Redis was unavailable or slow."
        yield Measurement("throttle_alone", description, self._local_calls, is_total=True)

    async def count(self, limit: Limit, address: str) -> float:
        _, wait = await self.count_many(limit, address, 1)
        return wait

    async def count_many(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        local = await self._local.count_many(limit, address, calls)
        if wait := self._blocked_for(limit, address):
            return 0, wait
        if self._is_unavailable:
            self._local_calls += calls
            return local
        try:
            async with asyncio.timeout(TIMEOUT):
                fit, wait = await self._ask(limit, address, calls)
        except (RedisError, OSError, TimeoutError) as error:
            await self._mark_unavailable(error)
            self._local_calls += calls
            return local
        if wait:
            self._block(limit, address, wait)
        return fit, wait

    async def refund(self, limit: Limit, address: str) -> None:
        await self._local.refund(limit, address)
        self._blocked_until.pop((limit.name, address))
        if self._is_unavailable:
            return
        try:
            async with asyncio.timeout(TIMEOUT):
                if limit.refills or (await self._window(limit, address))[1] > 0:
                    await self._ask(limit, address, -1)
        except (RedisError, OSError, TimeoutError) as error:
            await self._mark_unavailable(error)

    def peek(self, limit: Limit, address: str) -> float:
        if self._is_unavailable:
            return self._local.peek(limit, address)
        return self._blocked_for(limit, address)

    async def _ask(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        if limit.refills:
            key = f"{self._prefix}:bucket:{limit.name}:{address}"
            fit, wait = await self._take([key], [limit.calls, limit.seconds * 1000, calls])
            return int(fit), int(wait) / 1000
        item = RateLimitItemPerSecond(limit.calls, limit.seconds, namespace=limit.name)
        if await self._windows.hit(item, address, cost=calls):
            return calls, 0.0
        fit = 0
        for _ in range(calls - 1):
            if not await self._windows.hit(item, address):
                break
            fit += 1
        earlier, current, left = await self._window(limit, address)
        # Redis keeps a window's counter for the length of another window.
        return fit, max(limit.wait(earlier, current, left - limit.seconds), 0.001)

    async def _window(self, limit: Limit, address: str) -> tuple[int, int, float]:
        """Return the calls in the window before and in this one, and its time to live."""
        item = RateLimitItemPerSecond(limit.calls, limit.seconds, namespace=limit.name)
        key = item.key_for(address)
        earlier, _, current, left = await self._storage.get_sliding_window(key, limit.seconds)
        return earlier, current, left

    def _blocked_for(self, limit: Limit, address: str) -> float:
        return max(0.0, (self._blocked_until.get((limit.name, address)) or 0.0) - monotonic())

    def _block(self, limit: Limit, address: str, wait: float) -> None:
        if limit.is_refunded:
            # Another process may make room before.
            wait = min(wait, BLOCKED_SECONDS)
        self._blocked_until.put((limit.name, address), monotonic() + wait)

    async def _mark_unavailable(self, error: Exception) -> None:
        if not self._is_unavailable:
            self._is_unavailable = True
            _LOG.warning("Redis is unavailable; each process limits rates on its own: %r", error)
        await self._reconnect_after(error)

    async def _reconnect_after(self, error: Exception) -> None:
        """Drop the connections after an error response: they may lead to a replica."""
        if isinstance(error, ResponseError):
            await self._pool.disconnect(inuse_connections=False)

    async def check_connection(self) -> None:
        """If Redis is lost, probe it: it is back if it counts a call in time."""
        if not self._is_unavailable:
            return
        # A lost Redis is no failure of this task: the count of this process decides meanwhile.
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._windows.hit(_PROBE, "redis")
        except (RedisError, OSError) as error:
            await self._reconnect_after(error)
            return
        self._is_unavailable = False
        _LOG.warning("Redis is available again.")


async def probe_redis(url: str) -> tuple[str | None, datetime | None]:
    """Count one call in the Redis at `url`, and delete it. Raises OSError.

    Return its version and time, each None if the Redis user may not read it.
    """
    version, time = None, None
    async with _connections(url, PROBE_TIMEOUT) as pool:
        server, storage = Redis(connection_pool=pool), _storage(pool, "gatehouse")
        once = RateLimitItemPerSecond(1, 1, namespace="doctor")
        key = token_hex(8)
        try:
            await SlidingWindowCounterRateLimiter(storage).hit(once, key)
            await SlidingWindowCounterRateLimiter(storage).clear(once, key)
        except RedisConnectionError as error:
            advice = "Start Redis, or correct GATEHOUSE_REDIS_URL."
            raise OSError(f"{error} {advice}") from error
        except RedisError as error:
            raise OSError(str(error)) from error
        with suppress(ResponseError):
            version = str((await server.info("server"))["redis_version"])
        with suppress(ResponseError):
            seconds, microseconds = await server.time()
            time = EPOCH + timedelta(seconds=seconds, microseconds=microseconds)
    return version, time


@asynccontextmanager
async def open_redis_rate_limiter(
    url: str, local: RateLimiter, background: Supervisor, prefix: str = "gatehouse"
) -> AsyncIterator[RedisRateLimiter]:
    """Open a rate limiter on the Redis at `url`, which need not be available yet."""
    async with _connections(url, TIMEOUT) as pool:
        client = Redis(connection_pool=pool)
        rate_limiter = RedisRateLimiter(_storage(pool, prefix), client, prefix, local)
        task = background.start("throttle", rate_limiter.check_connection, CHECK_INTERVAL)
        try:
            yield rate_limiter
        finally:
            await task.stop()


@asynccontextmanager
async def _connections(url: str, seconds: float) -> AsyncIterator[BlockingConnectionPool]:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield pool
    finally:
        await pool.disconnect()


def _storage(pool: BlockingConnectionPool, prefix: str) -> RedisStorage:
    options: dict[str, Any] = {"connection_pool": pool, "key_prefix": prefix}
    # The pool has the address; only the scheme of the URL counts.
    return RedisStorage("async+redis://", implementation="redispy", **options)
