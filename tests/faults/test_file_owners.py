"""Files of a data directory that root or another user left: the service continues to work."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from app.runtime.file_owner import create_private
from app.security.ids import hold_worker_number
from tests.commands import run_here
from tests.faults.test_sqlite_trouble import data, obedient
from tests.server_process import command, environment

__all__ = ["data", "obedient"]

SERVICE = 4711
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root can change an owner.")


@pytest.fixture
def of_service(data: Path, migrated: Path) -> Path:
    """A data directory of the service's user."""
    shutil.copyfile(migrated, data / "gatehouse.sqlite3")
    for path in (data, data / "gatehouse.sqlite3"):
        os.chown(path, SERVICE, SERVICE)
    (data / "workers").mkdir(mode=0o700)
    os.chown(data / "workers", SERVICE, SERVICE)
    return data


@needs_root
def test_commands_of_root_leave_no_file_that_the_service_cannot_read(of_service: Path) -> None:
    folder = of_service.parent
    backup = str(folder / "backup.sqlite3")
    for arguments in (
        ["users", "create", "carol01"],
        ["signing-keys", "rotate"],
        ["backup", backup],
        ["restore", backup, "--replace"],
    ):
        assert run_here(folder, *arguments).status == 0, arguments
    files = [path for path in of_service.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert {path.stat().st_uid for path in files} == {SERVICE}


@needs_root
def test_root_gives_away_only_what_it_created(of_service: Path) -> None:
    """Otherwise the user of the service gets any file of the machine with a link to it."""
    secret = of_service.parent / "secret"
    secret.touch(0o600)
    (of_service / "workers" / "0").symlink_to(secret)
    with hold_worker_number(of_service) as number:
        assert number == 0
    with pytest.raises(FileExistsError):
        create_private(of_service / "workers" / "0")
    assert secret.stat().st_uid == 0


def run(prefix: list[str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*prefix, *command(*arguments)],
        cwd=folder,
        env=environment(folder, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_worker_number_that_belongs_to_another_user_is_left_out(
    data: Path, migrated: Path, obedient: list[str]
) -> None:
    shutil.copyfile(migrated, data / "gatehouse.sqlite3")
    (data / "workers").mkdir(mode=0o700)
    (data / "workers" / "0").touch(0o000)
    done = run(obedient, data.parent, "users", "create", "carol01")
    assert (done.returncode, done.stderr) == (0, "")
    assert (data / "workers" / "1").exists()
    (data / "workers" / "1").unlink()
    (data / "workers").chmod(0o500)
    done = run(obedient, data.parent, "users", "create", "carol02")
    (data / "workers").chmod(0o700)
    assert done.returncode == 1
    assert "workers/1: Permission denied. The user that runs this command needs" in done.stderr


def test_doctor_reads_a_database_that_was_cut_off_on_a_read_only_disk(
    data: Path, migrated: Path, obedient: list[str]
) -> None:
    """SQLite cannot write the -shm that a full disk left empty, and reads without it."""
    database = data / "gatehouse.sqlite3"
    shutil.copyfile(migrated, database)
    for ending in ("-wal", "-shm"):
        (data / f"gatehouse.sqlite3{ending}").touch(0o400)
    database.chmod(0o400)
    data.chmod(0o500)
    done = run(obedient, data.parent, "doctor")
    data.chmod(0o700)
    assert done.returncode == 1
    assert "BAD  writes" in done.stdout
    assert "attempt to write a readonly database. It and its folder must" in done.stdout
    assert done.stderr == ""
