"""Attempts at passwords as the domain's `PasswordAttempts`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import (
    Connection,
    Integer,
    bindparam,
    delete,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from app.domain.rate_limits import FAILURES_BEFORE_LOCK, LoginAttempts
from app.storage.compiled import CompiledStatement
from app.storage.inserts import insert_or_replace, row_of
from app.storage.tables import AttemptsRow, UserRow, metadata
from app.storage.types import Text

_ATTEMPTS = metadata.tables[AttemptsRow.__tablename__]
_COLUMN = _ATTEMPTS.c
_CLEAR = CompiledStatement(
    delete(_ATTEMPTS).where(
        _COLUMN.subject == bindparam("of"),
        or_(_COLUMN.place == bindparam("at"), _COLUMN.familiar_until <= bindparam("now")),
    )
)
_USERS = metadata.tables[UserRow.__tablename__]
# As text: a partial index is used only for the condition that it was made with.
_IS_LOCKING = text(f"{_ATTEMPTS.name}.failures >= {FAILURES_BEFORE_LOCK}")
_ANY_LOCKING = CompiledStatement(
    select(literal(1))
    .where(_IS_LOCKING, _COLUMN.failed_at > bindparam("since"))
    .limit(literal_column("1"))
)
_PLACES = _ATTEMPTS.alias("places")
_FORGET_OLDEST = CompiledStatement(
    delete(_ATTEMPTS).where(
        _COLUMN.subject == bindparam("of"),
        _COLUMN.place.in_(
            select(_PLACES.c.place)
            .where(
                _PLACES.c.subject == bindparam("of"),
                _PLACES.c.place != bindparam("at"),
                _PLACES.c.familiar_until.is_not(None),
            )
            .order_by(_PLACES.c.familiar_until.desc(), _PLACES.c.place)
            .offset(bindparam("others", type_=Integer))
        ),
    )
)


@cache
def _at(places: int) -> CompiledStatement:
    """Return the statement that selects the attempts at so many places."""
    wanted = [bindparam(f"place{n}", type_=Text) for n in range(places)]
    return CompiledStatement(
        select(_ATTEMPTS).where(_COLUMN.subject == bindparam("of"), _COLUMN.place.in_(wanted))
    )


class LoginAttemptRepository:
    """Attempts on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_for_subject(self, subject: int, *places: str) -> Sequence[LoginAttempts]:
        values = {"of": subject, **{f"place{n}": place for n, place in enumerate(places)}}
        return [LoginAttempts(*row) for row in _at(len(places)).all(self._connection, values)]

    def list_failed(self, subject: int) -> Sequence[LoginAttempts]:
        failed = (
            select(_ATTEMPTS)
            .where(_COLUMN.subject == subject, _COLUMN.failures > 0)
            .order_by(_COLUMN.failed_at.desc(), _COLUMN.place)
        )
        return [LoginAttempts(*row) for row in self._connection.execute(failed)]

    def list_locking(
        self, uuids: Iterable[str], since: datetime
    ) -> Mapping[str, Sequence[LoginAttempts]]:
        found = defaultdict[str, list[LoginAttempts]](list)
        # Nearly always none, which this finds without the accounts.
        if _ANY_LOCKING.first(self._connection, {"since": since}):
            locking = (
                select(_USERS.c.uuid, *_COLUMN)
                .join(_USERS, _USERS.c.id == _COLUMN.subject)
                .where(_IS_LOCKING, _COLUMN.failed_at > since, _USERS.c.uuid.in_(list(uuids)))
            )
            for uuid, *attempts in self._connection.execute(locking):
                found[uuid].append(LoginAttempts(*attempts))
        return found

    def save(self, attempts: LoginAttempts) -> None:
        insert_or_replace(self._connection, _ATTEMPTS, row_of(_ATTEMPTS, attempts))

    def clear(self, subject: int, place: str, now: datetime) -> None:
        _CLEAR.run(self._connection, {"of": subject, "at": place, "now": now})

    def delete_oldest(self, subject: int, *, max_count: int, keep: str) -> None:
        values = {"of": subject, "at": keep, "others": max_count - 1}
        _FORGET_OLDEST.run(self._connection, values)

    def reset(self, subject: int) -> bool:
        found = self._connection.execute(
            update(_ATTEMPTS)
            .where(_COLUMN.subject == subject, _COLUMN.failures > 0)
            .values(failures=0, failed_at=None)
        )
        return found.rowcount > 0
