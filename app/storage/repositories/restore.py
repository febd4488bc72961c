"""Repository of a restore: changes to all credentials and numbers."""

from sqlalchemy import Connection, delete

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
