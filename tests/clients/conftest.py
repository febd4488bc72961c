"""Fixtures for tests of generated clients: both documents, the tools, and a server."""

from collections.abc import Iterator

import pytest

from tests.clients.tools import OPENAPI, OPENRPC, installed_generators
from tests.server_process import Server, run, serving


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Write both documents, and install the tools that read them."""
    folder = tmp_path_factory.mktemp("documents")
    # The files of this folder run in several processes.
    with installed_generators():
        OPENAPI.write_text(run(folder, "openapi").out)
        OPENRPC.write_text(run(folder, "openrpc").out)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started
