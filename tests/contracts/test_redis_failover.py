"""Redis whose address moves to another server, and Redis behind TLS."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.domain.rate_limits import Limit
from app.runtime.background_tasks import Supervisor
from app.security import redis_rate_limiter as implementation
from app.security.rate_limiter import MemoryRateLimiter
from app.security.redis_rate_limiter import open_redis_rate_limiter, probe_redis
from tests.certificates import Authority
from tests.fakes.ports import FakeClock
from tests.faults.proxy import proxy_before
from tests.redis import OwnRedis, own_redis

pytestmark = pytest.mark.anyio

LIMIT = Limit("test", 3, 60)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[OwnRedis]]:
    with ExitStack() as stack:
        folders = [tmp_path / "a", tmp_path / "b"]
        for folder in folders:
            folder.mkdir()
        yield [stack.enter_context(own_redis(folder)) for folder in folders]


@pytest.mark.parametrize("looks", [0, 1])
async def test_connections_to_a_primary_that_became_a_replica_are_replaced(
    two: list[OwnRedis], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the call that meets it, and by each look while it is still a replica."""
    monkeypatch.setattr(implementation, "TIMEOUT", 5.0)
    monkeypatch.setattr(implementation, "CHECK_INTERVAL", 3600.0)
    old, new = two
    with proxy_before("127.0.0.1", old.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with open_redis_rate_limiter(
            url, MemoryRateLimiter(FakeClock()), Supervisor()
        ) as rate_limiter:
            assert await rate_limiter.count(LIMIT, "192.0.2.1") == 0
            old.command("REPLICAOF 127.0.0.1 1")
            # The call meets the replica, and is counted here.
            assert await rate_limiter.count(LIMIT, "192.0.2.2") == 0
            for _ in range(looks):
                await rate_limiter.check_connection()
            assert lost(rate_limiter) == [True]
            proxy.target = ("127.0.0.1", new.port)
            await rate_limiter.check_connection()
            assert lost(rate_limiter) == [False]


def lost(rate_limiter: implementation.RedisRateLimiter) -> list[object]:
    return [r.value for r in rate_limiter.measurements() if r.name == "redis_lost"]


async def test_a_redis_behind_tls_is_asked_with_a_ca_of_its_own(tmp_path: Path) -> None:
    authority = Authority()
    server = authority.certify("localhost")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "other.pem").write_bytes(Authority().pem)
    (tmp_path / "server.pem").write_bytes(server.certificate)
    (tmp_path / "server.key").write_bytes(server.key)
    with own_redis(tmp_path) as redis, proxy_before("127.0.0.1", redis.port) as free:
        port = free.port
        free.shut()
        for name, value in {
            "tls-cert-file": tmp_path / "server.pem",
            "tls-key-file": tmp_path / "server.key",
            "tls-auth-clients": "no",
            "tls-port": port,
        }.items():
            redis.command(f"CONFIG SET {name} {value}")
        url = f"rediss://localhost:{port}/2?ssl_ca_certs={tmp_path}"
        assert (await probe_redis(f"{url}/ca.pem"))[0] is not None
        with pytest.raises(OSError, match="certificate verify failed"):
            await probe_redis(f"{url}/other.pem")


async def test_the_probe_shows_if_calls_can_be_counted(tmp_path: Path) -> None:
    """Nothing is left of the call that is counted for that."""
    with own_redis(tmp_path) as redis:
        assert (await probe_redis(redis.url))[0] is not None
        async with Redis.from_url(redis.url) as client:
            assert await client.dbsize() == 0
        redis.command("ACL SETUSER default -@scripting")
        with pytest.raises(OSError, match="permission"):
            await probe_redis(redis.url)
