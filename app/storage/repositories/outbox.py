"""The outbox's table as the domain's `Outbox`."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from app.domain.outbox import (
    LEASE,
    LEASE_MARGIN,
    RETRY_DELAY_MAX,
    Delivery,
    Depth,
    Json,
    Message,
    OutboxFilter,
    State,
)
from app.storage.dialect import dialect_of
from app.storage.inserts import row_of
from app.storage.leases import is_leased
from app.storage.tables import OutboxRow, metadata
from app.storage.types import Text

_OUTBOX = metadata.tables[OutboxRow.__tablename__]
_COLUMN = _OUTBOX.c
_OTHER = _OUTBOX.alias("other")
_MILLISECOND = timedelta(milliseconds=1)
# Literals, so that the planner can use a partial index.
_WAITING = literal_column(f"'{State.WAITING}'", Text)
_DONE = literal_column(f"'{State.DONE}'", Text)
_ADD = insert(_OUTBOX).inline()
# The number, assigned by the database, and the lease.
_OF_THE_STORE = {"number", "holder", "leased_until"}
_LET_GO: dict[str, Any] = {"holder": None, "leased_until": None}


class OutboxRepository:
    """The outbox on SQL.

    A lease ends by a clock that all processes share: on SQLite, where they are on one machine, its
    time since boot; on PostgreSQL the server's clock, read in the statement that uses it, so that
    it is never before a lease that the statement sees. A lease that ends later than a new one plus
    LEASE_MARGIN is from before a reboot, or before the clock was set back: it has ended. The same
    applies to the delay before a retry.

    A claim and a release are transactions of their own. On PostgreSQL these rely only on the rows
    that they lock: a serializable one, which depends on skipped rows, too, would make others retry.
    So a change of the order of a subject's messages locks out claims.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, delivery: Delivery) -> None:
        self._connection.execute(_ADD, _row(delivery))

    def has_due(self, kinds: Collection[str], now: datetime) -> bool:
        query = _claimable(kinds, now, self._clock())
        return self._connection.execute(query.limit(1)).first() is not None

    def claim(
        self, kinds: Collection[str], now: datetime, holder: str, max_count: int
    ) -> Sequence[Delivery]:
        self._go_by_locks()
        clock = self._clock()
        query = (
            _claimable(kinds, now, clock).order_by(_COLUMN.due_at, _COLUMN.number).limit(max_count)
        )
        # SQLite has no such clause, and needs none: its writes are exclusive.
        found = self._connection.execute(query.with_for_update(of=_OUTBOX, skip_locked=True)).all()
        numbers = [row.number for row in found]
        self._connection.execute(
            update(_OUTBOX)
            .where(_COLUMN.number.in_(numbers))
            .values(
                holder=holder,
                leased_until=clock + LEASE // _MILLISECOND,
                attempts=_COLUMN.attempts + 1,
            )
        )
        claimed = select(_OUTBOX).where(_COLUMN.number.in_(numbers)).order_by(_COLUMN.number)
        return [_delivery(row) for row in self._connection.execute(claimed)]

    def release(self, delivery: Delivery, holder: str) -> bool:
        self._go_by_locks()
        values = {**_row(delivery), **_LET_GO}
        query = update(_OUTBOX).where(_COLUMN.number == delivery.number, _COLUMN.holder == holder)
        return bool(self._connection.execute(query.values(values)).rowcount)

    def find(self, number: int) -> Delivery | None:
        row = self._connection.execute(select(_OUTBOX).where(_COLUMN.number == number)).first()
        return None if row is None else _delivery(row)

    def save(self, delivery: Delivery) -> None:
        dialect_of(self._connection).lock_table(self._connection, _OUTBOX)
        query = update(_OUTBOX).where(_COLUMN.number == delivery.number)
        self._connection.execute(query.values(_row(delivery)))

    def delete(self, number: int) -> bool:
        is_free = ~_held(_OUTBOX, self._clock())
        query = delete(_OUTBOX).where(_COLUMN.number == number, is_free)
        return bool(self._connection.execute(query).rowcount)

    def list_page(self, wanted: OutboxFilter, after: int | None, limit: int) -> Sequence[Delivery]:
        query = select(_OUTBOX)
        if wanted.subject is not None:
            query = query.where(_COLUMN.subject == wanted.subject)
        if wanted.state is not None:
            query = query.where(_COLUMN.state == wanted.state)
        if after is not None:
            query = query.where(_COLUMN.number < bindparam(None, after, type_=_COLUMN.number.type))
        rows = self._connection.execute(query.order_by(_COLUMN.number.desc()).limit(limit))
        return [_delivery(row) for row in rows]

    def depth(self) -> Sequence[Depth]:
        by = (_COLUMN.kind, _COLUMN.state)
        query = select(*by, func.count(), func.min(_COLUMN.created_at))
        rows = self._connection.execute(query.where(_COLUMN.state != _DONE).group_by(*by))
        return [Depth(kind, State(state), count, since) for kind, state, count, since in rows]

    def _go_by_locks(self) -> None:
        dialect_of(self._connection).use_row_locks(self._connection)

    def _clock(self) -> ColumnElement[int]:
        """Return the clock of leases in milliseconds, evaluated by the surrounding statement."""
        return dialect_of(self._connection).lease_clock()


def _claimable(kinds: Collection[str], now: datetime, clock: ColumnElement[int]) -> Select[Any]:
    """Select due messages that are the first of their subject, with none of it claimed."""
    line = (_OTHER.c.subject == _COLUMN.subject, _OTHER.c.kind == _COLUMN.kind)
    is_other = (_OTHER.c.state == _WAITING, _OTHER.c.number != _COLUMN.number)
    is_first = or_(_OTHER.c.number < _COLUMN.number, _held(_OTHER, clock))
    is_kept_back = select(_OTHER.c.number).where(*line, *is_other, is_first).exists()
    return select(_OUTBOX).where(
        _COLUMN.state == _WAITING,
        _COLUMN.kind.in_(sorted(kinds)),
        or_(_COLUMN.due_at <= now, _COLUMN.due_at > now + RETRY_DELAY_MAX),
        ~_held(_OUTBOX, clock),
        ~is_kept_back,
    )


def _held(rows: FromClause, clock: ColumnElement[int]) -> ColumnElement[bool]:
    latest = clock + (LEASE + LEASE_MARGIN) // _MILLISECOND
    return is_leased(func.coalesce(rows.c.leased_until, 0), clock, latest)


def _row(delivery: Delivery) -> dict[str, Any]:
    return row_of(
        _OUTBOX,
        delivery,
        without=_OF_THE_STORE,
        kind=delivery.message.kind,
        subject=delivery.message.subject,
        payload=json.dumps(delivery.message.payload, ensure_ascii=False),
        outcome=_text(delivery.outcome),
    )


def _text(outcome: Json | None) -> str | None:
    return None if outcome is None else json.dumps(outcome, ensure_ascii=False)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        message=Message(row.kind, row.subject, json.loads(row.payload)),
        created_at=row.created_at,
        due_at=row.due_at,
        deadline=row.deadline,
        state=State(row.state),
        attempts=row.attempts,
        ended_at=row.ended_at,
        outcome=None if row.outcome is None else json.loads(row.outcome),
        error=row.error,
        number=row.number,
    )
