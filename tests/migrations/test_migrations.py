"""The schema goes up, down and up, all or nothing, and is what the tables say, on both engines."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from threading import Thread

import pysqlite3
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from anyio import to_thread

from app.storage.errors import StoreError
from app.storage.migrations import SchemaError, revisions, upgrade_to
from app.storage.postgresql.store import PostgresServer
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteFile
from tests.captured_logs import captured
from tests.databases import (
    ENGINES,
    Database,
    ask,
    definitions,
    names,
    new_store,
    tables,
    url_of,
)

INSERT = (
    "INSERT INTO users (id, uuid, username, display_name, email_key, admin, disabled, version)"
    " VALUES (1, 'u', 'demo', 'Demo', '', false, false, 1)"
)


@pytest.fixture(params=ENGINES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with new_store(request.param, tmp_path) as database:
        yield database


@pytest.fixture
def ready(empty: Database) -> Database:
    empty.migrate()
    return empty


def test_the_schema_goes_up_down_and_up_again(ready: Database) -> None:
    up = definitions(ready)

    def down_and_up(config: Config) -> None:
        command.downgrade(config, "-1")
        command.upgrade(config, "head")

    ready.migrate(down_and_up)
    assert definitions(ready) == up
    ready.migrate(lambda config: command.downgrade(config, "base"))
    assert "users" not in names(ready)
    ready.migrate()
    assert definitions(ready) == up


def test_a_migration_logs_from_and_to_and_each_step_with_its_time(empty: Database) -> None:
    with captured("json") as log:
        empty.migrate(upgrade_to(revisions()[-3]))
        assert log.getvalue() == ""
        empty.migrate()
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        empty.migrate()
        assert len(log.getvalue().splitlines()) == len(lines)
    start, *between, end = revisions()[-3:]
    events = [re.sub(r"\d+\.\d{3} s", "… s", line["event"]) for line in lines]
    assert events == [
        f"Migrating the database from schema {start} to {end}.",
        *(f"The step to schema {step} took … s." for step in (*between, end)),
        f"Migrated the database from schema {start} to {end} in … s.",
    ]
    assert {(line["level"], line["logger"]) for line in lines} == {("info", "gatehouse.store")}


def test_the_newest_schema_is_just_what_the_tables_say(ready: Database) -> None:
    ready.migrate(command.check)


def test_a_further_migration_can_alter_every_table(empty: Database) -> None:
    """In the same transaction: a cursor that an earlier one leaves open would forbid it."""

    def add_failure(config: Config) -> None:
        command.upgrade(config, "head")
        connection = config.attributes["connection"]
        for table in tables(connection).tables:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN further INTEGER")

    empty.migrate(add_failure)


def test_nothing_of_the_trail_is_left_by_the_way_back(ready: Database) -> None:
    ready.migrate(lambda config: command.downgrade(config, "0003"))
    assert not [name for name in names(ready) if "audit" in name]


def test_migrating_again_keeps_every_row(ready: Database) -> None:
    ask(ready, INSERT)
    ready.migrate()
    assert ask(ready, "SELECT username FROM users") == [("demo",)]


def test_the_way_from_the_first_schema_keeps_every_row(empty: Database) -> None:
    empty.migrate(lambda config: command.upgrade(config, "0001"))
    ask(empty, INSERT)
    empty.migrate()
    assert ask(empty, "SELECT username, presence FROM users") == [("demo", None)]


INSERT_KEY = (
    "INSERT INTO access_keys (id, user_id, name, secret_hash, created_at{more})"
    " VALUES ('{id}', 1, 'key', 'hash', 1{values})"
)


def test_a_key_of_before_there_were_limits_has_none(empty: Database) -> None:
    empty.migrate(lambda config: command.upgrade(config, "0003"))
    ask(empty, INSERT)
    ask(empty, INSERT_KEY.format(id="OLD", more="", values=""))
    empty.migrate()
    assert ask(empty, "SELECT id, scope, networks FROM access_keys") == [("OLD", "admin", None)]


def test_a_limited_key_does_not_outlive_the_schema_that_knows_its_limits(ready: Database) -> None:
    ask(ready, INSERT)
    for number, values in enumerate(
        (", 'admin', NULL", ", 'self', NULL", ", 'read', NULL", ", 'admin', '::/0'")
    ):
        more = ", scope, networks"
        ask(ready, INSERT_KEY.format(id=f"KEY{number}", more=more, values=values))
    ready.migrate(lambda config: command.downgrade(config, "0003"))
    assert ask(ready, "SELECT id FROM access_keys") == [("KEY0",)]


def test_a_migration_that_fails_leaves_the_old_schema(empty: Database) -> None:
    def too_far(config: Config) -> None:
        command.upgrade(config, "head")
        command.upgrade(config, "no such revision")

    with pytest.raises(CommandError):
        empty.migrate(too_far)
    assert names(empty) == set()


def test_two_that_migrate_at_once_both_end_well(empty: Database) -> None:
    call = [sys.executable, "-m", "app", "migrate"]
    environment = {**os.environ, "GATEHOUSE_DATABASE_URL": url_of(empty)}
    both = [subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert "users" in names(empty)


def test_a_second_migration_waits_for_the_first(empty: Database) -> None:
    second = Thread(target=empty.migrate)

    def meanwhile(config: Config) -> None:
        second.start()
        command.upgrade(config, "head")
        assert second.is_alive()

    empty.migrate(meanwhile)
    second.join(timeout=30)
    assert not second.is_alive()


def test_a_schema_of_a_newer_release_is_refused_with_a_sentence(ready: Database) -> None:
    ask(ready, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="9999"):
        ready.migrate()


@pytest.mark.anyio
async def test_an_older_schema_is_refused_until_it_is_migrated(empty: Database) -> None:
    if isinstance(empty, SqliteFile):
        sqlite_engine(empty.path).dispose()
    opened: AbstractAsyncContextManager[object] = empty.open()
    with pytest.raises(SchemaError, match="gatehouse migrate"):
        async with opened:
            pass
    await to_thread.run_sync(empty.migrate)
    async with empty.open() as store:
        assert await store.read(lambda tx: tx.users.newest_id()) == 0


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    nowhere = PostgresServer("postgresql://somebody:seKret@127.0.0.1:1/nothing")
    with pytest.raises(StoreError, match=r"somebody:\*\*\*@127.0.0.1:1/nothing") as refusal:
        async with nowhere.open():
            pass
    assert "seKret" not in str(refusal.value)


def test_rows_that_refer_to_nothing_stop_a_migration(database: Path) -> None:
    engine = sqlite_engine(database, foreign_keys=False)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("INSERT INTO name_claims VALUES ('nobody', 4711, NULL)")
    engine.dispose()
    with pytest.raises(SchemaError, match="refer to nothing"):
        SqliteFile(database).migrate()


def test_the_engine_keeps_what_it_promises(database: Path) -> None:
    engine = sqlite_engine(database)
    with engine.connect() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    engine.dispose()
    assert found == ["wal", 2, 1]


def test_a_new_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    sqlite_engine(tmp_path / "db").dispose()
    assert (tmp_path / "db").stat().st_mode & 0o777 == 0o600


def test_a_writer_takes_its_place_when_it_begins(database: Path) -> None:
    first = sqlite_engine(database)
    other = pysqlite3.connect(str(database), timeout=0)
    with (
        first.connect().execution_options(begin="IMMEDIATE") as connection,
        connection.begin(),
        pytest.raises(pysqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    first.dispose()


def test_the_files_of_the_migrations_are_named_in_their_order() -> None:
    script = ScriptDirectory.from_config(Config("alembic.ini"))
    assert revisions() == [step.revision for step in script.walk_revisions()][::-1]


def test_a_start_without_a_migration_does_not_load_what_migrates(tmp_path: Path) -> None:
    asked = (
        "import sys, app.cli.commands; app.cli.commands.app(['migrate'], standalone_mode=False);"
        "print('alembic' in sys.modules)"
    )
    seen = [
        subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, "GATEHOUSE_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for _ in range(2)
    ]
    assert seen == ["True", "False"]
