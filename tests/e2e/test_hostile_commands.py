"""Odd values for every argument of every command: a sentence and a status, never a traceback."""

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
import typer

from app.cli.commands import app
from tests.commands import run_here

Run = Callable[..., tuple[int, str]]
VALUES = [
    "",
    " ",
    "0",
    "-1",
    str(10**22),
    str(2**63),
    "9" * 5000,
    "1e999",
    "nan",
    "../../etc/passwd",
    "a" * 100_000,
    "\u0301" * 20_000,
    "灯火灯火",
    "\udcff\udcfe",
    "\x1b[31m\r\n\t",
    "' OR 1=1 --",
    "%s%n{0}",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999+14:00",
    "00000000-0000-0000-0000-000000000000",
]
# They serve, or take another program's place.
NOT_TRIED = {"serve"}


@pytest.fixture
def folder(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "var").mkdir(mode=0o700)
    copyfile(migrated, tmp_path / "var" / "gatehouse.sqlite3")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command; return its status and stderr."""

    def run(*arguments: str, **settings: str) -> tuple[int, str]:
        done = run_here(folder, *arguments, **settings)
        return done.status, done.err

    return run


def each_command(group: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from each_command(command, *words, name)
        elif name not in NOT_TRIED:
            yield (*words, name), command


COMMANDS = dict(each_command(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_value_of_any_argument_is_a_traceback(words: tuple[str, ...], run: Run) -> None:
    run("users", "create", "demo", "--admin")
    good = {
        **{"username": "demo", "account": "demo"},
        **{"file": "nothing", "key": "AAAAAAAA", "numbers": "1"},
    }
    params = [p for p in COMMANDS[words].params if not getattr(p, "is_flag", False)]
    for tried in params:
        for value in VALUES:
            arguments = []
            for param in params:
                if param.param_type_name == "argument":
                    given = value if param is tried else good[str(param.name)]
                    arguments += ["--", given] if given.startswith("-") else [given]
            if tried.param_type_name == "option":
                arguments = [f"{tried.opts[0]}={value}", *arguments]
            status, said = run(*words, *arguments)
            assert status in {0, 1, 2}
            assert (said == "") == (status == 0) or "panel" in said, (arguments, said[:500])
            assert len(said) < 2000 + 2 * len(value)


@pytest.mark.parametrize("number", [0, -1, 10**22, 2**63, 2**63 - 1])
@pytest.mark.parametrize("command", ["retry", "drop"])
def test_a_number_that_no_message_can_have_is_one_that_is_not_there(
    run: Run, command: str, number: int
) -> None:
    status, said = run("outbox", command, "--", str(number))
    assert (status, f"There is no message {number}" in said) == (1, True)


# --------------------------------------------------------------------------------- backups


def spoil(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM alembic_version"],
        ["INSERT INTO alembic_version VALUES ('0001')"],
        ["UPDATE alembic_version SET version_num = x'00'"],
        ["DROP TABLE alembic_version"],
        ["DROP TABLE alembic_version", "CREATE TABLE alembic_version (other)"],
        ["DROP TABLE alembic_version", "CREATE VIEW alembic_version AS SELECT 1 AS version_num"],
        ["UPDATE alembic_version SET version_num = '9999'"],
        ['CREATE TABLE "odd "" name" (x)'],
        ["CREATE TRIGGER evil AFTER DELETE ON access_keys BEGIN SELECT 1; END"],
        ["CREATE TRIGGER evil AFTER DELETE ON sessions BEGIN DELETE FROM users; END"],
        ["CREATE VIEW evil AS SELECT * FROM users"],
        ["DROP TRIGGER audit_refuse_delete"],
        ["DROP INDEX ix_audit_at_number"],
        ["ALTER TABLE users ADD COLUMN evil TEXT DEFAULT (1)"],
    ],
    ids=lambda statements: statements[-1],
)
def test_a_backup_whose_schema_others_changed_is_refused(
    folder: Path, run: Run, statements: list[str]
) -> None:
    assert run("backup", "file")[0] == 0
    spoil(folder / "file", *statements)
    before = (folder / "var" / "gatehouse.sqlite3").read_bytes()
    status, said = run("restore", "file", "--replace")
    assert (status, said.startswith("gatehouse: "), said.count("\n")) == (1, True, 1)
    assert (folder / "var" / "gatehouse.sqlite3").read_bytes() == before
    assert sorted(p.name for p in (folder / "var").glob("*restoring*")) == []


def test_a_trigger_in_a_backup_never_runs(folder: Path, run: Run) -> None:
    run("users", "create", "demo", "--admin")
    run("keys", "create", "demo")
    run("backup", "file")
    spoil(
        folder / "file",
        "CREATE TRIGGER evil AFTER DELETE ON access_keys BEGIN INSERT INTO access_keys"
        " SELECT old.id, old.user_id, 'evil', old.secret_hash, 0, NULL, NULL, 'admin', NULL; END",
    )
    assert run("restore", "file", "--replace")[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        "username = x'ff'",
        "email_key = x'00'",
        "version = 'one'",
        "version = 1.5",
        "admin = 'yes'",
        "presence = 'elsewhere'",
    ],
)
def test_a_value_that_gatehouse_did_not_write_is_neither_restored_nor_copied(
    folder: Path, run: Run, change: str
) -> None:
    """The server would fail at each request for the account."""
    run("users", "create", "demo", "--admin")
    assert run("backup", "file")[0] == 0
    spoil(folder / "file", f"UPDATE users SET {change}")  # noqa: S608
    before = (folder / "var" / "gatehouse.sqlite3").read_bytes()
    status, said = run("restore", "file", "--replace")
    assert (status, "file: the table users has a value that Gatehouse" in said) == (1, True), said
    assert (folder / "var" / "gatehouse.sqlite3").read_bytes() == before
    spoilt = {"GATEHOUSE_DATABASE_URL": "sqlite:///file"}
    status, said = run("copy", "--to", "sqlite:///copied", **spoilt)
    assert (status, "the table users has a value that Gatehouse" in said) == (1, True), said


def test_a_time_that_no_calendar_has_is_not_restored(folder: Path, run: Run) -> None:
    run("users", "create", "demo", "--admin")
    run("keys", "create", "demo")
    run("backup", "file")
    spoil(folder / "file", f"UPDATE access_keys SET created_at = {2**63 - 1}")  # noqa: S608
    status, said = run("restore", "file", "--replace")
    assert (status, "the table access_keys has a value" in said) == (1, True), said


ESCAPES = "\x1b]0;title\x07\x9b31m"


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_no_text_of_a_database_or_file_drives_the_terminal(
    folder: Path, run: Run, as_json: list[str]
) -> None:
    run("users", "create", "other", "--admin")
    run("users", "create", "demo", "--admin", "--email", "demo@example.com")
    run("backup", "file")
    printed = []
    in_sql = "'x" + "".join(f"' || char({ord(c)}) || '" for c in ESCAPES) + "'"
    for statement, status in (
        (f'CREATE TABLE "{ESCAPES}" (x)', 1),
        (f"UPDATE alembic_version SET version_num = {in_sql}", 1),  # noqa: S608
        # Not an admin in the database that is replaced, so that the command warns of the name.
        (f"UPDATE users SET username = {in_sql} WHERE username = 'demo'", 0),  # noqa: S608
    ):
        copyfile(folder / "file", folder / "spoilt")
        spoil(folder / "spoilt", statement)
        run("users", "update", "demo", "--no-admin")
        done = run_here(folder, "restore", "spoilt", "--replace", *as_json)
        assert done.status == status, done.err
        printed.append(done)
    for words in (
        ["users", "disable", "demo@example.com"],
        ["users", "list"],
        ["users", "show", "other"],
        ["backup", f"to{ESCAPES}\udcff"],
        ["backup", f"to{ESCAPES}\udcff"],
        ["doctor"],
    ):
        printed.append(run_here(folder, *words, *as_json))
    assert [done.status for done in printed[3:-1]] == [0, 0, 0, 0, 1]
    text = "".join(done.out + done.err for done in printed)
    assert {c for c in text if not c.isprintable()} == {"\n", *("" if as_json else "\t")}
    assert text.count("31m") >= 6


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, socket_at])
def test_only_a_file_can_be_a_backup_or_a_database(
    folder: Path, run: Run, make: Callable[[Path], None]
) -> None:
    make(folder / "odd")
    for arguments in (["restore", "odd", "--replace"], ["restore", "odd"]):
        status, said = run(*arguments)
        assert (status, "odd" in said or "--replace" in said) == (1, True)
    settings = {"GATEHOUSE_DATABASE_URL": "sqlite:///odd"}
    for arguments in (["migrate"], ["users", "list"], ["backup", "file"], ["restored", "--yes"]):
        status, said = run(*arguments, **settings)
        assert (status, "odd" in said) == (1, True), arguments
    assert run("doctor", **settings)[0] == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_signing_key_that_is_no_file_is_named(
    folder: Path, run: Run, make: Callable[[Path], None]
) -> None:
    make(folder / "var" / "signing-key.pem")
    for arguments in (["signing-keys", "rotate"], ["restored", "--yes"]):
        status, said = run(*arguments)
        assert (status, "signing-key.pem" in said) == (1, True)


# ----------------------------------------------------------------------------------- links


def test_of_a_database_that_is_a_link_what_it_leads_to_is_exchanged(folder: Path, run: Run) -> None:
    run("users", "create", "demo", "--admin")
    run("backup", "file")
    run("users", "create", "later")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (folder / "var" / "gatehouse.sqlite3").rename(elsewhere / "real")
    (folder / "var" / "gatehouse.sqlite3").symlink_to(elsewhere / "real")
    assert run("restore", "file", "--replace")[0] == 0
    assert (folder / "var" / "gatehouse.sqlite3").is_symlink()
    with closing(sqlite3.connect(elsewhere / "real")) as connection:
        assert connection.execute("SELECT username FROM users").fetchall() == [("demo",)]
    kept = [path.name for path in elsewhere.iterdir() if ".replaced-" in path.name]
    assert len(kept) == 1


def test_a_backup_is_read_through_a_link_with_what_lies_beside_it(folder: Path, run: Run) -> None:
    run("backup", "real")
    (folder / "file").symlink_to("real")
    (folder / "real-wal").write_bytes(b"a log")
    status, said = run("restore", "file", "--replace")
    assert (status, "real-wal" in said) == (1, True)
    (folder / "real-wal").unlink()
    assert run("restore", "file", "--replace")[0] == 0
