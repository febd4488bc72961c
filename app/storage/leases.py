"""Leases: a task of one process at a time, by a clock that all processes share.

On PostgreSQL that is the server's clock; on SQLite all processes are on one machine and use its
clock. A lease that ends later than any new one was given before the clock was set back: it has
ended, too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from app.storage.inserts import insert_or_replace
from app.storage.tables import LeaseRow, metadata

_LEASES = metadata.tables[LeaseRow.__tablename__]


def take_lease(
    connection: Connection, name: str, holder: str, now: datetime, length: timedelta
) -> bool:
    """Take or renew the lease with this name; return False if another holder has it."""
    # `now` was read before the row is locked, and another process may have renewed since.
    is_held = is_leased(_LEASES.c.ends_at, now, now + 2 * length)
    is_free = or_(_LEASES.c.holder == holder, ~is_held)
    row = {"name": name, "holder": holder, "ends_at": now + length}
    return insert_or_replace(connection, _LEASES, row, only_if=is_free)


def is_leased(ends_at: ColumnElement[Any], now: Any, latest: Any) -> ColumnElement[bool]:
    """Return the condition that a lease has not ended; no new one ends after `latest`."""
    return and_(ends_at > now, ends_at <= latest)


def server_time(connection: Connection) -> datetime:
    """Return the time of a PostgreSQL server: not now(), which is when the transaction began."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)
