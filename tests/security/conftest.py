"""Fixtures of the attackers."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest

from app.security.key_files import KEY_FILE
from tests.gateway import Gateway, open_gateway
from tests.security.forge import Forge, forge


@pytest.fixture
async def forger(gateway: Gateway, tmp_path: Path) -> Forge:
    """An attacker with a valid token of `alice` and our private key."""
    return forge(await gateway.user("alice"), (tmp_path / KEY_FILE).read_bytes())


@pytest.fixture(scope="module")
async def standing(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, Forge]]:
    """A gateway and its forger for a whole module: for attacks that, foiled, leave no trace."""
    database = tmp_path_factory.mktemp("standing") / migrated.name
    copyfile(migrated, database)
    async with open_gateway(database) as opened:
        pem = (database.parent / KEY_FILE).read_bytes()
        yield opened, forge(await opened.user("alice"), pem)
