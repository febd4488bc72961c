"""`make install`: beside the present environment, from a folder of wheels, and for other users.

The checkout of these tests requires hatchling alone, so that an installation is fast; the other
packages are borrowed. tests/docs/test_walkthroughs.py installs all of them from the index.
"""

import os
import re
import signal
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns, rmtree

import pytest

from tests.docs.pages import ROOT
from tests.faults.kills import eventually
from tests.server_process import Server, attend
from tools import environment as tool

# What builds the wheel.
NEEDED = {"hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
FILES = (
    "Makefile",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "zensical.toml",
    "CHANGELOG.md",
    "SECURITY.md",
)
FOLDERS = ("alembic", "app", "docs", "tools")
UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a release, without a repository."""
    folder = tmp_path_factory.mktemp("opt") / "gatehouse"
    folder.mkdir(mode=0o755)
    for name in FILES:
        copy2(ROOT / name, folder / name)
    for name in FOLDERS:
        copytree(ROOT / name, folder / name, ignore=ignore_patterns("__pycache__"))
    pins = re.split(r"\n(?=\S)", (ROOT / "requirements/runtime.txt").read_text())
    needed = [pin for pin in pins if pin.partition("==")[0] in NEEDED]
    assert len(needed) == len(NEEDED)
    (folder / "requirements").mkdir()
    (folder / "requirements/runtime.txt").write_text("\n".join(needed))
    return folder


@pytest.fixture(scope="module")
def wheels(checkout: Path) -> Path:
    """A folder of wheels, as docs/install.md makes it on another machine."""
    folder = checkout.parent / "wheels"
    command = [sys.executable, "-m", "pip", "-qq", "download", "--dest", str(folder)]
    subprocess.run(
        [*command, "--requirement", "requirements/runtime.txt"], cwd=checkout, check=True
    )
    return folder


def make_install(checkout: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Install for other users, with a umask that would keep them out, and without git."""
    programs = checkout.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "git").write_text("#!/bin/sh\nexit 127\n")
    (programs / "git").chmod(0o755)
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_"))}
    return subprocess.run(
        ["make", "install", f"PYTHON={sys.executable}"],
        cwd=checkout,
        env={**ours, "PATH": f"{programs}:{ours['PATH']}", **variables},
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def from_wheels(wheels: Path) -> dict[str, str]:
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1"}


def borrowed() -> dict[str, str]:
    """The environment of a process that imports the packages of these tests."""
    return {"PYTHONPATH": sysconfig.get_path("purelib"), "PATH": os.environ["PATH"]}


def version_of(checkout: Path) -> str:
    return subprocess.run(
        [checkout / ".venv/bin/gatehouse", "--version"],
        env=borrowed(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]


def release(checkout: Path, version: str) -> None:
    """Turn the checkout into another release."""
    file = checkout / "app/version.py"
    file.write_text(re.sub(r'VERSION = ".*"', f'VERSION = "{version}"', file.read_text()))


@pytest.fixture(scope="module")
def server(checkout: Path, wheels: Path) -> Iterator[Server]:
    """A server of the first release, installed without an index."""
    release(checkout, "1.0.0")
    done = make_install(checkout, **from_wheels(wheels))
    assert done.returncode == 0, done.stderr
    data = checkout.parent / "data"
    data.mkdir()
    process = subprocess.Popen(
        [checkout / ".venv/bin/gatehouse", "serve"],
        cwd=data,
        env={**borrowed(), "GATEHOUSE_PORT": "0", "GATEHOUSE_WORKERS": "2"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with attend(process) as server:
        yield server


def test_an_installation_under_a_strict_umask_is_readable_for_the_services_user(
    checkout: Path, server: Server
) -> None:
    environment = (checkout / ".venv").resolve()
    files = [path for path in environment.rglob("*") if not path.is_symlink()]
    closed = [path for path in files if not path.stat().st_mode & stat.S_IROTH]
    assert closed == []
    assert make_install(checkout).stdout == "make: Nothing to be done for 'install'.\n"


def test_an_installation_that_fails_leaves_the_release_that_was_there(
    checkout: Path, server: Server
) -> None:
    before = (checkout / ".venv").resolve()
    release(checkout, "1.1.0")
    done = make_install(checkout, **UNREACHABLE)
    assert done.returncode != 0
    assert ".venv is as it was before. Check the package index" in done.stderr
    assert "docs/install.md" in done.stderr
    assert (checkout / ".venv").resolve() == before
    assert [it.name for it in (checkout / ".venvs").iterdir() if it.is_dir()] == [before.name]
    assert version_of(checkout) == "1.0.0"
    assert server.client.get("/health/ready").status_code == 200


def test_a_running_server_survives_the_exchange_of_its_files(
    checkout: Path, wheels: Path, server: Server
) -> None:
    before = (checkout / ".venv").resolve()
    release(checkout, "1.2.0")
    done = make_install(checkout, **from_wheels(wheels))
    assert done.returncode == 0, done.stderr
    assert version_of(checkout) == "1.2.0"
    # As pulling and pip would remove them.
    rmtree(checkout / "app")
    for file in before.glob("lib/python*/site-packages/app/**/*.py*"):
        file.unlink()
    client = server.client
    for path in ("/docs", "/rpc/docs", "/handbook/", "/handbook/install.html"):
        assert client.get(path).status_code == 200, path
    for path in ("/openapi.json", "/rpc/openrpc.json"):
        assert client.get(path).json()["info"]["version"] == "1.0.0"
    worker, *_ = children(server.process.pid)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: len({*children(server.process.pid)} - {worker}) == 2)
    server.log.until("worker ended unexpectedly")
    body = {"username": "newcomer", "password": "correct horse battery"}
    for _ in range(10):
        assert client.get("/health/live").status_code == 200
    assert client.post("/users/@self", json=body).status_code == 201
    assert client.post("/users/auth", json=body).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0
    errors = [line for line in server.log.so_far.splitlines() if '"level":"error"' in line]
    assert len(errors) == 1, errors


def children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


# ------------------------------------------------------------------------ tools/environment.py


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make an environment with a name."""
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "LINK", tmp_path / ".venv")
    monkeypatch.setattr(tool, "ENVIRONMENTS", tmp_path / ".venvs")

    def create(name: str) -> Path:
        path = tmp_path / ".venvs" / name
        path.mkdir(parents=True)
        return path

    return create


def test_the_previous_environment_is_kept_and_older_unused_ones_are_removed(
    environments: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted, first = environments("interrupted"), environments("first")
    tool.exchange(first)
    assert not interrupted.exists()
    monkeypatch.setattr(tool, "is_used", lambda environment: environment == first)
    names = ("second", "third", "fourth")
    for name in names:
        tool.exchange(environments(name))
    assert os.readlink(tool.LINK) == ".venvs/fourth"
    assert {it.name for it in tool.ENVIRONMENTS.iterdir()} == {"first", "third", "fourth"}


def test_a_folder_that_earlier_versions_made_becomes_a_link(
    environments: Callable[[str], Path],
) -> None:
    (tool.ROOT / ".venv" / "bin").mkdir(parents=True)
    new = environments("new")
    tool.exchange(new)
    assert tool.LINK.resolve() == new
    assert (tool.ENVIRONMENTS / "former" / "bin").is_dir()


def test_an_environment_is_used_while_a_process_has_its_libraries() -> None:
    assert tool.is_used(Path(sys.prefix).resolve())
    assert not tool.is_used(Path(sys.prefix).resolve() / "bin")


def test_an_installation_that_other_users_cannot_read_is_noted(
    environments: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/opt/python")
    tool.ROOT.chmod(0o755)
    assert list(tool.find_hindrances()) == []
    tool.ROOT.chmod(0o700)
    monkeypatch.setattr(sys, "base_prefix", "/home/anna/.local/python")
    python, folder = tool.find_hindrances()
    assert "make install PYTHON=/usr/bin/python3" in python
    assert f"chmod o+x {tool.ROOT}" in folder
