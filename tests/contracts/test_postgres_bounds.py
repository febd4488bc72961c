"""Timeouts by which PostgreSQL ends abandoned transactions and connections."""

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.storage.constraints import is_passing
from app.storage.postgresql import store as implementation
from app.storage.postgresql.store import PostgresStore, postgres_engine

pytestmark = pytest.mark.anyio

LOCK = text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")


async def test_a_client_lost_in_a_transaction_leaves_no_lock(
    postgres: PostgresStore, server_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "ABANDONED", "300ms")
    engine = postgres_engine(server_database)
    with anyio.fail_after(20):
        async with engine.connect() as vanished:
            await vanished.execute(LOCK)
            # It sends nothing more; what it has locked is free when the server has ended it.
            assert await postgres.read(lambda tx: tx.users.newest_id()) == 0
            with pytest.raises(DBAPIError) as ended:
                await vanished.execute(LOCK)
    assert is_passing(ended.value)
    await engine.dispose()
