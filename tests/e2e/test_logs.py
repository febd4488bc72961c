"""A log whose reader has stopped."""

import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from app.logs.writer import PENDING_MAX
from tests.server_process import START_SECONDS, command, environment

CALL = {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": 1}


def test_every_request_is_answered_while_the_log_is_not_read(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("serve"),
        cwd=tmp_path,
        env=environment(
            tmp_path,
            {
                "GATEHOUSE_PUBLIC_URL": "https://id.example.com",
                "GATEHOUSE_RATE_LIMIT_EXEMPT": "127.0.0.1",
            },
        ),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            before: dict[str, Any] = {}
            while "serving" not in before:
                line = json.loads(process.stderr.readline())
                before[line["event"]] = line
            greeting = before["serving"]
            with httpx.Client(base_url=f"http://{greeting['listens']}", timeout=20) as client:
                process.stderr.close()
                answers = [client.post("/rpc", json=CALL) for _ in range(5)]
                answers.append(client.get("/nowhere"))
        finally:
            process.kill()
    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
    assert greeting["url"] == "https://id.example.com"
    assert "GATEHOUSE_TRUSTED_PROXIES=127.0.0.1," in before["no trusted proxies"]["reason"]
    assert "RATE_LIMIT_EXEMPT has 127.0.0.1/32" in before["network too wide"]["reason"]
    assert greeting["database"] == f"sqlite:///{tmp_path}/var/gatehouse.sqlite3"
    assert greeting["version"] == version("gatehouse")


def test_a_stopped_reader_stops_no_worker_and_later_gets_the_number_of_lost_lines(
    tmp_path: Path,
) -> None:
    settings = {"GATEHOUSE_WORKERS": "2", "GATEHOUSE_RATE_LIMITS": "off"}
    with subprocess.Popen(
        command("serve"),
        cwd=tmp_path,
        env=environment(tmp_path, settings),
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if b'"serving"' in line)
            url, path = json.loads(line)["url"], "/" + "x" * 7000

            def ask(_: int) -> set[int]:
                # On connections of their own, so that both workers are asked.
                with closing(HTTPConnection(url.removeprefix("http://"), timeout=20)) as client:
                    statuses = set()
                    for _ in range(100):
                        client.request("GET", path)
                        with client.getresponse() as answer:
                            statuses.add(answer.status)
                            answer.read()
                    return statuses

            # More lines than both workers keep pending, and the pipe holds.
            with ThreadPoolExecutor(8) as threads:
                assert set().union(*threads.map(ask, range(2 * PENDING_MAX // 100 + 2))) == {404}
            # Each worker publishes its numbers once a second.
            latest = monotonic() + START_SECONDS
            with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
                while "log_lines_dropped_total 0.0" in (metrics := client.get("/metrics").text):
                    assert monotonic() < latest
                    sleep(0.05)
            assert "gatehouse_log_lines_dropped_total" in metrics
            # It reads on.
            lines: list[Any] = []
            while not any(line["event"] == "log lines dropped" for line in lines):
                line = next(process.stderr)
                assert len(line) <= 4096
                lines.append(json.loads(line))
            cut = [line for line in lines if line.get("path", "").startswith("/x")]
            assert cut
            assert all(line["cut"] == ["path"] for line in cut)
        finally:
            process.kill()


def answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server answers that cannot say that it serves."""
    latest = monotonic() + START_SECONDS
    while True:
        assert process.poll() is None
        assert monotonic() < latest
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return
        sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", "<&-"])
def test_a_server_starts_with_closed_descriptors_and_uses_them_for_nothing_else(
    tmp_path: Path, closed: str
) -> None:
    port = free_port()
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command("serve")],
        cwd=tmp_path,
        env=environment(tmp_path, {"GATEHOUSE_PORT": str(port)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(f"http://127.0.0.1:{port}", process)
        opened = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        assert set(opened) == {"/dev/null"}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_full_disk_below_the_log_stops_no_server(tmp_path: Path, form: str) -> None:
    port = free_port()
    settings = {"GATEHOUSE_PORT": str(port), "GATEHOUSE_LOG_FORMAT": form}
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            command("serve"), cwd=tmp_path, env=environment(tmp_path, settings), stderr=full
        )
    try:
        url = f"http://127.0.0.1:{port}"
        answers(url, process)
        assert httpx.get(f"{url}/nowhere", trust_env=False).status_code == 404
        metrics = httpx.get(f"{url}/metrics", trust_env=False).text
        assert "gatehouse_log_lines_dropped_total" in metrics
    finally:
        process.kill()
        process.wait()
