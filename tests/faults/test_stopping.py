"""The end of a server, and of one of its workers, while many ask."""

import os
import signal
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from app.server.http_server import NOTICE_SECONDS
from tests.faults.load import IN_FULL, Load, Request, eventually, rpc, under_load
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"
UNLIMITED = {"GATEHOUSE_RATE_LIMITS": "off"}
# A thread of a loaded machine may be late to say when it connected.
SLACK = 0.5


def token_of(server: Server, name: str) -> str:
    server.client.post("/users/@self", json={"username": name, "password": PASSWORD})
    login = {"username": name, "password": PASSWORD}
    token: str = server.client.post("/users/auth", json=login).json()["token"]
    return token


def everything(server: Server) -> list[Request]:
    """Reads that are ready and that are not, writes, and the slow hash, at both APIs."""
    token = token_of(server, "somebody")
    mine = {"X-Access-Token": token}
    presence = {**mine, "Content-Type": "application/json"}
    return 2 * [
        Request("GET", "/users/@self", headers=mine),
        Request("GET", "/users/@self", headers=mine),
        rpc("users.self", token),
        rpc("users.self", token),
        rpc("users.auth", username="somebody", password=PASSWORD),
        Request("PATCH", "/users/@self/presence", '"IDLE"', presence),
        rpc("users.presence", token, presence="DND"),
        Request("GET", "/users/@self/sessions", headers=mine),
    ]


class Balancer:
    """A client that polls /health/ready on new connections until one is refused."""

    def __init__(self, server: Server) -> None:
        self.seen: list[tuple[int, Any]] = []
        self._address = server.greeting["url"].removeprefix("http://")
        self._thread = Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        while True:
            connection = HTTPConnection(self._address, timeout=20)
            try:
                connection.request("GET", "/health/ready")
                response = connection.getresponse()
                body = response.read()
            except OSError:
                return
            finally:
                connection.close()
            self.seen.append((response.status, body))
            sleep(0.05)

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def assert_no_request_was_cut_off(load: Load, told_at: float) -> None:
    """Only who connected when the notice was over may have been too late."""
    over = told_at + NOTICE_SECONDS - SLACK
    assert [cut for cut in load.cut if cut.connected_at < over or cut.number] == []
    assert load.unexpected == []


@pytest.mark.parametrize("workers", [pytest.param("1", marks=IN_FULL), "2"])
def test_sigterm_is_announced_first_and_cuts_no_request_off(tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS=workers, **UNLIMITED) as server:
        with under_load(server.greeting["url"], everything(server), until_refused=True) as load:
            balancer = Balancer(server)
            eventually(lambda: len(load.times) > 500 and len(balancer.seen) > 2)
            before = len(load.times)
            server.process.send_signal(signal.SIGTERM)
            told_at = monotonic()
            assert server.process.wait(timeout=15) == 0
            ended_after = monotonic() - told_at
            balancer.join()
        assert_no_request_was_cut_off(load, told_at)
    statuses = [status for status, _ in balancer.seen]
    first = statuses.index(503)
    assert set(statuses[:first]) == {200}
    assert set(statuses[first:]) == {503}
    assert b'"failing":["stopping"]' in balancer.seen[first][1]
    # Two in a row are what a balancer wants to see.
    assert len(statuses[first:]) >= 3
    assert load.since(told_at) > 0
    print(
        f"\nSIGTERM, {workers} worker(s), 16 clients: {before} answers before, "
        f"{load.since(told_at)} after it, {len(load.cut)} connected too late, 0 cut off; "
        f"{len(statuses[first:])} times not ready; ended after {ended_after:.1f} s"
    )


def test_sigint_ends_a_server_without_notice(tmp_path: Path) -> None:
    """Ctrl-C does not wait for load balancers."""
    with serving(tmp_path) as server, httpx.Client(trust_env=False) as idle:
        idle.get(f"{server.greeting['url']}/health/live")
        server.process.send_signal(signal.SIGINT)
        told_at = monotonic()
        # On the connection that was open before.
        answer = idle.get(f"{server.greeting['url']}/health/ready")
        while answer.is_success:
            answer = idle.get(f"{server.greeting['url']}/health/ready")
        assert (answer.status_code, answer.json()["failing"]) == (503, ["stopping"])
        assert answer.headers["connection"] == "close"
        assert server.process.wait(timeout=15) == 0
        print(f"\nSIGINT: ended after {monotonic() - told_at:.1f} s")


def workers_of(server: Server) -> set[int]:
    pid = server.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_worker_that_crashes_under_load_is_replaced_and_the_other_goes_on(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS="2", **UNLIMITED) as server:
        requests = everything(server)
        with under_load(server.greeting["url"], requests, until_refused=False) as load:
            eventually(lambda: len(load.times) > 500)
            killed = min(workers_of(server))
            os.kill(killed, signal.SIGKILL)
            killed_at = monotonic()
            took = eventually(lambda: len(workers_of(server) - {killed}) == 2)
            seen = len(load.times)
            eventually(lambda: len(load.times) > seen + 500)
            recovered_at = monotonic()
        # Each client has one request at a time: what the crash itself can cost.
        assert len(load.cut) <= len(requests)
        assert [cut for cut in load.cut if cut.connected_at > killed_at + SLACK] == []
        assert load.unexpected == []
        assert load.refused == 0
        print(
            f"\na worker killed under load: {len(load.cut)} of {len(requests)} requests in it cut, "
            f"{load.since(killed_at)} answers in the {recovered_at - killed_at:.1f} s after; "
            f"another begun after {took:.2f} s"
        )
