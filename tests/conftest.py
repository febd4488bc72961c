"""Configuration of every test: the event loop of async tests, and the profiles of hypothesis."""

import gc
import os
import ssl
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from shutil import copyfile, disk_usage
from typing import Any
from unittest.mock import patch

import certifi
import pytest
from hypothesis import settings

from app.storage.sqlite.store import SqliteFile
from tests.gateway import Gateway, open_gateway

settings.register_profile("gatehouse", deadline=None, database=None, max_examples=100)
settings.load_profile("gatehouse")

# Otherwise each process that a test starts compiles every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

WITH_PROCESSES = {
    *("bench", "browser", "clients", "containers", "docs", "e2e", "faults", "hostile"),
    *("migrations", "model", "packaging", "server"),
}
MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own there
ROOM = 2 << 30


def pytest_configure() -> None:
    """Put temporary files into memory where there is room, so that no commit waits for a disk."""
    if MEMORY.is_dir() and disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose tests start processes, so that no long file comes last."""
    items.sort(key=lambda item: item.path.parent.name not in WITH_PROCESSES)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect garbage neither during the collection of tests nor, later, among their items."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One loop for all, so that a gateway can stand for longer than one test."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _shared_certificates() -> Iterator[None]:
    """Load the certificates of httpx once: each of its clients does so, and it takes 25 ms."""
    load, file = ssl.create_default_context, certifi.where()
    loaded = load(cafile=file)

    def create(*purpose: Any, **options: Any) -> ssl.SSLContext:
        is_ours = not purpose and options == {"cafile": file}
        return loaded if is_ours else load(*purpose, **options)

    with patch.object(ssl, "create_default_context", create):
        yield


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
    """Both APIs on a fresh store, with the default settings."""
    async with open_gateway(database) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared_gateway(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """Both APIs, with `alice` signed up: for the tests of a module that leave nothing behind."""
    path = tmp_path_factory.mktemp("server") / "gatehouse.sqlite3"
    copyfile(migrated, path)
    async with open_gateway(path) as opened:
        await opened.sign_up("alice")
        yield opened
