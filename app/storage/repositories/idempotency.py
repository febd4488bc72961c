"""Repository of idempotency records."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select, update

from app.domain.idempotency import KEPT_FOR, IdempotencyRecord
from app.storage.inserts import insert_or_replace, row_of
from app.storage.tables import IdempotencyRow, metadata

_RECORDS = metadata.tables[IdempotencyRow.__tablename__]
_COLUMN = _RECORDS.c


class IdempotencyRepository:
    """Records on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, caller: str, key: bytes) -> IdempotencyRecord | None:
        query = select(_RECORDS).where(_COLUMN.caller == caller, _COLUMN.key == key)
        row = self._connection.execute(query).first()
        return None if row is None else IdempotencyRecord(*row)

    def claim(self, record: IdempotencyRecord) -> bool:
        row = row_of(_RECORDS, record)
        return insert_or_replace(self._connection, _RECORDS, row, only_if=_is_over(record.made_at))

    def complete(self, record: IdempotencyRecord) -> None:
        self._connection.execute(
            update(_RECORDS)
            .where(_COLUMN.caller == record.caller, _COLUMN.key == record.key)
            .values(answer=record.answer)
        )


def _is_over(now: datetime) -> ColumnElement[bool]:
    """Return the negation of `IdempotencyRecord.is_kept`."""
    return or_(_COLUMN.made_at <= now - KEPT_FOR, _COLUMN.made_at >= now + KEPT_FOR)
