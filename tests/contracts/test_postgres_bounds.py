"""What PostgreSQL ends by itself when nobody comes back for it."""

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.storage import postgres as implementation
from app.storage.constraints import is_passing
from app.storage.postgres import PostgresStore, postgres_engine

pytestmark = pytest.mark.anyio

LOCK = text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")


async def test_whoever_vanishes_in_a_transaction_leaves_no_lock_behind(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "ABANDONED", "300ms")
    url = postgres._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    engine = postgres_engine(url)
    with anyio.fail_after(20):
        async with engine.connect() as vanished:
            await vanished.execute(LOCK)
            # It sends nothing more; what it has locked is free when the server has ended it.
            assert await postgres.read(lambda tx: tx.users.newest_id()) == 0
            with pytest.raises(DBAPIError) as ended:
                await vanished.execute(LOCK)
    assert is_passing(ended.value)
    await engine.dispose()
