"""Backups by the command line: folders, pipes, and commands that ask first."""

import json
import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path
from shutil import copyfile

import pytest

from app.storage.sqlite.backup_files import delete_oldest
from tests.commands import run_here, run_in_terminal
from tests.server_process import Finished, command, environment

QUESTION = "This ends all sessions and access keys"


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    (tmp_path / "var").mkdir(mode=0o700)
    copyfile(migrated, tmp_path / "var" / "gatehouse.sqlite3")
    (tmp_path / "var" / "gatehouse.sqlite3").chmod(0o600)
    assert run_here(tmp_path, "users", "create", "demo", "--admin").status == 0
    return tmp_path


@pytest.fixture
def backups(folder: Path) -> Path:
    """A folder with the backups of three days, and files of other names."""
    (folder / "backups").mkdir()
    for name in ("20260101T030000Z", "20260102T030000Z", "20260103T030000Z"):
        (folder / "backups" / f"gatehouse-{name}.sqlite3").write_text("earlier")
    (folder / "backups" / "gatehouse-before-the-move.sqlite3").write_text("mine")
    (folder / "backups" / ".gatehouse-20260101T030000Z.sqlite3.x").write_text("unfinished")
    return folder / "backups"


def names_in(backups: Path) -> list[str]:
    return sorted(path.name for path in backups.glob("gatehouse-2*"))


def test_a_folder_gets_a_backup_named_by_the_time(folder: Path, backups: Path) -> None:
    done = run_here(folder, "backup", "backups")
    assert done.status == 0
    (made,) = (name for name in names_in(backups) if name > "gatehouse-20260103T030000Z.sqlite3")
    assert done.out.startswith(f"backups/{made}: 1 account")
    assert len(names_in(backups)) == 4


def test_the_oldest_backups_are_deleted_after_the_new_one_is_verified(
    folder: Path, backups: Path
) -> None:
    done = run_here(folder, "backup", "backups", "--keep", "2")
    assert done.status == 0
    assert done.out.splitlines()[1:] == [
        "backups/gatehouse-20260101T030000Z.sqlite3: deleted",
        "backups/gatehouse-20260102T030000Z.sqlite3: deleted",
    ]
    kept, made = names_in(backups)
    assert kept == "gatehouse-20260103T030000Z.sqlite3"
    assert (backups / "gatehouse-before-the-move.sqlite3").exists()
    assert (backups / ".gatehouse-20260101T030000Z.sqlite3.x").exists()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    assert run_here(elsewhere, "restore", str(backups / made)).status == 0


def test_leftovers_of_killed_backups_are_deleted_a_day_later(folder: Path, backups: Path) -> None:
    draft = backups / ".gatehouse-20260101T030000Z.sqlite3.x"
    piped = folder / "var" / ".gatehouse.sqlite3.abcdefgh"
    piped.mkdir()
    (piped / "backup").write_text("unfinished")
    # Anyone who may write there can create it, and it must not stop the deletion of old backups.
    folder_of_another = backups / ".gatehouse-20260101T030000Z.sqlite3.folder"
    folder_of_another.mkdir()
    os.utime(folder_of_another, (0, 0))
    for _ in range(2):
        assert run_here(folder, "backup", "backups", "--keep", "9").status == 0
        run_here(folder, "backup", "-", encoding="latin-1")
        if draft.exists():
            assert piped.exists()
            for path in (draft, piped):
                os.utime(path, (0, 0))
        for path in backups.glob("gatehouse-2*"):
            path.rename(path.with_name(f"kept-{path.name}"))
    assert not draft.exists()
    assert not piped.exists()
    assert folder_of_another.exists()
    assert (backups / "gatehouse-before-the-move.sqlite3").exists()


def test_concurrent_backups_may_delete_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, gone = (tmp_path / f"gatehouse-2026010{day}T030000Z.sqlite3" for day in (2, 1))
    newest.touch()
    monkeypatch.setattr(Path, "glob", lambda _, names: [] if names.startswith(".") else [gone])
    assert delete_oldest(newest, 1) == [gone]


def test_a_backup_is_kept_even_if_the_clock_was_set_back(folder: Path, backups: Path) -> None:
    for name in names_in(backups):
        (backups / name).rename(backups / name.replace("2026", "2999"))
    assert run_here(folder, "backup", "backups", "--keep", "1").status == 0
    (made,) = names_in(backups)
    assert made < "gatehouse-2999"


