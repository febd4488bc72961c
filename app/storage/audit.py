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
from app.storage.statements import Statement
from app.storage.tables import AuditRow, metadata

_AUDIT = metadata.tables[AuditRow.__tablename__]
_COLUMN = _AUDIT.c
# Inline: nobody asks for the number that a row gets.
_ADD = Statement(
    insert(_AUDIT).inline(), [column.name for column in _COLUMN if column is not _COLUMN.number]
)


class AuditTable:
    """The trail on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entry: Entry) -> None:
        target, credential = entry.target, entry.credential
        values = {
            "at": entry.at,
            "actor": entry.actor,
            "action": entry.action,
            "outcome": entry.outcome,
            "target_kind": None if target is None else target.kind,
            "target_id": None if target is None else target.id,
            "changes": json.dumps(entry.changes, ensure_ascii=False),
            "door": entry.door,
            "address": entry.address,
            "request_id": entry.request_id,
            "credential_kind": None if credential is None else credential.kind,
            "credential_id": None if credential is None else credential.id,
        }
        _ADD.run(self._connection, values)

    def page(self, wanted: EntryFilter, after: Position | None, limit: int) -> Sequence[Entry]:
        query = select(_AUDIT).where(*_conditions(wanted))
        if after is not None:
            start = (after.value, after.number)
            values = [bindparam(None, number, type_=BigInteger) for number in start]
            query = query.where(tuple_(_COLUMN.at, _COLUMN.number) < tuple_(*values))
        query = query.order_by(_COLUMN.at.desc(), _COLUMN.number.desc()).limit(limit)
        return [_entry(row) for row in self._connection.execute(query)]


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
    return None if kind is None or id is None else Ref(RefKind(kind), id)


def _changes(text: str) -> Changes:
    changes = json.loads(text)
    return {name: None if pair is None else (pair[0], pair[1]) for name, pair in changes.items()}
