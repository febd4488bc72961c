"""Attempts at passwords as the domain's `PasswordAttempts`."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from app.domain.throttling import Attempts
from app.storage.inserts import insert_or_replace
from app.storage.tables import AttemptsRow, metadata

_ATTEMPTS = metadata.tables[AttemptsRow.__tablename__]
_COLUMN = _ATTEMPTS.c
# Made once: making a query costs SQLAlchemy more than running it.
_OF = select(_ATTEMPTS).where(
    _COLUMN.subject == bindparam("of"), _COLUMN.place.in_(bindparam("places", expanding=True))
)
_CLEAR = delete(_ATTEMPTS).where(
    _COLUMN.subject == bindparam("of"),
    or_(_COLUMN.place == bindparam("at"), _COLUMN.familiar_until <= bindparam("now")),
)


class AttemptsTable:
    """Attempts on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, subject: int, *places: str) -> Sequence[Attempts]:
        rows = self._connection.execute(_OF, {"of": subject, "places": places})
        return [Attempts(*row) for row in rows]

    def put(self, attempts: Attempts) -> None:
        row = {column.name: getattr(attempts, column.name) for column in _COLUMN}
        insert_or_replace(self._connection, _ATTEMPTS, row)

    def clear(self, subject: int, place: str, now: datetime) -> None:
        self._connection.execute(_CLEAR, {"of": subject, "at": place, "now": now})

    def forgive(self, subject: int) -> bool:
        found = self._connection.execute(
            update(_ATTEMPTS)
            .where(_COLUMN.subject == subject, _COLUMN.failures > 0)
            .values(failures=0, failed_at=None)
        )
        return found.rowcount > 0
