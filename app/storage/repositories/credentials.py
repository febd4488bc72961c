"""Sessions, access keys and public signing keys as the domain's ports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from app.domain.credentials import AccessKey, Session
from app.domain.signing_keys import PublicKey
from app.domain.users import User
from app.storage.compiled import CompiledStatement
from app.storage.dialect import Rows
from app.storage.inserts import row_of
from app.storage.repositories.users import USER_COLUMNS, user_of
from app.storage.tables import AccessKeyRow, SessionRow, SigningKeyRow, UserRow, metadata

_USERS = metadata.tables[UserRow.__tablename__]
_SESSIONS = metadata.tables[SessionRow.__tablename__]
_KEYS = metadata.tables[AccessKeyRow.__tablename__]
_SIGNING_KEYS = metadata.tables[SigningKeyRow.__tablename__]


def _with_owner(table: Table) -> Select[Any]:
    return select(*table.c, *USER_COLUMNS).join(_USERS, _USERS.c.id == table.c.user_id)


# Each begins with the id of the credential.
SESSION_WITH_OWNER = _with_owner(_SESSIONS)
KEY_WITH_OWNER = _with_owner(_KEYS)
_FIND_SESSION = CompiledStatement(SESSION_WITH_OWNER.where(_SESSIONS.c.id == bindparam("key")))
_FIND_KEY = CompiledStatement(KEY_WITH_OWNER.where(_KEYS.c.id == bindparam("key")))


def _set(table: Table, column: str) -> CompiledStatement:
    return CompiledStatement(update(table).where(table.c.id == bindparam("key")), [column])


_SAVE_EXPIRY = _set(_SESSIONS, "expires_at")
_SET_LAST_SEEN = _set(_SESSIONS, "last_seen_at")
_SET_LAST_USED = _set(_KEYS, "last_used_at")
_ADD_SESSION = CompiledStatement(insert(_SESSIONS), _SESSIONS.c.keys())
_END_EXPIRED = CompiledStatement(
    delete(_SESSIONS).where(
        _SESSIONS.c.user_id == bindparam("of"), _SESSIONS.c.expires_at <= bindparam("now")
    )
)


_OLDEST = CompiledStatement(
    select(_SESSIONS.c.id)
    .where(_SESSIONS.c.user_id == bindparam("of"), _SESSIONS.c.id != bindparam("keep"))
    .order_by(_SESSIONS.c.created_at.desc(), _SESSIONS.c.id.desc())
    .offset(bindparam("others", type_=Integer))
)


def session_of(rows: Rows) -> tuple[Session, User] | None:
    """Return what rows of SESSION_WITH_OWNER have, if there is one."""
    return (Session(*rows[0][: len(_SESSIONS.c)]), user_of(rows[0])) if rows else None


def key_of(rows: Rows) -> tuple[AccessKey, User] | None:
    """Return what rows of KEY_WITH_OWNER have, if there is one."""
    return (AccessKey(*rows[0][: len(_KEYS.c)]), user_of(rows[0])) if rows else None


class SessionRepository:
    """Sessions on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, session: Session) -> None:
        _ADD_SESSION.run(self._connection, row_of(_SESSIONS, session))

    def get_with_owner(self, session_id: str) -> tuple[Session, User] | None:
        return session_of(_FIND_SESSION.all(self._connection, {"key": session_id}))

    def list_for_user(self, user_id: int) -> Sequence[Session]:
        rows = self._connection.execute(
            select(_SESSIONS)
            .where(_SESSIONS.c.user_id == user_id)
            .order_by(_SESSIONS.c.created_at, _SESSIONS.c.id)
        )
        return [Session(*row) for row in rows]

    def save_expiry(self, session: Session) -> None:
        _SAVE_EXPIRY.run(self._connection, {"key": session.id, "expires_at": session.expires_at})

    def set_last_seen(self, session_id: str, at: datetime) -> None:
        _SET_LAST_SEEN.run(self._connection, {"key": session_id, "last_seen_at": at})

    def end_for_user(
        self, user_id: int, *, only: str | None = None, keep: str | None = None
    ) -> int:
        query = delete(_SESSIONS).where(_SESSIONS.c.user_id == user_id)
        if only is not None:
            query = query.where(_SESSIONS.c.id == only)
        if keep is not None:
            query = query.where(_SESSIONS.c.id != keep)
        return self._connection.execute(query).rowcount

    def end_expired(self, user_id: int, now: datetime) -> None:
        _END_EXPIRED.run(self._connection, {"of": user_id, "now": now})

    def end_oldest(self, user_id: int, *, max_count: int, keep: str) -> Sequence[str]:
        values = {"of": user_id, "keep": keep, "others": max_count - 1}
        ended = [row[0] for row in _OLDEST.all(self._connection, values)]
        if ended:
            self._connection.execute(delete(_SESSIONS).where(_SESSIONS.c.id.in_(ended)))
        return ended


class AccessKeyRepository:
    """Access keys on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: AccessKey) -> None:
        self._connection.execute(insert(_KEYS).values(row_of(_KEYS, key)))

    def get_with_owner(self, key_id: str) -> tuple[AccessKey, User] | None:
        return key_of(_FIND_KEY.all(self._connection, {"key": key_id}))

    def list_for_user(self, user_id: int) -> Sequence[AccessKey]:
        rows = self._connection.execute(
            select(_KEYS).where(_KEYS.c.user_id == user_id).order_by(_KEYS.c.created_at, _KEYS.c.id)
        )
        return [AccessKey(*row) for row in rows]

    def count_for_user(self, user_id: int) -> int:
        counted = select(func.count()).select_from(_KEYS).where(_KEYS.c.user_id == user_id)
        return self._connection.scalar(counted) or 0

    def set_last_used(self, key_id: str, at: datetime) -> None:
        _SET_LAST_USED.run(self._connection, {"key": key_id, "last_used_at": at})

    def revoke_for_user(self, user_id: int, *, only: str | None = None) -> int:
        query = delete(_KEYS).where(_KEYS.c.user_id == user_id)
        if only is not None:
            query = query.where(_KEYS.c.id == only)
        return self._connection.execute(query).rowcount


class SigningKeyRepository:
    """Public signing keys on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, key: PublicKey) -> None:
        self._connection.execute(insert(_SIGNING_KEYS).values(row_of(_SIGNING_KEYS, key)))

    def find(self, kid: str) -> PublicKey | None:
        row = self._connection.execute(
            select(_SIGNING_KEYS).where(_SIGNING_KEYS.c.kid == kid)
        ).one_or_none()
        return None if row is None else PublicKey(*row)

    def list_all(self) -> Sequence[PublicKey]:
        rows = self._connection.execute(
            select(_SIGNING_KEYS).order_by(_SIGNING_KEYS.c.created_at, _SIGNING_KEYS.c.kid)
        )
        return [PublicKey(*row) for row in rows]

    def retire(self, kid: str, at: datetime) -> None:
        self._connection.execute(
            update(_SIGNING_KEYS).where(_SIGNING_KEYS.c.kid == kid).values(retired_at=at)
        )

    def renew(self, key: PublicKey) -> None:
        self._connection.execute(
            update(_SIGNING_KEYS)
            .where(_SIGNING_KEYS.c.kid == key.kid)
            .values(signs_from=key.signs_from, renewed_at=key.renewed_at)
        )
