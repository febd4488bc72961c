"""The version, and the commit that this build comes from.

The version is written here and nowhere else: pyproject.toml reads it from this file. A build
records its commit in a file beside this one (tools/build_hook.py); a checkout has it in `.git`.
"""

from functools import cache
from pathlib import Path

VERSION = "0.1.0"

PACKAGE = Path(__file__).resolve().parent
RECORD = "commit.txt"


@cache
def find_commit() -> str | None:
    """Return the commit of this installation, or None if neither a record nor a repository has it.

    It is determined once, because an upgrade may replace the files of a running server.
    """
    return read_commit(PACKAGE.parent)


def describe_version() -> str:
    """Return the version and the abbreviated commit, such as `1.2.0 (commit 0123456789ab)`."""
    commit = find_commit()
    return VERSION if commit is None else f"{VERSION} (commit {commit[:12]})"


def read_commit(root: Path) -> str | None:
    """Return the commit of the source tree or installation at `root`, without running git.

    Git may be missing, and it refuses a repository that belongs to another user.
    """
    try:
        record = root / PACKAGE.name / RECORD
        text = record.read_text("ascii") if record.is_file() else _read_head(root / ".git")
    except (OSError, UnicodeDecodeError):
        return None
    commit = text.strip()
    is_commit = len(commit) in {40, 64} and set(commit) <= set("0123456789abcdef")
    return commit if is_commit else None


def _read_head(git: Path) -> str:
    """Return the commit that HEAD names; the folders are those of gitrepository-layout(5)."""
    if git.is_file():
        # A worktree or a submodule.
        git = git.parent / git.read_text("utf-8").removeprefix("gitdir:").strip()
    head = (git / "HEAD").read_text("utf-8").strip()
    if not head.startswith("ref:"):
        return head
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = git / common.read_text("utf-8").strip() if common.is_file() else git
    for reference in (git / name, shared / name):
        if reference.is_file():
            return reference.read_text("utf-8")
    for line in (shared / "packed-refs").read_text("utf-8").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""
