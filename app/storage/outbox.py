"""The outbox's table as the domain's `Outbox`."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from time import monotonic
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
    text,
    update,
)

from app.domain.outbox import LEASE, PAUSE_MAX, Delivery, Depth, Json, Message, OutboxFilter, State
from app.storage.tables import OutboxRow, metadata
from app.storage.types import Text

_OUTBOX = metadata.tables[OutboxRow.__tablename__]
_COLUMN = _OUTBOX.c
_OTHER = _OUTBOX.alias("other")
_MILLISECOND = timedelta(milliseconds=1)
# Written out: no planner takes an index over some of the rows for a value that it does not know.
_WAITING = literal_column(f"'{State.WAITING}'", Text)
_DONE = literal_column(f"'{State.DONE}'", Text)
_ADD = insert(_OUTBOX).inline()
_LET_GO: dict[str, Any] = {"holder": None, "leased_until": None}


class OutboxTable:
    """The outbox on SQL.

    A lease ends by a clock that nobody sets while it runs: on SQLite, whose processes share one
    machine, that machine's monotonic clock (the same in all of them); on PostgreSQL the server's
    own. One that would end later than any that was given now is from before the machine started
    anew, or the clock was set back: it has ended. The same holds of a pause.

    To claim and to settle each take a transaction to themselves. On PostgreSQL it goes by the rows
    that it locks alone: a serializable one, which depends on what it passes over, would make others
    begin again. So what changes the order of a line locks out whoever claims.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, delivery: Delivery) -> None:
        self._connection.execute(_ADD, _values(delivery))

    def is_due(self, kinds: Collection[str], now: datetime) -> bool:
        query = _claimable(kinds, now, self._lease_clock())
        return self._connection.execute(query.limit(1)).first() is not None

    def claim(
        self, kinds: Collection[str], now: datetime, holder: str, most: int
    ) -> Sequence[Delivery]:
        self._go_by_locks()
        clock = self._lease_clock()
        query = _claimable(kinds, now, clock).order_by(_COLUMN.due_at, _COLUMN.number).limit(most)
        # SQLite has no such clause, and needs none: there every write is alone.
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

    def settle(self, delivery: Delivery, holder: str) -> bool:
        self._go_by_locks()
        values = {**_values(delivery), **_LET_GO}
        query = update(_OUTBOX).where(_COLUMN.number == delivery.number, _COLUMN.holder == holder)
        return bool(self._connection.execute(query.values(values)).rowcount)

    def find(self, number: int) -> Delivery | None:
        row = self._connection.execute(select(_OUTBOX).where(_COLUMN.number == number)).first()
        return None if row is None else _delivery(row)

    def save(self, delivery: Delivery) -> None:
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text("LOCK TABLE outbox IN EXCLUSIVE MODE"))
        query = update(_OUTBOX).where(_COLUMN.number == delivery.number)
        self._connection.execute(query.values(_values(delivery)))

    def drop(self, number: int) -> bool:
        is_free = ~_held(_OUTBOX, self._lease_clock())
        query = delete(_OUTBOX).where(_COLUMN.number == number, is_free)
        return bool(self._connection.execute(query).rowcount)

    def forget(self, before: datetime) -> None:
        self._connection.execute(
            delete(_OUTBOX).where(_COLUMN.state == _DONE, _COLUMN.ended_at < before)
        )

    def page(self, wanted: OutboxFilter, after: int | None, limit: int) -> Sequence[Delivery]:
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
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))

    def _lease_clock(self) -> int:
        """Milliseconds of the clock by which leases end."""
        if self._connection.dialect.name != "postgresql":
            return int(monotonic() * 1000)
        now: datetime = self._connection.execute(select(func.clock_timestamp())).scalar_one()
        return int(now.timestamp() * 1000)


def _claimable(kinds: Collection[str], now: datetime, clock: int) -> Select[Any]:
    """The messages that are due, at the head of their lines and with no other of those held."""
    line = (_OTHER.c.subject == _COLUMN.subject, _OTHER.c.kind == _COLUMN.kind)
    is_other = (_OTHER.c.state == _WAITING, _OTHER.c.number != _COLUMN.number)
    is_first = or_(_OTHER.c.number < _COLUMN.number, _held(_OTHER, clock))
    is_kept_back = select(_OTHER.c.number).where(*line, *is_other, is_first).exists()
    return select(_OUTBOX).where(
        _COLUMN.state == _WAITING,
        _COLUMN.kind.in_(sorted(kinds)),
        or_(_COLUMN.due_at <= now, _COLUMN.due_at > now + PAUSE_MAX),
        ~_held(_OUTBOX, clock),
        ~is_kept_back,
    )


def _held(rows: FromClause, clock: int) -> ColumnElement[bool]:
    until = func.coalesce(rows.c.leased_until, 0)
    return until.between(clock + 1, clock + LEASE // _MILLISECOND)


def _values(delivery: Delivery) -> dict[str, Any]:
    return {
        "kind": delivery.message.kind,
        "subject": delivery.message.subject,
        "payload": json.dumps(delivery.message.payload, ensure_ascii=False),
        "created_at": delivery.created_at,
        "due_at": delivery.due_at,
        "deadline": delivery.deadline,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "ended_at": delivery.ended_at,
        "outcome": _text(delivery.outcome),
        "error": delivery.error,
    }


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
