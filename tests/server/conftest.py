"""A server process that all tests of connections share."""

from collections.abc import Iterator

import pytest

from tests.server_process import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that limits no rates, so that many tests can ask it."""
    with serving(tmp_path_factory.mktemp("transport"), GATEHOUSE_RATE_LIMITS="off") as started:
        yield started
