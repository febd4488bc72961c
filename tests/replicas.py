"""Replicas on one PostgreSQL database that need not be waited for."""

import asyncio
from datetime import timedelta
from pathlib import Path

from app.domain.signing_keys import PUBLISHED_AHEAD
from app.security.clock import SystemClock
from app.security.signing_keys import SigningKeyFile
from app.storage.postgresql.store import PostgresServer
from tests.fakes.ports import FakeClock


def publish_earlier(folder: Path, url: str) -> None:
    """Publish the key of the server below `folder` as if that was done five minutes ago."""
    data_dir = folder / "var"
    data_dir.mkdir(mode=0o700)
    then = SystemClock().now() - PUBLISHED_AHEAD - timedelta(seconds=1)

    async def publish() -> None:
        async with PostgresServer(url).open() as store:
            await SigningKeyFile(data_dir, FakeClock(then)).rotate(store)

    asyncio.run(publish())
