"""What every test shares: the event loop that async tests run on, and how hypothesis searches."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest
from hypothesis import settings

from app.storage.sqlite import SqliteFile
from tests.gateway import Gateway, open_gateway

settings.register_profile("gatehouse", deadline=None, database=None, max_examples=100)
settings.load_profile("gatehouse")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One loop for all, so that a gateway can stand for longer than one test."""
    return "asyncio"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows; to copy it is faster than to migrate."""
    path = tmp_path_factory.mktemp("migrated") / "gatehouse.sqlite3"
    SqliteFile(path).migrate()
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    """A fresh migrated database of the test's own."""
    path = tmp_path / "gatehouse.sqlite3"
    copyfile(migrated, path)
    return path


@pytest.fixture
async def gateway(database: Path) -> AsyncIterator[Gateway]:
    """Both doors on a fresh store, with the default settings."""
    async with open_gateway(database) as opened:
        yield opened


@pytest.fixture(scope="module")
async def door(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Both doors, with `alice` signed up: for the tests of a module that leave nothing behind."""
    path = tmp_path_factory.mktemp("door") / "gatehouse.sqlite3"
    copyfile(migrated, path)
    async with open_gateway(path) as opened:
        await opened.sign_up("alice")
        yield opened
