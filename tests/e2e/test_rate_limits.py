"""Throttles of real servers: guesses at once, several processes, restarts, a Redis that ends."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from app.domain.rate_limits import CHECKS, FAILURES_BEFORE_LOCK, LOGINS, Limit
from app.security import redis_rate_limiter
from tests.commands import run_here
from tests.postgres import new_database
from tests.redis import OwnRedis, own_redis
from tests.server_process import Server, serving

PASSWORD, WRONG = "correct horse battery", "wrong horse battery"
PROXY = {"GATEHOUSE_TRUSTED_PROXIES": "127.0.0.1"}
GUESSES = 200


@pytest.fixture(params=["sqlite", "postgresql"])
def counted_in(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    settings = {"GATEHOUSE_WORKERS": "2", **PROXY}
    if request.param == "sqlite":
        yield settings
        return
    with new_database() as url:
        yield {**settings, "GATEHOUSE_DATABASE_URL": url}


def call(server: Server, method: str, *params: str, address: str = "203.0.113.7") -> str | None:
    """Call from an address on a new connection; return the slug of the error, or None."""
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
    sent = {"Content-Type": "application/json", "X-Forwarded-For": address}
    host = server.greeting["url"].removeprefix("http://")
    with closing(HTTPConnection(host, timeout=60)) as connection:
        connection.request("POST", "/rpc?errors=problem", body, sent)
        reply: dict[str, Any] = json.load(connection.getresponse())
    return reply["error"]["data"]["code"] if "error" in reply else None


def holds(slugs: Counter[str | None], limit: Limit, allowed: str | None = None) -> bool:
    """Return true if the limit held and was used up; where two windows meet, a few more pass."""
    return (
        set(slugs) == {allowed, "rate-limited"}
        and limit.calls <= slugs[allowed] <= limit.calls * 1.1
    )


def at_once(count: int, ask: Callable[[int], str | None], clients: int = 50) -> Counter[str | None]:
    with ThreadPoolExecutor(clients) as threads:
        return Counter(threads.map(ask, range(count)))


def test_of_guesses_at_once_no_more_are_judged_than_are_free_and_a_restart_keeps_the_lock(
    tmp_path: Path, counted_in: dict[str, str]
) -> None:
    """Each from an address of its own, over the common count of both APIs."""
    with serving(tmp_path, **counted_in) as server:
        assert call(server, "users.create", "victim", PASSWORD) is None
        for name in ("victim", "nobody"):
            slugs = at_once(
                GUESSES,
                lambda n, name=name: call(  # type: ignore[misc]
                    server, "users.auth", name, WRONG, address=f"198.51.100.{n}"
                ),
            )
            # Where that takes so long that the lock opens in between, it leaves one more.
            assert FAILURES_BEFORE_LOCK <= slugs["invalid-credentials"] <= FAILURES_BEFORE_LOCK + 1
            assert set(slugs) <= {"invalid-credentials", "rate-limited", "overloaded"}
    with serving(tmp_path, **counted_in) as server:
        slugs = at_once(FAILURES_BEFORE_LOCK, lambda n: call(server, "users.auth", "victim", WRONG))
        assert slugs["invalid-credentials"] <= 1
        assert call(server, "users.auth", "victim", PASSWORD) == "rate-limited"
        assert run_here(tmp_path, "users", "unlock", "victim", **counted_in).status == 0
        assert call(server, "users.auth", "victim", PASSWORD) is None


def test_without_a_trusted_proxy_no_client_chooses_its_address(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        slugs = at_once(
            LOGINS.calls + 20,
            lambda n: call(server, "users.auth", f"name{n}", WRONG, address=f"198.51.100.{n}"),
        )
    assert holds(slugs, LOGINS, "invalid-credentials")


def test_without_redis_the_workers_together_allow_no_more_than_the_limit(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS="2") as server:
        slugs = at_once(CHECKS.calls + 100, lambda n: call(server, "users.check", "somebody"))
    assert slugs[None] <= CHECKS.calls * 1.1
    assert set(slugs) == {None, "rate-limited"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path) as server:
        yield server


def _wait_for_redis() -> None:
    """Wait longer for Redis than a busy machine takes; otherwise the process counts alone."""
    redis_rate_limiter.TIMEOUT = 20.0


def test_with_redis_all_workers_and_a_restart_go_by_one_count(
    tmp_path: Path, redis: OwnRedis
) -> None:
    settings = {"GATEHOUSE_WORKERS": "2", "GATEHOUSE_REDIS_URL": redis.url}
    count = LOGINS.calls // 2 + 5
    began = time.monotonic()

    def log_in(server: Server) -> Counter[str | None]:
        return at_once(count, lambda n: call(server, "users.auth", f"name{n}", WRONG), clients=4)

    with serving(tmp_path, _wait_for_redis, **settings) as server:
        assert log_in(server) == {"invalid-credentials": count}
    with serving(tmp_path, _wait_for_redis, **settings) as server:
        slugs = log_in(server)
    free = LOGINS.calls - count
    # The part of the calls that has left the sliding window since.
    returned = ceil(count * (time.monotonic() - began) / LOGINS.seconds)
    assert free <= slugs["invalid-credentials"] <= free + returned
    assert slugs.keys() <= {"invalid-credentials", "rate-limited"}


@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_a_lost_redis_opens_nothing_delays_no_request_and_is_found_again(
    tmp_path: Path, redis: OwnRedis, fault: str
) -> None:
    with serving(tmp_path, GATEHOUSE_REDIS_URL=redis.url, **PROXY) as server:
        assert call(server, "users.create", "somebody", PASSWORD) is None
        if fault == "killed":
            redis.kill()
        else:
            redis.pause()
        slugs = at_once(
            CHECKS.calls + 100,
            lambda n: call(server, "users.check", "somebody", address="10.0.0.1"),
        )
        assert holds(slugs, CHECKS)
        assert server.client.get("/health/ready").is_success
        assert "Redis is unavailable" in server.log.until("Redis is unavailable")
        if fault == "killed":
            redis.start()
        else:
            redis.go_on()
        _until_it_is_back(server)


def _until_it_is_back(server: Server) -> None:
    """Call until Redis is in use again."""
    latest = time.monotonic() + 20
    while "Redis is available again" not in server.log.so_far:
        assert time.monotonic() < latest
        call(server, "users.check", "somebody", address="10.0.0.2")
        time.sleep(0.1)


def test_a_redis_that_is_not_there_at_the_start_stops_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_REDIS_URL="redis://127.0.0.1:1/0") as server:
        slugs = at_once(CHECKS.calls + 100, lambda n: call(server, "users.check", "somebody"))
    assert holds(slugs, CHECKS)


def test_limits_that_are_off_are_logged_and_delay_no_request(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_RATE_LIMITS="off") as server:
        assert "account locks are disabled" in server.log.so_far
        slugs = at_once(
            2 * FAILURES_BEFORE_LOCK, lambda n: call(server, "users.auth", "somebody", WRONG)
        )
    assert slugs == {"invalid-credentials": 2 * FAILURES_BEFORE_LOCK}
    store = sqlite3.connect(tmp_path / "var" / "gatehouse.sqlite3")
    assert store.execute("SELECT count(*) FROM password_attempts").fetchone() == (0,)
    store.close()
