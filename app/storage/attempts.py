"""Attempts at passwords as the domain's `PasswordAttempts`."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from app.domain.throttling import Attempts
from app.storage.inserts import insert_or_replace
from app.storage.statements import Statement
from app.storage.tables import AttemptsRow, metadata
from app.storage.types import Text

_ATTEMPTS = metadata.tables[AttemptsRow.__tablename__]
_COLUMN = _ATTEMPTS.c
_CLEAR = Statement(
    delete(_ATTEMPTS).where(
        _COLUMN.subject == bindparam("of"),
        or_(_COLUMN.place == bindparam("at"), _COLUMN.familiar_until <= bindparam("now")),
    )
)


@cache
def _at(places: int) -> Statement:
    """What is counted at so many places."""
    wanted = [bindparam(f"place{n}", type_=Text) for n in range(places)]
    return Statement(
        select(_ATTEMPTS).where(_COLUMN.subject == bindparam("of"), _COLUMN.place.in_(wanted))
    )


class AttemptsTable:
    """Attempts on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, subject: int, *places: str) -> Sequence[Attempts]:
        values = {"of": subject, **{f"place{n}": place for n, place in enumerate(places)}}
        return [Attempts(*row) for row in _at(len(places)).all(self._connection, values)]

    def put(self, attempts: Attempts) -> None:
        row = {column.name: getattr(attempts, column.name) for column in _COLUMN}
        insert_or_replace(self._connection, _ATTEMPTS, row)

    def clear(self, subject: int, place: str, now: datetime) -> None:
        _CLEAR.run(self._connection, {"of": subject, "at": place, "now": now})

    def forgive(self, subject: int) -> bool:
        found = self._connection.execute(
            update(_ATTEMPTS)
            .where(_COLUMN.subject == subject, _COLUMN.failures > 0)
            .values(failures=0, failed_at=None)
        )
        return found.rowcount > 0
