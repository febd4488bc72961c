"""Sessions, access keys and public signing keys as the domain's ports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, delete, insert, select, update

from app.domain.credentials import AccessKey, Session
from app.domain.ports import PublicKey
from app.domain.users import User
from app.storage.statements import Statement
from app.storage.tables import AccessKeyRow, SessionRow, SigningKeyRow, UserRow, metadata
from app.storage.users import USER_COLUMNS, user_of

_USERS = metadata.tables[UserRow.__tablename__]
_SESSIONS = metadata.tables[SessionRow.__tablename__]
_KEYS = metadata.tables[AccessKeyRow.__tablename__]
_SIGNING_KEYS = metadata.tables[SigningKeyRow.__tablename__]


def _with_owner(table: Table) -> Select[Any]:
    return (
        select(*table.c, *USER_COLUMNS)
        .join(_USERS, _USERS.c.id == table.c.user_id)
        .where(table.c.id == bindparam("key"))
    )


# Made once: making a query costs SQLAlchemy more than running it.
_SESSION_WITH_OWNER = _with_owner(_SESSIONS)
_KEY_WITH_OWNER = _with_owner(_KEYS)
_ADD_SESSION = Statement(insert(_SESSIONS), _SESSIONS.c.keys())
_END_EXPIRED = Statement(
    delete(_SESSIONS).where(
        _SESSIONS.c.user_id == bindparam("of"), _SESSIONS.c.expires_at <= bindparam("now")
    )
)


class SessionTable:
    """Sessions on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: Session) -> None:
        _ADD_SESSION.run(self._connection, _values(_SESSIONS, session))

    def with_owner(self, session_id: str) -> tuple[Session, User] | None:
        row = self._connection.execute(_SESSION_WITH_OWNER, {"key": session_id}).one_or_none()
        return None if row is None else (Session(*row[: len(_SESSIONS.c)]), user_of(row))

    def of(self, user_id: int) -> Sequence[Session]:
        rows = self._connection.execute(
            select(_SESSIONS)
            .where(_SESSIONS.c.user_id == user_id)
            .order_by(_SESSIONS.c.created_at, _SESSIONS.c.id)
        )
        return [Session(*row) for row in rows]

    def refresh(self, session: Session) -> None:
        self._set(session.id, expires_at=session.expires_at)

    def seen(self, session_id: str, at: datetime) -> None:
        self._set(session_id, last_seen_at=at)

    def end(self, user_id: int, *, only: str | None = None, keep: str | None = None) -> int:
        query = delete(_SESSIONS).where(_SESSIONS.c.user_id == user_id)
        if only is not None:
            query = query.where(_SESSIONS.c.id == only)
        if keep is not None:
            query = query.where(_SESSIONS.c.id != keep)
        return self._connection.execute(query).rowcount

    def end_expired(self, user_id: int, now: datetime) -> None:
        _END_EXPIRED.run(self._connection, {"of": user_id, "now": now})

    def _set(self, session_id: str, **values: datetime) -> None:
        self._connection.execute(
            update(_SESSIONS).where(_SESSIONS.c.id == session_id).values(values)
        )


class KeyTable:
    """Access keys on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: AccessKey) -> None:
        self._connection.execute(insert(_KEYS).values(_values(_KEYS, key)))

    def with_owner(self, key_id: str) -> tuple[AccessKey, User] | None:
        row = self._connection.execute(_KEY_WITH_OWNER, {"key": key_id}).one_or_none()
        return None if row is None else (AccessKey(*row[: len(_KEYS.c)]), user_of(row))

    def of(self, user_id: int) -> Sequence[AccessKey]:
        rows = self._connection.execute(
            select(_KEYS).where(_KEYS.c.user_id == user_id).order_by(_KEYS.c.created_at, _KEYS.c.id)
        )
        return [AccessKey(*row) for row in rows]

    def used(self, key_id: str, at: datetime) -> None:
        self._connection.execute(update(_KEYS).where(_KEYS.c.id == key_id).values(last_used_at=at))

    def revoke(self, user_id: int, *, only: str | None = None) -> int:
        query = delete(_KEYS).where(_KEYS.c.user_id == user_id)
        if only is not None:
            query = query.where(_KEYS.c.id == only)
        return self._connection.execute(query).rowcount


class SigningKeyTable:
    """Public signing keys on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, key: PublicKey) -> None:
        self._connection.execute(insert(_SIGNING_KEYS).values(_values(_SIGNING_KEYS, key)))

    def find(self, kid: str) -> PublicKey | None:
        row = self._connection.execute(
            select(_SIGNING_KEYS).where(_SIGNING_KEYS.c.kid == kid)
        ).one_or_none()
        return None if row is None else PublicKey(*row)

    def all(self) -> Sequence[PublicKey]:
        rows = self._connection.execute(
            select(_SIGNING_KEYS).order_by(_SIGNING_KEYS.c.created_at, _SIGNING_KEYS.c.kid)
        )
        return [PublicKey(*row) for row in rows]

    def retire(self, kid: str, at: datetime) -> None:
        self._connection.execute(
            update(_SIGNING_KEYS).where(_SIGNING_KEYS.c.kid == kid).values(retired_at=at)
        )


def _values(table: Table, entity: object) -> dict[str, Any]:
    """The columns' values: the entity's members have their names."""
    return {column.name: getattr(entity, column.name) for column in table.c}
