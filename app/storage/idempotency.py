"""Answers to requests that may come again, as the domain's `IdempotencyRecords`."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, or_, select, tuple_, update

from app.domain.idempotency import KEPT_FOR, RECORDS_PER_CALLER, IdempotencyRecord
from app.storage.inserts import insert_or_replace
from app.storage.tables import IdempotencyRow, metadata

_RECORDS = metadata.tables[IdempotencyRow.__tablename__]
_COLUMN = _RECORDS.c
_KEY = (_COLUMN.caller, _COLUMN.key)
# Many more than come in between, and few enough to hold nobody up.
SWEPT_AT_ONCE = 1000


class IdempotencyTable:
    """Records on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, caller: str, key: bytes) -> IdempotencyRecord | None:
        query = select(_RECORDS).where(_COLUMN.caller == caller, _COLUMN.key == key)
        row = self._connection.execute(query).first()
        return None if row is None else IdempotencyRecord(*row)

    def claim(self, record: IdempotencyRecord) -> bool:
        row = {column.name: getattr(record, column.name) for column in _COLUMN}
        return insert_or_replace(self._connection, _RECORDS, row, only_if=_is_over(record.made_at))

    def complete(self, record: IdempotencyRecord) -> None:
        self._connection.execute(
            update(_RECORDS)
            .where(_COLUMN.caller == record.caller, _COLUMN.key == record.key)
            .values(answer=record.answer)
        )

    def sweep(self, caller: str, now: datetime) -> None:
        self._delete(select(*_KEY).where(_is_over(now)))
        newest_first = (_COLUMN.made_at.desc(), _COLUMN.key)
        own = select(*_KEY).where(_COLUMN.caller == caller).order_by(*newest_first)
        self._delete(own.offset(RECORDS_PER_CALLER))

    def _delete(self, which: Select[Any]) -> None:
        some = which.limit(SWEPT_AT_ONCE)
        self._connection.execute(delete(_RECORDS).where(tuple_(*_KEY).in_(some)))


def _is_over(now: datetime) -> ColumnElement[bool]:
    """What `IdempotencyRecord.is_kept` denies."""
    return or_(_COLUMN.made_at <= now - KEPT_FOR, _COLUMN.made_at >= now + KEPT_FOR)
