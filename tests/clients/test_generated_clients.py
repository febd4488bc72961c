"""Clients that others' tools generate from our OpenAPI document, and what a linter says of it.

`make clients` runs this and shows the journeys; what is generated stays in build/ to be looked at.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import missing
from tests.server_process import Server, run, serving

HERE = Path(__file__).parent
BUILD = HERE / "build"
PYTHON_TOOLS = HERE.parents[1] / ".venv-clients" / "bin"
NODE_TOOLS = HERE / "node_modules" / ".bin"
DOCUMENT = BUILD / "openapi.json"


def done(*command: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool that has to succeed, and return its output."""
    ended = subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


@pytest.fixture(scope="module", autouse=True)
def document(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The document, and the tools that read it."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing("Generated clients need Node.js 20.19 or newer with npm: apt-get install npm")
    make = ("make", "--directory", HERE.parents[1], "generators")
    made = subprocess.run(make, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        missing(f"The generators of clients cannot be installed: {made.stderr}")
    BUILD.mkdir(exist_ok=True)
    DOCUMENT.write_text(run(tmp_path_factory.mktemp("document"), "openapi").out)


@pytest.fixture(scope="module")
def python_client() -> None:
    generator = PYTHON_TOOLS / "openapi-python-client"
    target = ("--meta=none", f"--output-path={BUILD / 'gatehouse_client'}", "--overwrite")
    # It looks for ruff, to put what it wrote into form.
    path = f"{PYTHON_TOOLS}:{os.environ['PATH']}"
    done(generator, "generate", f"--path={DOCUMENT}", *target, "--fail-on-warning", PATH=path)


@pytest.fixture(scope="module")
def typescript_client() -> None:
    # Without the last, what has a default would have to be sent.
    how = (f"--output={BUILD / 'gatehouse.d.ts'}", "--default-non-nullable=false")
    assert not done(NODE_TOOLS / "openapi-typescript", DOCUMENT, *how).stderr
    done(NODE_TOOLS / "tsc", "--project", HERE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


def test_redocly_finds_no_fault_in_the_document() -> None:
    # Not called redocly.yaml: openapi-typescript would take that for its own.
    how = (f"--config={HERE / 'redocly-lint.yaml'}", "--format=json")
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    verdict = json.loads(done(NODE_TOOLS / "redocly", "lint", DOCUMENT, *how, **quiet).stdout)
    assert verdict["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


@pytest.mark.usefixtures("python_client")
def test_the_python_client_and_its_journey_are_typed() -> None:
    # The generator casts more often than it has to.
    strict = ("--strict", "--no-warn-redundant-casts", "--config-file=")
    where = (f"--python-executable={PYTHON_TOOLS / 'python'}", f"--cache-dir={BUILD / 'mypy'}")
    code = (BUILD / "gatehouse_client", HERE / "journey.py")
    done(sys.executable, "-m", "mypy", *strict, *where, *code)


@pytest.mark.usefixtures("python_client")
def test_a_journey_works_with_the_python_client(server: Server) -> None:
    journey = (PYTHON_TOOLS / "python", "-W", "error", HERE / "journey.py")
    made = done(*journey, server.greeting["url"], server.admin_key, PYTHONPATH=str(BUILD))
    print(f"\n{made.stdout}")
    assert made.stdout.endswith("disabled snakes\n")


@pytest.mark.usefixtures("typescript_client")
def test_a_journey_works_with_the_typescript_client(server: Server) -> None:
    made = done("node", BUILD / "journey.js", server.greeting["url"], server.admin_key)
    print(f"\n{made.stdout}")
    assert made.stdout.endswith("disabled gophers\n")
