"""Logins of real servers: many at once, by several processes, and whose clients hang up."""

import json
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.server.raw import RPC, connect, replies, sized
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"
PROXY = {"GATEHOUSE_TRUSTED_PROXIES": "127.0.0.1"}
HUNG_UP = 100


def login(name: str, address: str) -> bytes:
    """The request of a login from an address."""
    call = {"jsonrpc": "2.0", "method": "users.auth", "params": [name, PASSWORD], "id": 1}
    return RPC + f"X-Forwarded-For: {address}\r\n".encode() + sized(json.dumps(call).encode())


@pytest.mark.parametrize("workers", [1, 2])
def test_right_passwords_at_once_all_log_in(tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS=str(workers)) as server:
        body = {"username": "alice", "password": PASSWORD}
        assert server.client.post("/users/@self", json=body).status_code == 201
        with ThreadPoolExecutor(40) as threads:
            logins = threads.map(
                lambda _: server.client.post("/users/auth", json=body).status_code, range(40)
            )
            assert [*logins] == [200] * 40


def dropped(server: Server) -> float:
    """Return the number of dropped hashes, once none waits any more."""
    headers = {"X-Access-Token": server.admin_key}
    metrics = server.client.get("/metrics", headers=headers).text
    if 'gatehouse_hashes{state="waiting"} 0.0' not in metrics:
        return 0
    found = re.search(r"^gatehouse_hashes_dropped_total (\d+)", metrics, re.MULTILINE)
    return float(found[1]) if found else 0


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "closed"])
def test_no_hash_is_computed_for_those_who_hung_up(tmp_path: Path, is_reset: bool) -> None:
    with serving(tmp_path, **PROXY) as server:
        connections = [connect(server) for _ in range(HUNG_UP)]
        for number, connection in enumerate(connections):
            connection.sendall(login(f"name{number}", "198.51.100.7"))
        for connection in connections:
            if is_reset:
                now = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            connection.close()
        deadline = time.monotonic() + 20
        while (count := dropped(server)) < HUNG_UP // 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert count >= HUNG_UP // 2


def test_a_network_that_floods_the_queue_does_not_keep_another_waiting(tmp_path: Path) -> None:
    """The other's login is answered before most of the flood."""
    with serving(tmp_path, GATEHOUSE_RATE_LIMITS="off", **PROXY) as server:
        connections = [connect(server) for _ in range(HUNG_UP)]
        for number, connection in enumerate(connections):
            connection.sendall(login(f"name{number}", "198.51.100.7"))
        with closing(connect(server)) as other:
            other.sendall(login("somebody", "203.0.113.9"))
            other.recv(1)
        answered = 0
        for connection in connections:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                answered += bool(connection.recv(1))
            connection.close()
        assert answered < HUNG_UP // 2


def test_a_client_that_sends_no_more_may_still_log_in(tmp_path: Path) -> None:
    """While no other login waits, its password is verified like any other."""
    with serving(tmp_path, **PROXY) as server:
        body = {"username": "alice", "password": PASSWORD}
        assert server.client.post("/users/@self", json=body).status_code == 201
        with closing(connect(server)) as connection:
            connection.sendall(login("alice", "198.51.100.7"))
            connection.shutdown(socket.SHUT_WR)
            (reply,) = replies(connection, "POST")
        assert "token" in reply.value["result"]
