"""The JSON of every command, and the tables of lists in a terminal."""

import json
from pathlib import Path
from shutil import copyfile
from typing import Any

import jsonschema
import pytest
import typer
from referencing import Registry
from referencing.jsonschema import DRAFT7

from app.cli.commands import app
from app.cli.output import printable
from app.operations.catalog import OPERATIONS
from app.rpc.openrpc import openrpc_document
from tests.commands import run_here, run_in_terminal
from tests.json_of_commands import COMMANDS, each_command

PASSWORD = "correct horse battery"
# Its output is its log: GATEHOUSE_LOG_FORMAT=json.
WITHOUT = {"serve"}


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    (tmp_path / "var").mkdir(mode=0o700)
    copyfile(migrated, tmp_path / "var" / "gatehouse.sqlite3")
    (tmp_path / "var" / "gatehouse.sqlite3").chmod(0o600)
    return tmp_path


def require_method_result(value: Any, method: str) -> None:
    """Validate a result as the OpenRPC document describes it."""
    document = json.loads(json.dumps(openrpc_document("http://gateway")))
    registry: Registry[Any] = Registry().with_resource(
        "urn:openrpc", DRAFT7.create_resource(document)
    )
    number = [found["name"] for found in document["methods"]].index(method)
    schema = {"$ref": f"urn:openrpc#/methods/{number}/result/schema"}
    jsonschema.Draft7Validator(schema, registry=registry).validate(value)


def test_every_command_prints_one_json_document(folder: Path) -> None:
    settings = {"GATEHOUSE_PANEL_URL": "http://127.0.0.1:9", "GATEHOUSE_PANEL_TOKEN": "secret"}
    key = ""
    for line, expected in COMMANDS:
        # Both write a message for the panel, and later commands need messages that wait.
        chosen = settings if line in {"users disable other", "users enable other"} else {}
        words = line.format(key=key).split()
        done = run_here(folder, *words, "--json", stdin=f"{PASSWORD}\n", **chosen)
        assert (done.status, done.err) == (0, ""), (line, done.err)
        value = json.loads(done.out)
        if isinstance(expected, str):
            require_method_result(value, expected)
        else:
            (row,) = value if isinstance(expected, list) else [value]
            assert set(expected) <= row.keys(), line
        if line == "keys create demo":
            key = value["id"]


def test_the_table_of_commands_is_complete() -> None:
    known = set(each_command(typer.main.get_command(app)))
    tried = {name for name in known for line, _ in COMMANDS if f"{line} ".startswith(f"{name} ")}
    assert tried == known - WITHOUT


# The command of each operation of admins on accounts, keys, messages and the audit log.
COMMAND_OF = {
    "admin.users.list": "users list",
    "admin.users.get": "users show",
    "admin.users.create": "users create",
    "admin.users.update": "users update",
    "admin.users.disable": "users disable",
    "admin.users.unlock": "users unlock",
    "admin.sessions.list": "users sessions",
    "admin.sessions.revoke": "users end-sessions",
    "admin.keys.list": "keys list",
    "admin.keys.revoke": "keys revoke",
    "admin.audit.list": "audit list",
    "admin.outbox.list": "outbox list",
}


def test_every_operation_of_admins_on_accounts_has_a_command() -> None:
    # Servers and guilds are not for operators.
    of_others = ("admin.servers.", "admin.guilds.")
    admins = {name for name in OPERATIONS if name.startswith("admin.")}
    assert {name for name in admins if not name.startswith(of_others)} == COMMAND_OF.keys()
    assert set(COMMAND_OF.values()) <= set(each_command(typer.main.get_command(app)))


def test_an_error_is_json_with_the_code_of_the_catalogue(folder: Path) -> None:
    for line, status, code in (
        ("keys list nobody", 1, "user-not-found"),
        ("users create x", 1, "invalid-username"),
        ("audit list --limit 5000", 1, "invalid-input"),
        ("users list --status new", 2, "usage"),
        ("users nothing", 2, "usage"),
        ("backup missing/file", 1, "failed"),
    ):
        done = run_here(folder, *line.split(), "--json")
        assert (done.status, done.out) == (status, ""), line
        error = json.loads(done.err)["error"]
        assert (error["code"], bool(error["detail"])) == (code, True)
    done = run_here(folder, "users", "lst")
    assert done.err == (
        "gatehouse: No such command 'lst'. Did you mean 'list'? See 'gatehouse users --help'.\n"
    )
    done = run_here(folder, "users", "list", "--json", GATEHOUSE_WORKERS="none")
    assert (done.status, json.loads(done.err)["error"]["code"]) == (2, "invalid-settings")


def test_a_list_is_an_aligned_table_in_a_terminal_and_tab_separated_elsewhere(
    folder: Path,
) -> None:
    for name in ("灯火灯火", "somebody"):
        assert run_here(folder, "users", "create", name).status == 0
    head, wide, narrow = run_in_terminal(folder, "users", "list").splitlines()
    assert head.split() == ["ID", "UUID", "USERNAME", "EMAIL", "MARKS"]
    # A Chinese character takes two columns.
    assert head.index("EMAIL") == narrow.index("-", head.index("EMAIL") - 1)
    assert wide.index("-", 46) == narrow.index("-", 46) - 4
    rows = [line.split("\t") for line in run_here(folder, "users", "list").out.splitlines()]
    assert [row[2:] for row in rows] == [["灯火灯火", "-", "-"], ["somebody", "-", "-"]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\u202eb", "a\\u202eb"), ("\x1b[31m\t", "\\x1b[31m\\t"), ("👩\u200d🚀 é", "👩\u200d🚀 é")],
)
def test_no_text_drives_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
