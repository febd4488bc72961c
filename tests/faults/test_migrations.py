"""A migration is complete or not begun, wherever it is killed, and no row is lost.

FAULT_STATEMENTS says at which of a migration's statements a process is killed: at every one with 1,
as `make faults` has it, else at each so many.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
from alembic import command

from app.storage.migrations import revisions
from app.storage.postgresql.store import PostgresServer
from app.storage.sqlite.store import SqliteFile
from tests.commands import run_here
from tests.databases import ENGINES, Database, ask, contents, definitions, new_store, url_of
from tests.faults.kills import eventually
from tests.faults.processes import Halted, halted_at, killed_at
from tests.faults.seeds import fill
from tests.server_process import run

SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
EVERY = int(os.environ.get("FAULT_STATEMENTS", "8"))
REVISIONS = revisions()
EARLIER = REVISIONS[:-1]
# The first few of any migration look at what is there.
LOOKING = 4
# In the midst of the first migration, and of the way on from there.
AMIDST = 20


def at(database: Database, revision: str) -> None:
    """Bring an empty database to an earlier schema, with rows in all its tables."""
    database.migrate(lambda config: command.upgrade(config, revision))
    fill(database)


def without_revision(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {name: rows for name, rows in contents(database).items() if name != "alembic_version"}


def assert_kept(before: dict[str, list[dict[str, Any]]], database: Database) -> None:
    """Each row is there with all that it had, and none beside them."""
    after = contents(database)
    for table, rows in before.items():
        columns = rows[0].keys() if rows else ()
        found = [{name: row[name] for name in columns} for row in after[table]]
        assert sorted(map(repr, found)) == sorted(map(repr, rows))
    if isinstance(database, SqliteFile):
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert ask(database, "PRAGMA foreign_key_check") == []


@pytest.fixture(scope="module", params=ENGINES)
def present(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, set[Any]]:
    """An engine, and all that the present schema is made of there."""
    with new_store(request.param, tmp_path_factory.mktemp("present")) as database:
        database.migrate()
        return request.param, definitions(database)


@pytest.fixture
def store(present: tuple[str, set[Any]], tmp_path: Path) -> Iterator[Database]:
    with new_store(present[0], tmp_path) as database:
        yield database


@pytest.mark.parametrize("revision", EARLIER)
def test_every_row_of_every_schema_there_was_is_kept(
    store: Database, present: tuple[str, set[Any]], revision: str
) -> None:
    at(store, revision)
    rows = without_revision(store)
    assert all(rows.values())
    store.migrate()
    assert definitions(store) == present[1]
    assert_kept(rows, store)


@pytest.mark.parametrize("revision", [None, *(EARLIER if EVERY == 1 else EARLIER[:1])])
def test_killed_at_a_statement_it_was_done_or_not_begun(
    store: Database, present: tuple[str, set[Any]], revision: str | None
) -> None:
    """Each attempt begins on what the one before it left, and gets further."""
    if revision is not None:
        at(store, revision)
    old, new, rows = definitions(store), present[1], without_revision(store)
    kills = 0
    step = Random(SEED).randrange(min(EVERY, LOOKING))
    while killed_at(store, step):
        found = definitions(store)
        assert found in (old, new)
        assert_kept(rows, store)
        kills, step = kills + 1, step + EVERY
        # Nothing is left to do after it was killed behind its COMMIT.
        if found == new:
            break
    assert kills
    store.migrate()
    assert definitions(store) == new
    assert_kept(rows, store)
    print(f"\n{present[0]} from {revision or 'nothing'}: killed at {kills} statements")


@contextmanager
def one_works_and_one_waits(store: Database) -> Iterator[tuple[Halted, Halted]]:
    """Two that migrate; the first is in the midst of it, and halted."""
    with halted_at(store, AMIDST) as working, halted_at(store, 0) as waiting:
        waiting.go_on()
        eventually(lambda: is_waited_for(store, waiting))
        yield working, waiting


def is_waited_for(store: Database, waiting: Halted) -> bool:
    if isinstance(store, PostgresServer):
        return bool(ask(store, "SELECT 1 FROM pg_locks WHERE NOT granted"))
    # SQLite does not show which process waits.
    return waiting.is_alive


@pytest.mark.parametrize("revision", [None, EARLIER[0]])
def test_of_two_the_other_ends_well_when_the_one_that_works_is_killed(
    store: Database, present: tuple[str, set[Any]], revision: str | None
) -> None:
    if revision is not None:
        at(store, revision)
    rows = without_revision(store)
    with one_works_and_one_waits(store) as (working, waiting):
        working.kill()
        assert waiting.ends_well()
    assert definitions(store) == present[1]
    assert_kept(rows, store)


def test_of_two_the_one_that_works_ends_well_when_the_other_is_killed(
    store: Database, present: tuple[str, set[Any]]
) -> None:
    at(store, EARLIER[0])
    rows = without_revision(store)
    with one_works_and_one_waits(store) as (working, waiting):
        waiting.kill()
        working.go_on()
        assert working.ends_well()
    assert definitions(store) == present[1]
    assert_kept(rows, store)


REFUSAL = "gatehouse: The database is at schema {}, which this release does not know: {}\n"
NEWER = (
    "it was written by a newer one. Install that release, or restore a backup of schema "
    f"{REVISIONS[-1]} or older."
)
BETWEEN = (
    "it was written by a version between two releases. Install that version again, or restore a "
    "backup that a release wrote."
)


@pytest.fixture(scope="module")
def later(
    present: tuple[str, set[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database with a table that this release does not know."""
    with new_store(present[0], tmp_path_factory.mktemp("later")) as database:
        at(database, REVISIONS[-1])
        ask(database, "CREATE TABLE of_tomorrow (number integer)")
        ask(database, "INSERT INTO of_tomorrow VALUES (1)")
        yield database


@pytest.mark.parametrize(
    ("words", "revision", "origin"),
    [
        (["serve"], "9999", NEWER),
        (["migrate"], "9999", NEWER),
        (["migrate"], "0007b", BETWEEN),
        (["users", "create", "somebody"], "9999", NEWER),
    ],
)
def test_a_release_refuses_a_schema_of_another_one_and_changes_nothing(
    later: Database, tmp_path: Path, words: list[str], revision: str, origin: str
) -> None:
    ask(later, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608
    before = definitions(later), contents(later)
    start = run if words == ["serve"] else run_here
    done = start(tmp_path, *words, GATEHOUSE_DATABASE_URL=url_of(later))
    assert done.status == 1
    assert done.err == REFUSAL.format(revision, origin)
    assert (definitions(later), contents(later)) == before
