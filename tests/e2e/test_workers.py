"""Several processes on one socket, kept by a parent."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tests.postgres import new_database
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"


@pytest.fixture(params=["sqlite", "postgresql"])
def on_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    settings = {"GATEHOUSE_WORKERS": "2"}
    if request.param == "sqlite":
        yield settings
        return
    with new_database() as url:
        yield {**settings, "GATEHOUSE_DATABASE_URL": url}


def call(server: Server, method: str, auth: str | None = None, **params: Any) -> Any:
    """On a connection of its own, so that any worker may take it."""
    body = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
    url = f"{server.greeting['url']}/rpc"
    return httpx.post(url, json=body, timeout=30, trust_env=False).json()


def workers(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return set(map(int, children))


def eventually(holds: Callable[[], object]) -> None:
    end = monotonic() + 20
    while not holds():
        assert monotonic() < end
        sleep(0.05)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.greeting['url']}/health/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_whichever_worker_is_asked_knows_what_another_did(
    tmp_path: Path, on_engine: dict[str, str]
) -> None:
    with serving(tmp_path, **on_engine) as server:
        eventually(lambda: answers(server))
        for number in range(10):
            name = f"traveller{number}"
            assert "result" in call(server, "users.create", username=name, password=PASSWORD)
            login = call(server, "users.auth", username=name, password=PASSWORD)
            token = login["result"]["token"]
            for presence in ("DND", "IDLE"):
                call(server, "users.presence", token, presence=presence)
                seen = [call(server, "users.self", token)["result"]["presence"] for _ in range(4)]
                assert seen == [presence] * 4
            assert call(server, "users.logout", token)["result"] is True
            assert all("error" in call(server, "users.self", token) for _ in range(4))


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS="2") as server:
        eventually(lambda: len(workers(server.process.pid)) == 2)
        (killed, spared) = workers(server.process.pid)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: len(workers(server.process.pid) - {killed}) == 2)
        assert spared in workers(server.process.pid)
        assert f'"pid":{killed}' in server.log.until("worker ended unexpectedly")
        eventually(lambda: answers(server))


def test_sigterm_ends_all_of_them_with_status_zero(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS="3") as server:
        eventually(lambda: len(workers(server.process.pid)) == 3)
        eventually(lambda: answers(server))
        children = workers(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=15) == 0
        assert all(map(is_gone, children))


def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS="2") as server:
        eventually(lambda: len(workers(server.process.pid)) == 2)
        eventually(lambda: answers(server))
        children = workers(server.process.pid)
        server.process.kill()
        eventually(lambda: all(map(is_gone, children)))


def test_the_metrics_are_those_of_all_workers(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_WORKERS="2") as server:
        eventually(lambda: answers(server))
        url = server.greeting["url"]
        for _ in range(40):
            httpx.get(f"{url}/health/live", trust_env=False)
        counted = 'gatehouse_http_request_seconds_count{method="GET",route="/health/live"'

        def lives() -> list[str]:
            told = httpx.get(f"{url}/metrics", trust_env=False).text
            return [line.split()[-1] for line in told.splitlines() if line.startswith(counted)]

        # A worker counts a request after its response, while the other may answer already.
        eventually(lambda: lives() == ["40.0"])


def test_killed_workers_leave_no_files_and_what_they_counted_stays(tmp_path: Path) -> None:
    counted = 'gatehouse_http_request_seconds_count{method="GET",route="/health/live"'

    def lives() -> float:
        told = httpx.get(f"{server.greeting['url']}/metrics", trust_env=False).text
        return sum(
            float(line.split()[-1]) for line in told.splitlines() if line.startswith(counted)
        )

    def have_lived(requests: int) -> bool:
        return lives() == requests

    def files() -> set[str]:
        (folder,) = tmp_path.glob("gatehouse-metrics-*")
        return {path.name for path in folder.glob("*.db")}

    def are_gone(endings: tuple[str, ...]) -> bool:
        return not any(name.endswith(endings) for name in files())

    with serving(tmp_path, GATEHOUSE_WORKERS="2", TMPDIR=str(tmp_path)) as server:
        for killed in range(3):
            eventually(lambda: len(workers(server.process.pid)) == 2 and answers(server))
            for _ in range(10):
                httpx.get(f"{server.greeting['url']}/health/live", trust_env=False)
            # A worker counts a request after its response, while the other may answer already.
            eventually(partial(have_lived, 10 * (killed + 1)))
            before = workers(server.process.pid)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            ended = tuple(f"_{pid}.db" for pid in before)
            eventually(partial(are_gone, ended))
        eventually(lambda: len(workers(server.process.pid)) == 2 and answers(server))
        assert lives() == 30
        assert {"counter_ended.db", "histogram_ended.db"} <= files()


@contextmanager
def counting(folder: Path, *, children: bool) -> Iterator["subprocess.Popen[str]"]:
    """A process that counts with others in a folder below `folder`, and forked one where asked."""
    script = (
        "import os, sys, time\n"
        "from app.server.supervisor import METRICS_FOLDER, shared_metrics\n"
        "with shared_metrics(2):\n"
        "    if not int(sys.argv[1]) or os.fork():\n"
        "        print(os.environ[METRICS_FOLDER], flush=True)\n"
        "    os.read(0, 1)\n"
        "    os._exit(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(int(children))],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def folder_of(process: "subprocess.Popen[str]") -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().rstrip())


def test_a_start_removes_what_was_left_by_those_that_were_killed_and_nothing_else(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "lock").touch()
    spared = [tmp_path / f"gatehouse-metrics-{name}" for name in ("link", "file", "unlocked")]
    spared[0].symlink_to("elsewhere")
    spared[1].touch()
    spared[2].mkdir()
    with counting(tmp_path, children=True) as parent, counting(tmp_path, children=False) as other:
        first, second = folder_of(parent), folder_of(other)
        parent.kill()
        parent.wait()
        # Its child goes on.
        with counting(tmp_path, children=False) as third:
            assert folder_of(third).exists()
            assert first.exists()
            assert second.exists()
        assert parent.stdin is not None
        parent.stdin.close()
        eventually(lambda: is_free(first / "lock"))
        with counting(tmp_path, children=False) as fourth:
            folder_of(fourth)
            assert not first.exists()
            assert second.exists()
            assert all(path.is_symlink() or path.exists() for path in spared)
    assert (tmp_path / "elsewhere" / "lock").exists()


def is_free(lock: Path) -> bool:
    """Return true if no process holds the lock."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_a_worker_that_does_not_heed_sigterm_ends_all_the_same() -> None:
    stubborn = (
        "import signal, time, app.server.supervisor as workers\n"
        "def work():\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    print('at work', flush=True)\n"
        "    time.sleep(60)\n"
        "workers.STOP_SECONDS = 0.2\n"
        "workers.WorkerSupervisor(1, work).run()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", stubborn], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (worker,) = workers(parent.pid)
        parent.kill()
        eventually(lambda: is_gone(worker))
