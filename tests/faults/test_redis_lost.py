"""Redis that loses its data, ends or stalls: no limit opens, and it is found again."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.domain.rate_limits import CHECKS
from tests.faults.faulty_server import KEY, RECOVERY, guarded, with_users
from tests.faults.load import IN_FULL, eventually
from tests.redis import OwnRedis, own_redis
from tests.server_process import Server, serving

PROXY = {"GATEHOUSE_TRUSTED_PROXIES": "127.0.0.1"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path) as server:
        yield server


def check(server: Server, count: int, address: str) -> Counter[int]:
    """Check so often if a user exists, each time on a new connection."""
    host = server.greeting["url"].removeprefix("http://")

    def ask(_: int) -> int:
        with closing(HTTPConnection(host, timeout=60)) as connection:
            connection.request("HEAD", "/users/somebody", headers={"X-Forwarded-For": address})
            return connection.getresponse().status

    with ThreadPoolExecutor(16) as threads:
        return Counter(threads.map(ask, range(count)))


def test_a_redis_that_forgets_begins_a_new_count_and_no_more(
    tmp_path: Path, redis: OwnRedis
) -> None:
    settings = {"GATEHOUSE_WORKERS": "2", "GATEHOUSE_REDIS_URL": redis.url, **PROXY}
    calls = 2 * CHECKS.calls + 100
    with serving(tmp_path, **settings) as server:
        before = check(server, calls, "203.0.113.7")
        redis.flush()
        after = check(server, calls, "203.0.113.7")
        other = check(server, calls, "203.0.113.8")
        # A slow machine makes Redis seem lost, and then the processes' own counts let by, too.
        most = CHECKS.calls * (2.2 if "Redis is unavailable" in server.log.so_far else 1.1)
    for told in (before, after, other):
        assert told.keys() <= {404, 429}
        assert told[404] <= most
    assert before[404] > 0
    assert other[404] > 0
    print(
        f"\nRedis flushed: of {calls} calls {before[404]} let by before, {after[404]} after, "
        f"{other[404]} from another address"
    )


@pytest.mark.parametrize("fault", ["ended", pytest.param("paused", marks=IN_FULL)])
def test_a_redis_that_is_lost_is_used_again_soon_after_its_return(
    tmp_path: Path, redis: OwnRedis, fault: str
) -> None:
    settings = {"GATEHOUSE_REDIS_URL": redis.url, "GATEHOUSE_BOOTSTRAP_ADMIN_KEY": KEY, **PROXY}
    with (
        serving(tmp_path, **settings) as server,
        with_users(server) as faulty_server,
        guarded(faulty_server) as guard,
    ):
        redis.kill() if fault == "ended" else redis.pause()
        eventually(
            lambda: check(server, 1, "203.0.113.8") and "is unavailable" in server.log.so_far
        )
        assert faulty_server.reads() == {"ok"}
        assert faulty_server.ready() == []
        redis.start() if fault == "ended" else redis.go_on()
        took = eventually(
            lambda: (
                check(server, 1, "203.0.113.9") and "Redis is available again" in server.log.so_far
            )
        )
    print(f"\nRedis {fault}: back after {took:.2f} s, {guard}")
    assert took < RECOVERY
