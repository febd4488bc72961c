"""Fixtures for tests of generated clients: both documents, the tools, and a server."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.clients.tools import BUILD, OPENAPI, OPENRPC, ROOT
from tests.needs import missing
from tests.server_process import Server, run, serving


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Write both documents, and install the tools that read them."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing("Generated clients need Node.js 20.19 or newer with npm: apt-get install npm")
    BUILD.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("documents")
    # The files of this folder run in several processes.
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ("make", "--directory", ROOT, "generators"), capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            missing(f"The generators of clients cannot be installed: {made.stderr}")
        OPENAPI.write_text(run(folder, "openapi").out)
        OPENRPC.write_text(run(folder, "openrpc").out)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started
