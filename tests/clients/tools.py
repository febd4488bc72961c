"""Tools that read our documents: where they are, and how to run them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.needs import missing

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = HERE / "build"
PYTHON_TOOLS = ROOT / ".venv-clients" / "bin"
NODE_TOOLS = HERE / "node_modules" / ".bin"
OPENAPI, OPENRPC = BUILD / "openapi.json", BUILD / "openrpc.json"


@contextmanager
def installed_generators() -> Iterator[None]:
    """Install the tools, and keep other processes of the tests from doing so meanwhile."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing("Generated clients need Node.js 20.19 or newer with npm: apt-get install npm")
    BUILD.mkdir(exist_ok=True)
    make = ("make", "--directory", ROOT, "generators")
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(make, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            missing(f"The generators of clients cannot be installed: {made.stderr}")
        yield


def done(*command: str | Path, cwd: Path = HERE, env: Mapping[str, str] | None = None) -> str:
    """Run a tool that has to succeed, and return its output."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
