"""Servers with Python's own SQLite, whose WAL mode is not sound: all promises are kept without it.

So it is on 64-bit ARM, where pysqlite3 has no wheel. FAULT_KILLS and FAULT_SEED are those of
test_kills.
"""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom

import pysqlite3
import pytest

from app.storage.sqlite.library import has_sound_wal
from app.storage.sqlite.store import SqliteFile
from tests.faults.faulty_server import SETTINGS, with_users
from tests.faults.kills import Programme
from tests.server_process import Server, attend, command, environment, run

KILLS = int(os.environ.get("FAULT_KILLS", 2))
SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
WARNING = "rollback journal instead of WAL"
# Python imports it at each start; pysqlite3 is not found then.
HIDE = 'import sys\nsys.modules["pysqlite3"] = None\n'

pytestmark = pytest.mark.skipif(
    has_sound_wal(sqlite3.sqlite_version_info), reason="Python's SQLite has a sound WAL mode."
)


@contextmanager
def serving_without_pysqlite3(folder: Path, /, **settings: str) -> Iterator[Server]:
    process = subprocess.Popen(
        command("serve"),
        cwd=folder,
        env=environment(folder, {**hidden(folder), **settings}),
        stderr=subprocess.PIPE,
        text=True,
    )
    with attend(process) as server:
        assert server.log.so_far.count(WARNING) == 1
        yield server


def hidden(folder: Path) -> dict[str, str]:
    """Settings that hide pysqlite3 from a process."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(HIDE)
    return {"PYTHONPATH": str(folder / "site")}


def test_acknowledged_writes_outlive_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections of the test must not set WAL mode either."""
    monkeypatch.setattr("app.storage.sqlite.engine.journal_mode", lambda: "truncate")
    database = SqliteFile(tmp_path / "gatehouse.sqlite3")
    programme = Programme(tmp_path, database, SEED, serving_without_pysqlite3)
    print(f"\nrollback journal, FAULT_SEED={SEED}")
    programme.run(KILLS)
    print(*programme.figures.lines(programme.book), sep="\n")
    assert not database.path.with_name(f"{database.path.name}-wal").exists()


def test_reads_and_commands_go_on_beside_each_other(tmp_path: Path) -> None:
    with serving_without_pysqlite3(tmp_path, **SETTINGS) as server, with_users(server) as faulty:
        database = str(tmp_path / "var/gatehouse.sqlite3")
        other = pysqlite3.connect(database, isolation_level=None, timeout=5)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM users").fetchone()
        assert faulty.reads() == {"ok"}
        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(faulty.writes)
            other.execute("COMMIT")
            assert writing.result(timeout=30) == {"ok"}
        other.close()
        assert faulty.refusals().keys() == {"unauthenticated"}
        assert faulty.rest("GET", "/users/fromoutside") == "user-not-found"
        created = run(tmp_path, "users", "create", "fromoutside", **hidden(tmp_path))
        assert created.status == 0, created.err
        assert faulty.rest("GET", "/users/fromoutside") == "ok"
