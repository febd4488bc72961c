"""The schema goes up, down and up, all or nothing, and is what the tables say."""

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pysqlite3
import pytest
from alembic import command
from alembic.util import CommandError

from app.storage.engine import (
    UnsoundSqliteError,
    require_sound_sqlite,
    sqlite_engine,
)
from app.storage.migrations import SchemaError, migrate, migration, require_current

INSERT = (
    "INSERT INTO users (id, uuid, username, display_name, email_key, admin, disabled, version)"
    " VALUES (1, 'u', 'demo', 'Demo', '', 0, 0, 1)"
)


def definitions(path: Path) -> set[tuple[str, ...]]:
    """Every table, index and trigger, with the statement that made it."""
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master").all()
    engine.dispose()
    return {tuple(row) for row in rows}


def objects(path: Path) -> set[str]:
    engine = sqlite_engine(path)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    engine.dispose()
    return set(rows)


def execute(path: Path, *statements: str) -> None:
    engine = sqlite_engine(path)
    with engine.connect() as connection, connection.begin():
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_the_schema_goes_up_down_and_up_again(tmp_path: Path) -> None:
    path = tmp_path / "db"
    migrate(path)
    up = definitions(path)
    with migration(path) as config:
        command.downgrade(config, "-1")
        command.upgrade(config, "head")
    assert definitions(path) == up
    with migration(path) as config:
        command.downgrade(config, "base")
    assert "users" not in objects(path)
    migrate(path)
    assert definitions(path) == up


def test_the_newest_schema_is_just_what_the_tables_say(database: Path) -> None:
    with migration(database) as config:
        command.check(config)


def test_migrating_again_keeps_every_row(database: Path) -> None:
    execute(database, INSERT)
    migrate(database)
    engine = sqlite_engine(database)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT username FROM users").scalars().all() == ["demo"]
    engine.dispose()


def upgrade_too_far(path: Path) -> None:
    with migration(path) as config:
        command.upgrade(config, "head")
        command.upgrade(config, "no such revision")


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with pytest.raises(CommandError):
        upgrade_too_far(path)
    assert objects(path) == set()


def test_two_that_migrate_at_once_both_end_well(tmp_path: Path) -> None:
    path = tmp_path / "db"
    code = "import pathlib, sys; from app.storage.migrations import migrate; "
    call = [sys.executable, "-c", code + "migrate(pathlib.Path(sys.argv[1]))", str(path)]
    both = [subprocess.Popen(call) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert "users" in objects(path)


def test_a_second_migration_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "db"
    second = Thread(target=migrate, args=[path])
    with migration(path) as config:
        second.start()
        command.upgrade(config, "head")
        assert second.is_alive()
    second.join(timeout=30)
    assert not second.is_alive()


def test_a_schema_of_a_newer_release_is_refused_with_a_sentence(database: Path) -> None:
    execute(database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="9999"):
        migrate(database)


def test_an_older_schema_is_refused_until_it_is_migrated(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "db")
    with pytest.raises(SchemaError, match="gatehouse migrate"):
        require_current(engine)
    migrate(tmp_path / "db")
    require_current(engine)
    engine.dispose()


def test_rows_that_refer_to_nothing_stop_a_migration(database: Path) -> None:
    engine = sqlite_engine(database, foreign_keys=False)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("INSERT INTO name_claims VALUES ('nobody', 4711, NULL)")
    engine.dispose()
    with pytest.raises(SchemaError, match="refer to nothing"):
        migrate(database)


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


@pytest.mark.parametrize(
    ("version", "is_sound"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
    ],
)
def test_wal_is_refused_where_the_library_is_not_sound_for_it(
    version: tuple[int, ...], is_sound: bool
) -> None:
    if is_sound:
        require_sound_sqlite(version)
        return
    with pytest.raises(UnsoundSqliteError, match="pysqlite3"):
        require_sound_sqlite(version)


def test_the_library_in_use_is_sound() -> None:
    require_sound_sqlite()
