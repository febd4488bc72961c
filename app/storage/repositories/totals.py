"""Repository of totals: numbers of accounts and credentials, for monitoring."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select, text

from app.domain.ports.repositories import AccountTotals, LiveCredentials
from app.domain.rate_limits import (
    FAILURES_BEFORE_LOCK,
    LOCK_MAX,
    UNFAMILIAR_PLACES,
    lock_durations,
)
from app.storage.tables import AccessKeyRow, AttemptsRow, SessionRow, UserRow, metadata

_USERS = metadata.tables[UserRow.__tablename__]
_SESSIONS = metadata.tables[SessionRow.__tablename__]
_KEYS = metadata.tables[AccessKeyRow.__tablename__]
_ATTEMPTS = metadata.tables[AttemptsRow.__tablename__]
# As text: a partial index is used only for the condition that it was made with.
_IS_LOCKING = text(f"{_ATTEMPTS.name}.failures >= {FAILURES_BEFORE_LOCK}")


class TotalsRepository:
    """Totals on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count_accounts(self, now: datetime) -> AccountTotals:
        everyone = self._count(_USERS)
        disabled = self._count(_USERS, _USERS.c.disabled.is_(True))
        admins = self._count(_USERS, _USERS.c.admin.is_(True), _USERS.c.disabled.is_(False))
        return AccountTotals(everyone - disabled, disabled, admins, self._count_locked(now))

    def _count_locked(self, now: datetime) -> int:
        """Count as `last_lock_end` of the domain decides, in one query."""
        column = _ATTEMPTS.c
        *steps, (most, longest) = lock_durations()
        is_locked = or_(
            and_(column.failures >= most, column.failed_at > now - longest),
            *(
                and_(column.failures == failures, column.failed_at > now - duration)
                for failures, duration in steps
            ),
        )
        query = select(func.count(column.subject.distinct())).where(
            _IS_LOCKING,
            column.failed_at > now - LOCK_MAX,
            is_locked,
            or_(column.place == UNFAMILIAR_PLACES, column.familiar_until > now),
            # Negative ones are unknown names.
            column.subject >= 0,
        )
        return self._connection.execute(query).scalar_one()

    def count_credentials(self, now: datetime) -> LiveCredentials:
        keys = or_(_KEYS.c.expires_at.is_(None), _KEYS.c.expires_at > now)
        return LiveCredentials(
            self._count(_SESSIONS, _SESSIONS.c.expires_at > now), self._count(_KEYS, keys)
        )

    def _count(self, table: Table, *conditions: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(table).where(*conditions)
        return self._connection.execute(query).scalar_one()
