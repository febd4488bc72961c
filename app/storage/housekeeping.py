"""Housekeeping: a background task that deletes expired rows of all tables."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    delete,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from app.domain.credentials import SESSION_MAX
from app.domain.idempotency import KEPT_FOR as RECORD_KEPT_FOR
from app.domain.idempotency import RECORDS_PER_CALLER
from app.domain.outbox import DONE_KEPT_FOR as MESSAGE_KEPT_FOR
from app.domain.outbox import State
from app.domain.ports.services import Clock
from app.domain.ports.store import Store, Transaction
from app.domain.rate_limits import FAILURES_EXPIRE_AFTER
from app.domain.retention import DEAD_MESSAGE_KEPT_FOR, EXPIRED_KEY_KEPT_FOR, GRACE
from app.domain.signing_keys import KEY_LEASE
from app.runtime.background_tasks import Supervisor
from app.storage import tables
from app.storage.dialect import dialect_of
from app.storage.leases import take_lease
from app.storage.tables import metadata
from app.storage.types import Text
from app.storage.unit_of_work import connection_of

EVERY = 60.0
# Rows of a table per transaction, and transactions per round.
ROWS_MAX = 200
TRANSACTIONS_MAX = 50
# Only the process that holds the lease deletes; another may once it has ended.
LEASE = timedelta(minutes=5)
_LEASE_NAME = "housekeeping"

# Literals, so that the planner can use a partial index.
_DONE, _DEAD = (literal_column(f"'{state}'", Text) for state in (State.DONE, State.DEAD))


@dataclass(frozen=True, slots=True)
class Ended:
    """A table, and a query of the primary keys of its expired rows."""

    table: Table
    keys: Callable[[datetime], Select[Any]]

    def delete(self, connection: Connection, now: datetime) -> int:
        """Delete some expired rows; return their number."""
        # Rows that another transaction is changing are skipped; SQLite needs no such clause.
        some = self.keys(now).limit(ROWS_MAX).with_for_update(skip_locked=True, of=self.table)
        query = delete(self.table).where(tuple_(*self.table.primary_key).in_(some))
        return connection.execute(query).rowcount

    def is_there(self, connection: Connection, now: datetime) -> bool:
        """Return whether there are expired rows."""
        return connection.execute(self.keys(now).limit(1)).first() is not None


def _where(name: str, condition: Callable[[Any, datetime], ColumnElement[bool]]) -> Ended:
    table = metadata.tables[name]
    keys = select(*table.primary_key)
    return Ended(table, lambda now: keys.where(condition(table.c, now)))


def _too_many_records() -> Ended:
    """Of each caller, the oldest beyond the most that are kept."""
    table = metadata.tables[tables.IdempotencyRow.__tablename__]
    newest_first = (table.c.made_at.desc(), table.c.key)
    place = func.row_number().over(partition_by=table.c.caller, order_by=newest_first)
    ranked = select(*table.primary_key, place.label("place")).subquery()
    key = [table.c[column.name] == ranked.c[column.name] for column in table.primary_key]
    keys = select(*table.primary_key).join(ranked, key[0] & key[1])
    return Ended(table, lambda _now: keys.where(ranked.c.place > RECORDS_PER_CALLER))


# One line for each table whose rows end; `LASTING` names the others.
ENDED = (
    _where("sessions", lambda c, now: c.expires_at <= now - GRACE),
    _where("access_keys", lambda c, now: c.expires_at <= now - EXPIRED_KEY_KEPT_FOR),
    # A name that an account left, past its hold.
    _where("name_claims", lambda c, now: c.held_until <= now - GRACE),
    _where("renames", lambda c, now: c.ends_at <= now - GRACE),
    # Places that are not familiar any more; expired wrong passwords from unfamiliar ones.
    _where("password_attempts", lambda c, now: c.familiar_until <= now - GRACE),
    _where(
        "password_attempts",
        lambda c, now: (
            c.familiar_until.is_(None)
            & or_(c.failed_at.is_(None), c.failed_at <= now - FAILURES_EXPIRE_AFTER - GRACE)
        ),
    ),
    _where(
        "idempotency_records",
        lambda c, now: or_(c.made_at <= now - RECORD_KEPT_FOR, c.made_at >= now + RECORD_KEPT_FOR),
    ),
    _too_many_records(),
    _where(
        "outbox",
        lambda c, now: (c.state == _DONE) & (c.ended_at <= now - MESSAGE_KEPT_FOR),
    ),
    _where(
        "outbox",
        lambda c, now: (c.state == _DEAD) & (c.ended_at <= now - DEAD_MESSAGE_KEPT_FOR),
    ),
    # Keys of hosts that are gone, trusted no longer; one that was retired stays known as such.
    _where(
        "signing_keys",
        lambda c, now: (
            c.retired_at.is_(None) & (c.renewed_at <= now - KEY_LEASE - SESSION_MAX - GRACE)
        ),
    ),
    # Worker ids of processes that did not release them.
    _where("workers", lambda c, now: c.ends_at <= now - GRACE),
)
# Tables whose rows do not expire, with the reason.
LASTING = {
    "audit": "the trail is never deleted",
    "guild_members": "until they are removed",
    "guilds": "until they are deleted",
    "leases": "one row for each name that the code knows",
    "servers": "until they are deleted",
    "stopped_servers": "until their owner is enabled",
    "users": "accounts are disabled, never deleted",
}


class Housekeeping:
    """Delete expired rows in small transactions, in one process at a time."""

    def __init__(self, store: Store, clock: Clock, holder: str) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder

    async def tidy_up(self) -> None:
        """Delete what has ended, if no other process does it. Raises Overloaded."""
        if await self._store.scan(self._is_due):
            for _ in range(TRANSACTIONS_MAX):
                if not await self._store.write(self._delete_some):
                    break

    def _is_due(self, tx: Transaction) -> bool:
        connection = connection_of(tx)
        now = self._now(connection)
        return any(ended.is_there(connection, now) for ended in ENDED)

    def _delete_some(self, tx: Transaction) -> int:
        connection = connection_of(tx)
        # It skips rows that others change; serializable, it would make them begin again.
        dialect_of(connection).use_row_locks(connection)
        now = self._now(connection)
        if not take_lease(connection, _LEASE_NAME, self._holder, now, LEASE):
            return 0
        return sum(ended.delete(connection, now) for ended in ENDED)

    def _now(self, connection: Connection) -> datetime:
        """Return the time of the clock that all processes share."""
        return dialect_of(connection).now(connection, self._clock)


@asynccontextmanager
async def delete_ended_rows(
    store: Store, clock: Clock, holder: str, background: Supervisor
) -> AsyncIterator[None]:
    """Meanwhile, what has ended is deleted."""
    task = background.start("housekeeping", Housekeeping(store, clock, holder).tidy_up, EVERY)
    try:
        yield
    finally:
        await task.stop()
