"""The audit trail's table as the domain's `Audit`; triggers refuse to change or delete its rows."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    insert,
    select,
    tuple_,
)

from app.domain.audit import Changes, Door, Entry, EntryFilter, Ref, RefKind
from app.domain.users import Position
from app.storage.compiled import CompiledStatement
from app.storage.dialect import dialect_of
from app.storage.inserts import row_of
from app.storage.tables import AuditRow, metadata

_AUDIT = metadata.tables[AuditRow.__tablename__]
_COLUMN = _AUDIT.c
_NUMBER = {"number"}
# Inline: the number of the new row is not needed.
_ADD = CompiledStatement(
    insert(_AUDIT).inline(), [column.name for column in _COLUMN if column.name not in _NUMBER]
)


class AuditRepository:
    """The trail on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entry: Entry) -> None:
        target, credential = entry.target, entry.credential
        row = row_of(
            _AUDIT,
            entry,
            without=_NUMBER,
            target_kind=None if target is None else target.kind,
            target_id=None if target is None else target.id,
            changes=json.dumps(entry.changes, ensure_ascii=False),
            credential_kind=None if credential is None else credential.kind,
            credential_id=None if credential is None else credential.id,
        )
        _ADD.run(self._connection, row)

    def list_page(self, wanted: EntryFilter, after: Position | None, limit: int) -> Sequence[Entry]:
        query = select(_AUDIT).where(*_conditions(wanted))
        if after is not None:
            start = (after.value, after.number)
            values = [bindparam(None, number, type_=BigInteger) for number in start]
            query = query.where(tuple_(_COLUMN.at, _COLUMN.number) < tuple_(*values))
        query = query.order_by(_COLUMN.at.desc(), _COLUMN.number.desc()).limit(limit)
        return [_entry(row) for row in self._connection.execute(query)]

    def get_complete_up_to(self) -> int:
        return dialect_of(self._connection).complete_up_to(self._connection, _AUDIT)

    def list_after(
        self, wanted: EntryFilter, after: int, up_to: int, limit: int
    ) -> Sequence[Entry]:
        bounds = [bindparam(None, number, type_=BigInteger) for number in (after, up_to)]
        query = select(_AUDIT).where(
            _COLUMN.number > bounds[0], _COLUMN.number <= bounds[1], *_conditions(wanted)
        )
        rows = self._connection.execute(query.order_by(_COLUMN.number).limit(limit))
        return [_entry(row) for row in rows]


def _conditions(wanted: EntryFilter) -> Iterator[ColumnElement[bool]]:
    for name in ("actor", "action", "outcome"):
        if (value := getattr(wanted, name)) is not None:
            yield _COLUMN[name] == value
    if wanted.target:
        yield _COLUMN.target_id.in_(wanted.target)
    if wanted.since is not None:
        yield _COLUMN.at >= wanted.since
    if wanted.until is not None:
        yield _COLUMN.at < wanted.until


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        at=row.at,
        actor=row.actor,
        action=row.action,
        outcome=row.outcome,
        target=_ref(row.target_kind, row.target_id),
        changes=_changes(row.changes),
        door=Door(row.door),
        address=row.address,
        request_id=row.request_id,
        credential=_ref(row.credential_kind, row.credential_id),
        number=row.number,
    )


def _ref(kind: str | None, id: str | None) -> Ref | None:
    match kind, id:
        case str(), str():
            return Ref(RefKind(kind), id)
    return None


def _changes(text: str) -> Changes:
    changes = json.loads(text)
    return {name: None if pair is None else (pair[0], pair[1]) for name, pair in changes.items()}
