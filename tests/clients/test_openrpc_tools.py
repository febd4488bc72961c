"""The tools of open-rpc.org with our OpenRPC document: validation, types, and a client."""

import re
import shutil
from pathlib import Path

import pytest

from tests.clients.tools import BUILD, HERE, NODE_TOOLS, OPENRPC, done
from tests.needs import need
from tests.server_process import Server

pytestmark = pytest.mark.usefixtures("documents")

GENERATED = BUILD / "openrpc"
# @open-rpc/generator 1.22.3 writes the name of a method as it is, which a dot in it breaks.
DOTTED = re.compile(r"^  public ([a-z]+(?:\.[a-z]+)+):", re.MULTILINE)


@pytest.fixture(scope="module")
def types() -> Path:
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    files = ("--output-ts", GENERATED, "--output-go", GENERATED)
    names = ("--name-ts", "typings", "--name-go", "typings")
    done(NODE_TOOLS / "open-rpc-typings", "--document", OPENRPC, *files, *names)
    return GENERATED


@pytest.fixture(scope="module")
def client(types: Path) -> Path:
    how = ("--type", "client", "--language", "typescript", "--useName", "gatehouse")
    generator = NODE_TOOLS / "open-rpc-generator"
    done(generator, "generate", "--document", OPENRPC, "--outputDir", types, *how)
    project = types / "client/typescript"
    # The module belongs to our project, whose modules are those of ECMAScript.
    (project / "package.json").unlink()
    source = project / "src/index.ts"
    text, quoted = DOTTED.subn(r'  public "\1":', source.read_text())
    assert quoted
    source.write_text(text)
    done(NODE_TOOLS / "tsc", "--project", HERE / "openrpc")
    return types / "js/openrpc/call.js"


def test_the_document_is_valid_at_default_settings() -> None:
    assert done("node", HERE / "openrpc/validate.js", OPENRPC) == "39 methods\n"


def test_the_types_compile_in_go(types: Path) -> None:
    need(shutil.which("go") is not None, "Generated Go needs Go 1.19: apt-get install golang-go")
    source = types / "typings.go"
    source.write_text(f"package gatehouse\n\n{source.read_text()}")
    done("go", "vet", source)


def test_a_client_in_typescript_compiles_and_calls(client: Path, server: Server) -> None:
    made = done("node", client, server.greeting["url"])
    assert made.startswith("registered rpcscripter, ")
