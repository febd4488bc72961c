"""A copy is complete and equal to its source, or its target is refused.

FAULT_STATEMENTS says at which statements a copy is killed, as in test_migrations.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random, SystemRandom
from shutil import copyfile
from typing import Any

import pytest
from sqlalchemy import Connection, Table

from app.storage import copying
from app.storage.postgresql.dialect import PostgresDialect
from app.storage.postgresql.store import PostgresServer
from app.storage.sqlite.dialect import SqliteDialect
from app.storage.sqlite.store import SqliteFile
from tests.commands import run_here
from tests.databases import ENGINES, Database, contents, url_of
from tests.faults.processes import command_killed_at
from tests.faults.seeds import fill
from tests.postgres import new_database
from tests.server_process import command, environment, run

SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
EVERY = int(os.environ.get("FAULT_STATEMENTS", "32"))
REFUSAL = "gatehouse: The database is an unfinished copy of another one. Run 'gatehouse copy' again"

Load = Callable[[Any, Connection, Table, Sequence[Sequence[Any]]], None]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> SqliteFile:
    """A database with rows in every table."""
    database = SqliteFile(tmp_path_factory.mktemp("source") / "source.sqlite3")
    copyfile(migrated, database.path)
    fill(database)
    return database


@pytest.fixture(params=ENGINES)
def target(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """A migrated database without rows: test_migrations kills migrations."""
    if request.param == "sqlite":
        copyfile(migrated, tmp_path / "target.sqlite3")
        yield SqliteFile(tmp_path / "target.sqlite3")
        return
    with new_database() as url:
        PostgresServer(url).migrate()
        yield PostgresServer(url)


def settings(database: Database) -> dict[str, str]:
    return {"GATEHOUSE_DATABASE_URL": url_of(database)}


def rows_in(database: Database) -> dict[str, int]:
    """Return how many rows each table has, but for the schema's revision."""
    found = contents(database)
    del found["alembic_version"]
    return {name: len(rows) for name, rows in found.items()}


def assert_refused(folder: Path, target: Database, *words: str) -> None:
    done = run_here(folder, *(words or ("users", "list")), **settings(target))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(REFUSAL)


def test_a_killed_copy_is_refused_until_another_one_is_complete(
    source: SqliteFile, target: Database, tmp_path: Path
) -> None:
    whole = {**rows_in(source), "workers": 0, "leases": 0}
    words = ["copy", "--to", url_of(target)]
    kills, step, marked = 0, Random(SEED).randrange(EVERY), 0
    while command_killed_at(tmp_path, settings(source), words, step):
        kills, step = kills + 1, step + EVERY
        (revision,) = contents(target)["alembic_version"]
        if revision["version_num"].startswith("unfinished-copy-"):
            marked += 1
            assert not any(rows_in(target).values())
        elif any(rows_in(target).values()):
            # It was killed behind its last COMMIT.
            assert rows_in(target) == whole
            return
        if marked == 1:
            done = run(tmp_path, "serve", **settings(target))
            assert (done.status, REFUSAL in done.err) == (1, True)
            assert_refused(tmp_path, target)
    assert kills
    assert marked
    assert rows_in(target) == whole
    assert run_here(tmp_path, "users", "list", **settings(target)).status == 0
    print(f"\ncopy: killed at {kills} statements")


def drop_a_row(load: Load) -> Load:
    """Lose the last held name."""

    def faulty(
        self: Any, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        load(self, connection, table, rows[:-1] if table.name == "name_claims" else rows)

    return faulty


def alter_a_row(load: Load) -> Load:
    """Write another name of a server."""

    def faulty(
        self: Any, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        altered = [[f"{v}!" if v == "Server" else v for v in row] for row in rows]
        load(self, connection, table, altered)

    return faulty


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (drop_a_row, "The copies of the table name_claims differ: {} has 2 rows with the"),
        (alter_a_row, "The copies of the table servers differ: {} has 1 rows with the checksum "),
    ],
)
def test_a_copy_that_differs_is_refused(
    fault: Callable[[Load], Load],
    sentence: str,
    source: SqliteFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = SqliteFile(tmp_path / "target.sqlite3")
    words = ("copy", "--to", url_of(target))
    with monkeypatch.context() as patched:
        patched.setattr(SqliteDialect, "load_rows", fault(SqliteDialect.load_rows))
        done = run_here(tmp_path, *words, **settings(source))
    assert (done.status, sentence.format(source) in done.err) == (1, True), done.err
    assert not any(rows_in(target).values())
    assert_refused(tmp_path, target)
    assert_refused(tmp_path, target, "backup", "backup.sqlite3")
    assert run_here(tmp_path, *words, **settings(source)).status == 0
    assert rows_in(target)["audit"] == 1


def test_a_copy_whose_connection_is_cut_ends_with_a_sentence(
    source: SqliteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = PostgresDialect.load_rows

    def cut(self: Any, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        if table.name == "sessions":
            driver: Any = connection.connection.driver_connection
            driver.terminate()
        load(self, connection, table, rows)

    monkeypatch.setattr(PostgresDialect, "load_rows", cut)
    with new_database() as url:
        done = run_here(tmp_path, "copy", "--to", url, **settings(source))
        assert (done.status, done.out, len(done.err.splitlines())) == (1, "", 1), done.err
        assert done.err.startswith(f"gatehouse: {PostgresServer(url)}: ")
        assert_refused(tmp_path, PostgresServer(url))


def test_an_interrupted_copy_ends_at_once(
    source: SqliteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = SqliteDialect.load_rows
    loaded: list[str] = []

    def interrupt(
        self: Any, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        load(self, connection, table, rows)
        loaded.append(table.name)
        if table.name == "users":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SqliteDialect, "load_rows", interrupt)
    target = SqliteFile(tmp_path / "target.sqlite3")
    # A shell starts programs in the background with the signal ignored.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run_here(tmp_path, "copy", "--to", url_of(target), **settings(source))
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert (done.status, done.out, loaded[-1]) == (130, "", "users")
    assert not any(rows_in(target).values())
    assert_refused(tmp_path, target)


def test_a_copy_for_which_there_is_no_room_ends_with_a_sentence(
    source: SqliteFile, tmp_path: Path
) -> None:
    done = subprocess.run(
        command("copy", "--to", f"sqlite:///{tmp_path / 'target.sqlite3'}"),
        cwd=tmp_path,
        env=environment(tmp_path, settings(source)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"gatehouse: {tmp_path / 'target.sqlite3'}: ")
    assert len(done.stderr.splitlines()) == 1


def test_rows_are_read_and_compared_in_batches(
    source: SqliteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    load = SqliteDialect.load_rows

    def count(
        self: Any, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        sizes.append(len(rows))
        load(self, connection, table, rows)

    monkeypatch.setattr(copying, "BATCH", 2)
    monkeypatch.setattr(SqliteDialect, "load_rows", count)
    done = run_here(tmp_path, "copy", "--to", "sqlite:///target", **settings(source))
    assert done.status == 0
    assert (max(sizes), sum(sizes)) == (2, sum(rows_in(source).values()) - 2)
