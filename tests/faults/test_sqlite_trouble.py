"""SQLite whose file is locked, whose disk is full, whose folder may not be written to."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import pysqlite3
import pytest

from tests.faults.house import RECOVERY, SETTINGS, House, guarded, inhabited
from tests.faults.load import IN_FULL
from tests.server import attend, command, environment, serving

WRITES = 4
# A write waits 5 seconds for a lock, also in the queue behind others that do.
LOCKED = 8.0


def held_up(house: House) -> float:
    """How long the slowest of several writes waits to be refused; each comes a little later."""

    def write(number: int) -> float:
        sleep(number * 0.5)
        began = monotonic()
        assert house.rpc("users.presence", house.token, presence="IDLE") == "overloaded"
        return monotonic() - began

    with ThreadPoolExecutor(WRITES) as threads:
        return max(threads.map(write, range(WRITES)))


def test_while_another_program_holds_the_file_reads_go_on(tmp_path: Path) -> None:
    with serving(tmp_path, **SETTINGS) as server, inhabited(server) as house:
        other = pysqlite3.connect(str(tmp_path / "var/gatehouse.sqlite3"), isolation_level=None)
        with guarded(house) as guard:
            other.execute("BEGIN EXCLUSIVE")
            waited = held_up(house)
            assert house.reads() == {"ok"}
            assert house.ready() == []
            other.execute("COMMIT")
            recovered = house.recovers(monotonic())
        other.close()
    assert guard.told.keys() == {"unauthenticated"}
    print(
        f"\nSQLite locked: {WRITES} writes refused, each within {waited:.1f} s, "
        f"reads went on, back after {recovered:.2f} s, {guard}"
    )
    assert waited < LOCKED
    assert recovered < RECOVERY


# ---------------------------------------------------------------------------- no room left


@contextmanager
def limited_files(house: House, data: Path) -> Iterator[None]:
    """No file of the server's may grow any more."""
    pid = house.server.process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # The write-ahead log is the one that grows; what it has room for is written over.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def full_disk(house: House, data: Path) -> Iterator[None]:
    """Not one byte is left."""
    filler = data / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b" " * 4096):
                pass
        yield
    finally:
        filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of its own, which is small."""
    data = tmp_path / "var"
    data.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("A tmpfs cannot be mounted here; the limit on files has to stand for it.")
    try:
        yield data
    finally:
        subprocess.run(["umount", str(data)], check=True)


Fault = Callable[[House, Path], AbstractContextManager[None]]


def without_room(folder: Path, fault: Fault, name: str) -> None:
    with serving(folder, **SETTINGS) as server, inhabited(server) as house:
        before = house.log_in(house.sign_up())
        with guarded(house) as guard:
            with fault(house, folder / "var"):
                began = monotonic()
                assert house.writes() == {"overloaded"}
                waited = monotonic() - began
                assert house.reads() == {"ok"}
                assert house.ready() == []
            recovered = house.recovers(monotonic())
        # What was there is there.
        assert house.rest("GET", "/users/@self", before) == "ok"
        assert guard.told.keys() == {"unauthenticated"}
    store = pysqlite3.connect(str(folder / "var/gatehouse.sqlite3"))
    assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.close()
    print(
        f"\nSQLite without room ({name}): 4 writes refused in {waited:.2f} s, reads went on, "
        f"back after {recovered:.2f} s, {guard}"
    )
    assert recovered < RECOVERY


def test_where_files_may_not_grow_reads_go_on(tmp_path: Path) -> None:
    without_room(tmp_path, limited_files, "a limit on its files")


@IN_FULL
def test_where_the_disk_is_full_reads_go_on(tmp_path: Path, small_disk: Path) -> None:
    without_room(tmp_path, full_disk, "a full disk")


# ------------------------------------------------------------------------- a closed folder


@pytest.fixture
def obedient() -> list[str]:
    """What makes a command heed the modes of files, root's too."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("There is no setpriv to take root's privilege away.")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory that can be removed afterwards."""
    folder = tmp_path / "var"
    folder.mkdir(mode=0o700)
    yield folder
    folder.chmod(0o700)


def test_a_folder_that_becomes_read_only_hinders_no_running_server_but_a_start(
    tmp_path: Path, data: Path, obedient: list[str]
) -> None:
    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*obedient, *command("serve")],
            cwd=tmp_path,
            env=environment(tmp_path, SETTINGS),
            stderr=subprocess.PIPE,
            text=True,
        )

    with attend(start()) as server, inhabited(server) as house:
        data.chmod(0o500)
        with guarded(house) as guard:
            assert house.reads() == house.writes() == {"ok"}
            assert house.ready() == []
        assert guard.told.keys() == {"unauthenticated"}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=15) == 0
    refused = start()
    _, said = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "Permission denied" in said
    assert "Traceback" not in said
    print(f"\nSQLite's folder read-only: served on, {guard}; a start says: {said.strip()}")
