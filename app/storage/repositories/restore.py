"""Repository of a restore: changes to all credentials and numbers."""

from datetime import datetime

from sqlalchemy import Connection, Table, delete, func, or_, select

from app.domain.ports import LiveCredentials
from app.storage.dialect import dialect_of
from app.storage.tables import (
    AccessKeyRow,
    AuditRow,
    ServerRow,
    SessionRow,
    SigningKeyRow,
    UserRow,
    metadata,
)

_SESSIONS = metadata.tables[SessionRow.__tablename__]
_KEYS = metadata.tables[AccessKeyRow.__tablename__]
_SIGNING_KEYS = metadata.tables[SigningKeyRow.__tablename__]
# The tables whose `number` the database assigns.
_NUMBERED = (UserRow.__tablename__, ServerRow.__tablename__, AuditRow.__tablename__)


class RestoreRepository:
    """All credentials and all numbers on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count_credentials(self, now: datetime) -> LiveCredentials:
        return LiveCredentials(self._live(_SESSIONS, now), self._live(_KEYS, now))

    def _live(self, table: Table, now: datetime) -> int:
        ends = table.c.expires_at
        query = select(func.count()).select_from(table).where(or_(ends.is_(None), ends > now))
        return self._connection.execute(query).scalar_one()

    def end_credentials(self, kid: str | None) -> None:
        for table in (_SESSIONS, _KEYS):
            self._connection.execute(delete(table))
        self._connection.execute(
            delete(_SIGNING_KEYS).where(_SIGNING_KEYS.c.kid.is_distinct_from(kid))
        )

    def skip_numbers(self, count: int) -> None:
        dialect = dialect_of(self._connection)
        for table in _NUMBERED:
            dialect.skip_numbers(self._connection, table, count)
