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

from tests.commands import run_here
from tests.faults.faulty_server import RECOVERY, SETTINGS, FaultyServer, guarded, with_users
from tests.faults.load import IN_FULL
from tests.server_process import attend, command, environment, serving

WRITES = 4
# A write waits 5 seconds for a lock, also in the queue behind others that do.
LOCKED = 8.0


def held_up(faulty_server: FaultyServer) -> float:
    """Return how long the slowest of several staggered writes waits for its error."""

    def write(number: int) -> float:
        sleep(number * 0.5)
        began = monotonic()
        assert (
            faulty_server.rpc("users.presence", faulty_server.token, presence="IDLE")
            == "overloaded"
        )
        return monotonic() - began

    with ThreadPoolExecutor(WRITES) as threads:
        return max(threads.map(write, range(WRITES)))


def test_while_another_program_holds_the_file_reads_go_on(tmp_path: Path) -> None:
    with serving(tmp_path, **SETTINGS) as server, with_users(server) as faulty_server:
        other = pysqlite3.connect(str(tmp_path / "var/gatehouse.sqlite3"), isolation_level=None)
        with guarded(faulty_server) as guard:
            other.execute("BEGIN EXCLUSIVE")
            waited = held_up(faulty_server)
            assert faulty_server.reads() == {"ok"}
            assert faulty_server.ready() == []
            other.execute("COMMIT")
            recovered = faulty_server.recovers(monotonic())
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
def limited_files(faulty_server: FaultyServer, data: Path) -> Iterator[None]:
    """No file of the server's may grow any more."""
    pid = faulty_server.server.process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # The write-ahead log is the one that grows; what it has room for is written over.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def full_disk(faulty_server: FaultyServer, data: Path) -> Iterator[None]:
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


Fault = Callable[[FaultyServer, Path], AbstractContextManager[None]]


def without_room(folder: Path, fault: Fault, name: str) -> None:
    with serving(folder, **SETTINGS) as server, with_users(server) as faulty_server:
        before = faulty_server.log_in(faulty_server.sign_up())
        with guarded(faulty_server) as guard:
            with fault(faulty_server, folder / "var"):
                began = monotonic()
                assert faulty_server.writes() == {"overloaded"}
                waited = monotonic() - began
                assert faulty_server.reads() == {"ok"}
                assert faulty_server.ready() == []
            recovered = faulty_server.recovers(monotonic())
        # What was there is there.
        assert faulty_server.rest("GET", "/users/@self", before) == "ok"
        assert guard.told.keys() == {"unauthenticated"}
    store = pysqlite3.connect(str(folder / "var/gatehouse.sqlite3"))
    assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.close()
    print(
        f"\nSQLite without room ({name}): 4 writes refused in {waited:.2f} s, reads went on, "
        f"back after {recovered:.2f} s, {guard}"
    )
    assert recovered < RECOVERY


def test_reads_go_on_while_files_may_not_grow(tmp_path: Path) -> None:
    without_room(tmp_path, limited_files, "a limit on its files")


def test_a_start_and_a_backup_without_room_say_what_to_do(
    tmp_path: Path, small_disk: Path, migrated: Path
) -> None:
    shutil.copyfile(migrated, tmp_path / "full.sqlite3")
    (small_disk / "filler").write_bytes(b" " * ((4 << 20) - (200 << 10)))
    first = run_here(tmp_path, "migrate")
    source = {"GATEHOUSE_DATABASE_URL": f"sqlite:///{tmp_path}/full.sqlite3"}
    backup = run_here(tmp_path, "backup", "var/backup", **source)
    for done in (first, backup):
        assert done.status == 1
        assert done.err.endswith("disk is full. Free space on its disk, and repeat the command.\n")
        assert done.err.count("\n") == 1
    assert not (small_disk / "backup").exists()


@IN_FULL
def test_reads_go_on_while_the_disk_is_full(tmp_path: Path, small_disk: Path) -> None:
    without_room(tmp_path, full_disk, "a full disk")


# ------------------------------------------------------------------------- a closed folder


@pytest.fixture
def obedient() -> list[str]:
    """A command prefix under which the modes of files bind root, too."""
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

    with attend(start()) as server, with_users(server) as faulty_server:
        data.chmod(0o500)
        with guarded(faulty_server) as guard:
            assert faulty_server.reads() == faulty_server.writes() == {"ok"}
            assert faulty_server.ready() == []
        assert guard.told.keys() == {"unauthenticated"}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=15) == 0
    refused = start()
    _, said = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert "Permission denied" in said
    assert "Traceback" not in said
    print(f"\nSQLite's folder read-only: served on, {guard}; a start says: {said.strip()}")


@pytest.mark.parametrize(
    ("file", "mode", "sentence"),
    [
        ("", 0o500, "var: Permission denied. The user that runs this command needs access to it"),
        ("gatehouse.sqlite3", 0o400, "gatehouse.sqlite3 cannot be written. It and its folder must"),
        ("signing-key.pem", 0o000, "signing-key.pem: Permission denied. The user that runs this"),
    ],
)
def test_a_start_on_what_belongs_to_another_user_says_what_to_do(
    tmp_path: Path,
    data: Path,
    migrated: Path,
    obedient: list[str],
    file: str,
    mode: int,
    sentence: str,
) -> None:
    shutil.copyfile(migrated, data / "gatehouse.sqlite3")
    (data / "signing-key.pem").touch(0o600)
    (data / file).chmod(mode)
    done = subprocess.run(
        [*obedient, *command("serve")],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "'ls -ln' shows the owner." in done.stderr
    assert done.stderr.count("\n") == 1
