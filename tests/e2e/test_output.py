"""The output of commands to terminals and files of any encoding."""

import json
import subprocess
from pathlib import Path
from shutil import copyfile

import pytest

from tests.commands import run_here
from tests.server_process import command, environment, run

NAME = "灯火灯火"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    folder = tmp_path_factory.mktemp("output")
    (folder / "var").mkdir(mode=0o700)
    copyfile(migrated, folder / "var" / migrated.name)
    assert run_here(folder, "users", "create", NAME, "--admin").status == 0
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "list"],
        ["users", "create", NAME],
        ["keys", "create", NAME, "--name", "鍵"],
        ["keys", "list", NAME],
        ["keys", "create", NAME, "--expires-at", "灯"],
        ["restore", "灯"],
        ["backup", "灯"],
        ["doctor"],
        ["users", "灯"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_characters_outside_an_encoding_are_escaped(folder: Path, arguments: list[str]) -> None:
    done = run_here(folder, *arguments, encoding="ascii")
    assert "Traceback" not in done.err
    assert done.status in {0, 1, 2}
    (folder / "灯").unlink(missing_ok=True)


def test_a_generated_password_is_printed_whatever_the_name(folder: Path) -> None:
    done = run(folder, "users", "create", "火灯火灯", PYTHONIOENCODING="ascii")
    assert done.status == 0
    assert done.out.startswith("\\u706b\\u706f\\u706b\\u706f\t")
    assert len(done.out.splitlines()[1].removeprefix("password\t")) == 20


def test_json_stays_json(folder: Path) -> None:
    run_here(folder, "keys", "create", NAME, "--name", "é🔑")
    for encoding in ("ascii", "latin-1"):
        json.loads(run_here(folder, "openrpc", encoding=encoding).out)
        for words in (["audit", "list"], ["keys", "list", NAME], ["users", "list"]):
            printed = json.loads(run_here(folder, *words, "--json", encoding=encoding).out)
            assert NAME in str(printed) or "é🔑" in str(printed)


def test_a_password_is_read_in_utf_8_whatever_the_terminal_has(folder: Path) -> None:
    password = "richtig Pferd Batterie ü"
    for number, (octets, status) in enumerate([(password.encode(), 0), (b"\xff" * 20, 1)]):
        done = subprocess.run(
            command("users", "create", f"reader{number}", "--password-stdin"),
            cwd=folder,
            env=environment(folder, {"PYTHONIOENCODING": "ascii"}),
            input=octets + b"\n",
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert b"Traceback" not in done.stderr


def test_an_output_that_is_lost_is_an_error(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("users", "list"),
            cwd=folder,
            env=environment(folder, {"PYTHONUNBUFFERED": ""}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("gatehouse: ")
    assert "No space left" in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_commands_run_with_closed_descriptors(folder: Path, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command("users", "list")],
        cwd=folder,
        env=environment(folder, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
