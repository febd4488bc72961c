"""The version and commit of a checkout, a build and an installation."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from app.version import VERSION, describe_version, find_commit, read_commit
from tests.commands import run_here
from tests.needs import need
from tests.server_process import run

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit."""
    need(which("git") is not None, "This compares with git: apt-get install git")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=First")
    return folder


def test_the_commit_of_a_checkout_is_the_one_that_git_names(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert read_commit(repository) == commit
    git(repository, "tag", "v1.0.0")
    git(repository, "pack-refs", "--all", "--prune")
    assert read_commit(repository) == commit
    worktree = repository.parent / "worktree"
    git(repository, "worktree", "add", "--quiet", str(worktree), "-b", "other/branch")
    assert read_commit(worktree) == commit
    git(worktree, "commit", "--quiet", "--allow-empty", "--message=Second")
    assert read_commit(worktree) == git(worktree, "rev-parse", "HEAD") != commit
    git(repository, "checkout", "--quiet", "--detach", "v1.0.0")
    assert read_commit(repository) == commit


def test_a_repository_without_commits_has_none(tmp_path: Path, repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--orphan", "empty")
    assert read_commit(repository) is None
    assert read_commit(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "commit"),
    [
        (f"{COMMIT}\n", COMMIT),
        (f"{COMMIT[:24]}{COMMIT}", f"{COMMIT[:24]}{COMMIT}"),
        (COMMIT[:12], None),
        ("", None),
        ("a text that is no commit", None),
        ("é" * 40, None),
    ],
)
def test_the_record_of_a_build_counts_only_if_it_is_a_commit(
    repository: Path, text: str, commit: str | None
) -> None:
    record = repository / "app" / "commit.txt"
    record.parent.mkdir()
    record.write_text(text, "utf-8")
    assert read_commit(repository) == commit


def test_the_version_is_printed_from_any_folder_whatever_the_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("not a line of settings")
    done = run(tmp_path, "--version", GATEHOUSE_UNKNOWN="1", GATEHOUSE_DATABASE_URL="none")
    assert (done.status, done.out, done.err) == (0, f"gatehouse {describe_version()}\n", "")
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
    expected = {"version": VERSION, "commit": find_commit()}
    assert json.loads(run(tmp_path, "--version", "--json").out) == expected
    # The parser of the command line knows it, too.
    assert run_here(tmp_path, "--version").out == done.out
    assert "--version" in run_here(tmp_path, "--help").out


def test_a_version_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "--version"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "could not be written: No space left on device." in done.stderr


def test_this_build_has_a_version_and_a_commit() -> None:
    commit = find_commit()
    expected = VERSION if commit is None else f"{VERSION} (commit {commit[:12]})"
    assert describe_version() == expected
