"""Many slow and idle connections beside a client that wants a response."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server.raw import LIVE, RPC, connect, replies
from tests.server_process import Server, attend, command, environment

PASSWORD = "correct horse battery"
SLOW = [
    b"",
    b"GET /health/live HTTP/1.1\r\nHost: gate",
    RPC + b"Content-Length: 1000\r\n\r\n{",
    RPC + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    LIVE,
]


def crowd(server: Server, stack: ExitStack, size: int) -> None:
    """Open connections that are slow or idle in every way, and close them with the stack."""
    for number in range(size):
        connection = stack.enter_context(connect(server))
        connection.sendall(SLOW[number % len(SLOW)])


def test_five_hundred_slow_and_idle_connections_do_not_delay_other_clients(server: Server) -> None:
    with ExitStack() as stack:
        crowd(server, stack, 500)
        body = {"username": "regular", "password": PASSWORD}
        assert server.client.post("/users/@self", json=body).status_code == 201
        token = server.client.post("/users/auth", json=body).json()["token"]
        for _ in range(100):
            asked = server.client.get("/users/@self", headers={"X-Access-Token": token})
            assert asked.json()["username"] == "regular"


def test_a_connection_that_is_idle_or_slow_is_closed_by_itself(server: Server) -> None:
    with connect(server) as idle, connect(server) as slow, connect(server) as silent:
        idle.sendall(LIVE)
        slow.sendall(LIVE[:10])
        assert [reply.status for reply in replies(idle)] == [200]
        assert (slow.recv(1), silent.recv(1)) == (b"", b"")


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Server]:
    """A server that may open 200 files, connections among them."""
    process = subprocess.Popen(
        ["sh", "-c", f"ulimit -n 200; exec {shlex.join(command('serve'))}"],
        cwd=tmp_path,
        env=environment(tmp_path, {"GATEHOUSE_RATE_LIMITS": "off"}),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with attend(process) as server:
        yield server


def test_more_connections_than_there_is_room_for_push_out_the_idle(cramped: Server) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            idle = stack.enter_context(connect(cramped))
            idle.sendall(LIVE)
            assert next(replies(idle)).status == 200
        assert cramped.client.get("/health/ready").status_code == 200
        body = {"username": "regular", "password": PASSWORD}
        assert cramped.client.post("/users/@self", json=body).status_code == 201
