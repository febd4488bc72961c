"""The data version on SQLite: every commit of any process changes it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile

import anyio
import pysqlite3
import pytest

from app.domain.ports.store import Transaction
from app.runtime.background_tasks import Supervisor
from app.storage.sqlite.engine import driver_of, sqlite_engine
from app.storage.sqlite.store import LoopReader, SqliteStore
from app.storage.sqlite.wal_index import WalIndex

pytestmark = pytest.mark.anyio

COMMITS = 500
CHANGE = "UPDATE sqlite_sequence SET seq = seq + 1"
# Commits until it is killed, and says so.
WRITER = """
import sys, pysqlite3
connection = pysqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("INSERT INTO sqlite_sequence VALUES ('killed', 0)")
while True:
    connection.execute(sys.argv[2])
    print("committed", flush=True)
"""


@pytest.fixture
def reader(database: Path) -> Iterator[LoopReader]:
    engine = sqlite_engine(database)
    reader = LoopReader(engine)
    yield reader
    reader.close()
    engine.dispose()
    reader.release_wal_index()


@pytest.fixture
def other(database: Path) -> Iterator[pysqlite3.Connection]:
    connection = pysqlite3.connect(str(database), isolation_level=None)
    connection.execute("INSERT INTO sqlite_sequence VALUES ('another', 0)")
    yield connection
    connection.close()


def commit(connection: pysqlite3.Connection) -> None:
    connection.execute(CHANGE)


def test_no_commit_is_missed_whatever_checkpoints_come_between(
    reader: LoopReader, other: pysqlite3.Connection
) -> None:
    reader.version()
    # SQLite itself is not asked.
    reader._cursor = None
    for number in range(COMMITS):
        before = reader.version()
        assert reader.version() == before
        commit(other)
        assert reader.version() != before
        if number % 50 == 0:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_commits_of_a_process_that_is_killed_are_seen(
    reader: LoopReader, other: pysqlite3.Connection, database: Path
) -> None:
    for _ in range(3):
        before = reader.version()
        command = [sys.executable, "-c", WRITER, str(database), CHANGE]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"committed\n"
            assert reader.version() != before
            writer.send_signal(signal.SIGKILL)
        before = reader.version()
        commit(other)
        assert reader.version() != before


def test_without_write_ahead_log_sqlite_is_asked(
    reader: LoopReader, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.sqlite.wal_index.WalIndex.of", lambda _: None)
    other = pysqlite3.connect(str(database), isolation_level=None)
    before = reader.version()
    assert reader.version() == before
    other.execute("CREATE TABLE another (number)")
    assert reader.version() != before
    other.close()


def test_a_database_without_write_ahead_log_has_no_wal_index(tmp_path: Path) -> None:
    assert WalIndex.of(str(tmp_path / "gatehouse.sqlite3")) is None


async def test_a_version_that_sqlite_cannot_tell_is_none(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.sqlite.wal_index.WalIndex.of", lambda _: None)
    store = SqliteStore(sqlite_engine(database), Supervisor())
    before = store.version()
    driver_of(store._here._kept.open()).set_progress_handler(lambda: 1, 1)
    assert store.version() is None
    assert store.version() not in {None, before}
    await store.close()


def test_a_file_that_takes_the_place_of_another_has_a_version_of_its_own(
    reader: LoopReader, database: Path, migrated: Path
) -> None:
    before = reader.version()
    for name in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
        name.unlink()
    copyfile(migrated, database)
    reader._kept.drop()
    reader._kept._engine.dispose()
    assert reader.version() != before
    assert not descriptors_of(f"{database}-shm (deleted)")
    other = pysqlite3.connect(str(database), isolation_level=None)
    before = reader.version()
    other.execute("CREATE TABLE another (number)")
    assert reader.version() != before
    other.close()


def descriptors_of(name: str) -> list[str]:
    """The descriptors of this process for a file."""
    return [it.name for it in Path("/proc/self/fd").iterdir() if os.path.realpath(it) == name]


def locks_on(path: Path) -> int:
    """The locks that this process has on a file."""
    inode = f":{path.stat().st_ino}"
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return sum(line[4] == str(os.getpid()) and line[5].endswith(inode) for line in lines)


async def test_a_store_that_is_closed_leaves_the_locks_of_another_one(database: Path) -> None:
    """Otherwise another process would take the file for unused, and truncate it."""
    ask: Callable[[Transaction], int] = lambda tx: tx.users.newest_id()  # noqa: E731
    first, second = (SqliteStore(sqlite_engine(database), Supervisor()) for _ in range(2))
    for store in (first, second):
        assert store.version() is not None
        await store.read(ask)
    wal_index = Path(f"{database}-shm")
    before = locks_on(wal_index)
    assert before > 0
    await first.close()
    assert locks_on(wal_index) == before
    await second.close()
    assert not descriptors_of(f"{wal_index} (deleted)")
    assert await anyio.Path(wal_index).exists() is False