def test_a_failed_backup_deletes_nothing(folder: Path, backups: Path) -> None:
    before = names_in(backups)
    with (folder / "var" / "gatehouse.sqlite3").open("r+b") as database:
        database.seek(4096 * 4)
        database.write(os.urandom(4096 * 20))
    done = run_here(folder, "backup", "backups", "--keep", "1")
    assert (done.status, done.out) == (1, "")
    assert names_in(backups) == before


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["backup", "backups", "--keep", "0"], 2, "--keep"),
        (["backup", "file", "--keep", "3"], 1, "--keep needs a folder, and file is none."),
        (["backup", "-", "--keep", "3"], 2, "--keep needs a folder."),
        (["backup", "var/gatehouse.sqlite3"], 1, "The name is taken: choose another file"),
        (["backup", "nowhere/file"], 1, "nowhere: No such file or directory."),
        (["restore", "-", "--replace"], 1, "standard-input is no database of Gatehouse."),
        (["restore", "-"], 1, "With --replace, the backup replaces it"),
    ],
)
def test_an_impossible_backup_is_one_sentence(
    folder: Path, arguments: list[str], status: int, sentence: str
) -> None:
    done = run_here(folder, *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert sentence in done.err
    assert {path.name for path in folder.iterdir()} == {"var"}
    assert not list((folder / "var").glob(".*"))


def test_a_terminal_gets_no_backup(folder: Path) -> None:
    assert run_in_terminal(folder, "backup", "-") == ""


def test_a_backup_goes_through_a_pipe_and_back(folder: Path) -> None:
    def run(*arguments: str, stdin: str = "") -> Finished:
        return run_here(folder, *arguments, stdin=stdin, encoding="latin-1")

    made = run("backup", "-", "--json")
    assert (made.status, json.loads(made.err)["file"]) == (0, "standard output")
    run("users", "create", "later")
    cut = run("restore", "-", "--replace", stdin=made.out[:-4096])
    assert (cut.status, "malformed. Restore another backup;" in cut.err) == (1, True)
    assert "later" in run("users", "list").out
    restored = run("restore", "-", "--replace", stdin=made.out)
    assert (restored.status, restored.err) == (0, "")
    assert "later" not in run("users", "list").out
    assert not list((folder / "var").glob(".*"))


# ------------------------------------------------------------------------------ asking first


@pytest.mark.parametrize("name", ["end-all-credentials", "restored"])
def test_without_a_terminal_nothing_ends_until_yes_is_given(folder: Path, name: str) -> None:
    run_here(folder, "keys", "create", "demo")
    refused = run_here(folder, name, stdin="y\n")
    assert (refused.status, refused.out, "--yes" in refused.err) == (2, "", True)
    assert run_here(folder, "keys", "list", "demo").out.count("\n") == 1
    done = run_here(folder, name, "--yes")
    assert done.status == 0
    assert done.out.startswith("0 sessions and 1 access key were ended")
    assert run_here(folder, "keys", "list", "demo").out == ""
    newest = run_here(folder, "audit", "list").out.splitlines()[0]
    assert {"end-all-credentials": "credentials.end-all"}.get(name, name) in newest


@pytest.mark.parametrize(("answer", "keys"), [("", 1), ("y", 0)])
def test_in_a_terminal_it_asks(folder: Path, answer: str, keys: int) -> None:
    run_here(folder, "keys", "create", "demo")
    status, shown = answer_in_terminal(folder, "end-all-credentials", answer)
    assert QUESTION in shown
    assert (status == 0, "Nothing was changed" in shown) == (not keys, bool(keys))
    assert run_here(folder, "keys", "list", "demo").out.count("\n") == keys


def answer_in_terminal(folder: Path, name: str, answer: str) -> tuple[int, str]:
    """Run a command in a terminal, and type an answer; return the status and what was shown."""
    controller, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            command(name),
            cwd=folder,
            env=environment(folder, {}),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        ) as process:
            os.close(terminal)
            os.write(controller, answer.encode() + b"\n")
            shown = b""
            # Linux reports the end of a terminal as an error.
            with suppress(OSError):
                while part := os.read(controller, 4096):
                    shown += part
            return process.wait(timeout=60), shown.decode()
    finally:
        os.close(controller)


def test_credentials_that_are_kept_need_no_confirmation(folder: Path) -> None:
    run_here(folder, "keys", "create", "demo")
    done = run_here(folder, "restored", "--keep-credentials")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("0 sessions and 1 access key are valid again")
