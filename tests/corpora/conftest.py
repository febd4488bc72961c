"""A gateway that all vectors of a module are sent to."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import pytest

from app.settings import Settings
from tests.gateway import Gateway, open_gateway

# Thousands of writes that prove nothing about a disk.
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
FOLDER = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None


@pytest.fixture(scope="module")
async def standing(migrated: Path) -> AsyncIterator[tuple[Gateway, Path]]:
    """Both APIs without rate limits, `alice` signed up, and the data directory."""
    with TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        copyfile(migrated, folder / migrated.name)
        async with open_gateway(folder / migrated.name, Settings(rate_limits="off")) as opened:
            await opened.sign_up("alice")
            yield opened, folder
