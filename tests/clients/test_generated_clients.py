"""Clients that others' tools generate from our OpenAPI document, and what a linter says of it.

`make clients` runs this and shows the journeys; what is generated stays in build/ to be looked at.
"""

import json
import os
import sys

import pytest

from tests.clients.tools import BUILD, HERE, NODE_TOOLS, OPENAPI, PYTHON_TOOLS, done
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("documents")


@pytest.fixture(scope="module")
def python_client() -> None:
    generator = PYTHON_TOOLS / "openapi-python-client"
    target = ("--meta=none", f"--output-path={BUILD / 'gatehouse_client'}", "--overwrite")
    # It looks for ruff, to put what it wrote into form.
    path = f"{PYTHON_TOOLS}:{os.environ['PATH']}"
    done(generator, "generate", f"--path={OPENAPI}", *target, "--fail-on-warning", PATH=path)


@pytest.fixture(scope="module")
def typescript_client() -> None:
    # Without the last, what has a default would have to be sent.
    how = (f"--output={BUILD / 'gatehouse.d.ts'}", "--default-non-nullable=false")
    done(NODE_TOOLS / "openapi-typescript", OPENAPI, *how)
    done(NODE_TOOLS / "tsc", "--project", HERE)


def test_redocly_finds_no_fault_in_the_document() -> None:
    # Not called redocly.yaml: openapi-typescript would take that for its own.
    how = (f"--config={HERE / 'redocly-lint.yaml'}", "--format=json")
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    verdict = json.loads(done(NODE_TOOLS / "redocly", "lint", OPENAPI, *how, **quiet))
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
    print(f"\n{made}")
    assert made.endswith("disabled snakes\n")


@pytest.mark.usefixtures("typescript_client")
def test_a_journey_works_with_the_typescript_client(server: Server) -> None:
    made = done("node", BUILD / "journey.js", server.greeting["url"], server.admin_key)
    print(f"\n{made}")
    assert made.endswith("disabled gophers\n")
