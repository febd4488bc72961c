"""/metrics of several workers, and the page that describes it."""

import os
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep, time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.version import VERSION, find_commit
from tests.redis import OwnRedis, own_redis
from tests.server_process import Server, serving

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE = 30.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with own_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, redis: OwnRedis) -> Iterator[Server]:
    """Two workers, with all that can be configured."""
    settings = {
        "GATEHOUSE_WORKERS": "2",
        "GATEHOUSE_REDIS_URL": redis.url,
        "GATEHOUSE_PASSWORD_RANGE_URL": "http://127.0.0.1:1/range",
        "GATEHOUSE_CHAT_URL": "http://127.0.0.1:1/chat",
        "GATEHOUSE_CHAT_TOKEN": "secret-of-the-chat",
        "GATEHOUSE_PANEL_URL": "http://127.0.0.1:1/panel",
        "GATEHOUSE_PANEL_TOKEN": "secret-of-the-panel",
    }
    with serving(tmp_path_factory.mktemp("metrics"), **settings) as started:
        yield started


def samples(server: Server) -> dict[str, float]:
    """Each series by its name and labels."""
    text = httpx.get(f"{server.greeting['url']}/metrics", trust_env=False).text
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(server: Server, series: str, wanted: float) -> None:
    """Wait until that is what it says: another worker tells within a second."""
    latest = monotonic() + PATIENCE
    while (value := samples(server).get(series)) != wanted:
        assert monotonic() < latest, f"{series} is {value}"
        sleep(0.05)


def call(url: str, method: str, auth: str | None = None, **params: str) -> dict[str, object]:
    """A call on a connection of its own, so that either worker may get it."""
    request = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
    reply: dict[str, object] = httpx.post(f"{url}/rpc", json=request, trust_env=False).json()
    return reply


def test_counts_of_several_workers_are_one_sum(server: Server) -> None:
    url = server.greeting["url"]
    account = {"username": "somebody", "password": "correct horse battery"}
    call(url, "users.create", **account)
    for number in range(12):
        call(url, "users.self", auth="none")
        call(url, "users.check", username="somebody")
        call(url, f"made.up{number}")
        httpx.get(f"{url}/users/@self", trust_env=False)
    until(server, "gatehouse_rpc_calls_total['ok', 'users.create']", 1)
    until(server, "gatehouse_rpc_calls_total['unauthenticated', 'users.self']", 12)
    until(server, "gatehouse_rpc_calls_total['ok', 'users.check']", 12)
    until(server, "gatehouse_rpc_calls_total['method-not-found', 'none']", 12)
    until(server, "gatehouse_http_refusals_total['/users/@self', 'unauthenticated']", 12)
    until(server, "gatehouse_password_range_checks_total['failed']", 1)
    until(server, "gatehouse_faults_total['rpc']", 0)
    until(server, "gatehouse_workers[]", 2)
    build = sorted([VERSION, find_commit() or "unknown"])
    until(server, f"gatehouse_build_info{build}", 1)


def test_a_ready_answer_counts_as_any_other(server: Server) -> None:
    url = server.greeting["url"]
    before = samples(server).get("gatehouse_rpc_calls_total['ok', 'users.self']", 0)
    made, latest = 0, monotonic() + PATIENCE
    # None is ready before the first use of the key is on record.
    while samples(server)["gatehouse_cache_hits_total['answers']"] < 10:
        assert "result" in call(url, "users.self", auth=server.admin_key)
        made += 1
        assert monotonic() < latest
    until(server, "gatehouse_rpc_calls_total['ok', 'users.self']", before + made)


def test_a_lost_redis_shows_and_so_does_its_return(server: Server, redis: OwnRedis) -> None:
    url = server.greeting["url"]
    redis.kill()
    latest = monotonic() + PATIENCE
    while not samples(server)["gatehouse_redis_lost[]"]:
        call(url, "users.check", username="somebody")
        assert monotonic() < latest
    assert samples(server)["gatehouse_throttle_alone_total[]"] > 0
    redis.start()
    while samples(server)["gatehouse_redis_lost[]"]:
        call(url, "users.check", username="somebody")
        assert monotonic() < latest


def test_the_page_speaks_of_what_there_is_and_of_all_of_it(server: Server) -> None:
    shown = {
        family.name for family in text_string_to_metric_families(server.client.get("/metrics").text)
    }
    ending = r"_(total|count|sum|bucket)$"
    page = (DOCS / "metrics.md").read_text("utf-8")
    told = {re.sub(ending, "", name) for name in re.findall(r"\b(?:gatehouse|process)_\w+", page)}
    assert told == shown


def test_processes_are_measured_together(server: Server) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    pids = [str(server.process.pid), *children.read_text().split()]
    assert len(pids) == 3
    found = [samples(server) for _ in range(8)]
    (started_at,) = {one["process_start_time_seconds[]"] for one in found}
    assert 0 < time() - started_at < 600
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    resident = found[-1]["process_resident_memory_bytes[]"]
    assert resident == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.1)
    times = [one["process_cpu_seconds_total[]"] for one in found]
    assert 0 < times[0] <= times[-1] < 60
    limit = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0]
    assert found[-1]["process_max_fds[]"] == 3 * limit
    assert 3 * 5 < found[-1]["process_open_fds[]"] < limit


def test_accounts_and_credentials_are_counted(server: Server) -> None:
    found = samples(server)
    assert found["gatehouse_accounts['active']"] >= 1
    assert found["gatehouse_accounts['disabled']"] == 0
    assert found["gatehouse_admins[]"] == found["gatehouse_access_keys[]"] == 1
    assert found["gatehouse_locked_accounts[]"] == found["gatehouse_sessions[]"] == 0


def test_a_worker_that_ended_is_counted_and_what_it_had_under_way_is_not(server: Server) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    before = samples(server)
    killed = children.read_text().split()[0]
    os.kill(int(killed), signal.SIGKILL)
    latest = monotonic() + PATIENCE
    # It may still be the one that takes a connection.
    while killed in children.read_text().split():
        assert monotonic() < latest
        sleep(0.01)
    until(server, "gatehouse_workers_replaced_total[]", 1)
    until(server, "gatehouse_workers[]", 2)
    after = samples(server)
    for series, value in before.items():
        if "_total" in series:
            assert after[series] >= value, series
