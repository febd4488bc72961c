"""What befalls a whole store that was brought back from a backup, as the domain's port."""

from datetime import datetime

from sqlalchemy import Connection, Table, delete, func, or_, select, text

from app.domain.ports import LiveCredentials
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
# The tables whose `number` the database gives itself.
_NUMBERED = (UserRow.__tablename__, ServerRow.__tablename__, AuditRow.__tablename__)


class RestorationTables:
    """All credentials and all numbers on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def credentials(self, now: datetime) -> LiveCredentials:
        return LiveCredentials(self._live(_SESSIONS, now), self._live(_KEYS, now))

    def _live(self, table: Table, now: datetime) -> int:
        ends = table.c.expires_at
        query = select(func.count()).select_from(table).where(or_(ends.is_(None), ends > now))
        return self._connection.execute(query).scalar_one()

    def end_credentials(self, kid: str) -> None:
        for table in (_SESSIONS, _KEYS):
            self._connection.execute(delete(table))
        self._connection.execute(delete(_SIGNING_KEYS).where(_SIGNING_KEYS.c.kid != kid))

    def skip_numbers(self, count: int) -> None:
        skip = _skip_sqlite if self._connection.dialect.name == "sqlite" else _skip_postgresql
        for table in _NUMBERED:
            skip(self._connection, {"table": table, "count": count})


def _skip_sqlite(connection: Connection, which: dict[str, str | int]) -> None:
    skipped = connection.execute(
        text("UPDATE sqlite_sequence SET seq = seq + :count WHERE name = :table"), which
    )
    # A table that never had a row has no line there.
    if not skipped.rowcount:
        connection.execute(text("INSERT INTO sqlite_sequence VALUES (:table, :count)"), which)


def _skip_postgresql(connection: Connection, which: dict[str, str | int]) -> None:
    sequence = "CAST(pg_get_serial_sequence(:table, 'number') AS regclass)"
    connection.execute(text(f"SELECT setval({sequence}, nextval({sequence}) + :count)"), which)
