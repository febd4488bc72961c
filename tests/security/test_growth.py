"""Bounds of the memory and the Redis keys that a client or an account can use.

Those are the bounds that no other test shows; docs/security.md lists all of them.
"""

from uuid import uuid4

import pytest
from redis.asyncio import Redis

from app.domain.ports.store import Transaction
from app.domain.rate_limits import LOGINS, PASSWORD_USES
from app.http import response_cache
from app.runtime.background_tasks import Supervisor
from app.security.clock import SystemClock
from app.security.rate_limiter import MemoryRateLimiter
from app.security.redis_rate_limiter import open_redis_rate_limiter
from app.storage import deferred_writes
from app.storage.deferred_writes import DeferredWrites
from tests.gateway import Gateway
from tests.redis import redis_url

pytestmark = pytest.mark.anyio

FEW = 5


async def test_no_more_answers_are_kept_than_there_is_room_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_cache, "ENTRIES_MAX", FEW)
    token = await gateway.user("alice")
    for number in range(3 * FEW):
        async with gateway.seen_at(f"192.0.2.{number}") as other:
            assert (await other.rest("GET", "/users/@self", token)).status_code == 200
    metrics = (await gateway.rest("GET", "/metrics", gateway.admin_key)).text
    assert f'gatehouse_cache_entries{{cache="answers"}} {FEW}.0' in metrics


async def test_invented_methods_and_paths_make_no_new_series(gateway: Gateway) -> None:
    async def lines() -> int:
        response = await gateway.rest("GET", "/metrics", gateway.admin_key)
        assert response.status_code == 200
        return len(response.text.splitlines())

    async def invent(number: int) -> None:
        await gateway.client.request(f"METHOD{number}", f"/path{number}?q{number}={number}")
        await gateway.rpc(f"method{number}", {f"member{number}": number})
        await gateway.rest("GET", f"/users/name{number}")
        await gateway.rest("GET", "/users/@self", f"credential{number}")

    await invent(0)
    await lines()
    before = await lines()
    for number in range(1, 20):
        await invent(number)
    assert await lines() == before


async def test_no_more_deferred_writes_are_pending_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest is given up, and counted."""
    done: list[int] = []

    async def write(work: deferred_writes.Work) -> None:
        work(None)  # type: ignore[arg-type]

    monkeypatch.setattr(deferred_writes, "PENDING_MAX", FEW)
    pending = DeferredWrites(write, Supervisor())
    for number in range(3 * FEW):

        def keep(_tx: Transaction, number: int = number) -> None:
            done.append(number)

        pending.add(f"about {number}", keep)
    await pending.close()
    assert done == list(range(2 * FEW, 3 * FEW))
    assert [reading.value for reading in pending.measurements()] == [2 * FEW]


async def test_whatever_is_counted_in_redis_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No key outlives what it counts, so Redis holds no more addresses than came lately."""
    monkeypatch.setattr("app.security.redis_rate_limiter.TIMEOUT", 5.0)
    url, prefix = redis_url(), f"gatehouse-test-{uuid4().hex}"
    here = MemoryRateLimiter(SystemClock())
    async with open_redis_rate_limiter(url, here, Supervisor(), prefix) as rate_limiter:
        for number in range(10):
            for limit in (LOGINS, PASSWORD_USES):
                await rate_limiter.count(limit, f"192.0.2.{number}")
    async with Redis.from_url(url) as client:
        kept = {key: await client.ttl(key) async for key in client.scan_iter(f"*{prefix}*")}
    assert len(kept) >= 20
    longest = 2 * max(LOGINS.seconds, PASSWORD_USES.seconds) + 1
    assert {key for key, seconds in kept.items() if not 0 <= seconds <= longest} == set()
