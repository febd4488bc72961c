"""The accounts' table as the domain's `Users`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.domain.errors import EmailTaken, UsernameTaken
from app.domain.json_rows import RowShape
from app.domain.names import email_key
from app.domain.presence import Presence
from app.domain.users import (
    AccountRef,
    Position,
    Sort,
    User,
    UserFilter,
)
from app.storage.compiled import CompiledStatement
from app.storage.constraints import broken_constraint
from app.storage.inserts import row_of
from app.storage.repositories import user_pages
from app.storage.tables import UserRow, metadata

_USERS = metadata.tables[UserRow.__tablename__]
_COLUMN = _USERS.c
USER_COLUMNS = tuple(column for column in _COLUMN if column is not _COLUMN.email_key)
_BY = {
    column.name: CompiledStatement(select(*USER_COLUMNS).where(column == bindparam("key")))
    for column in (_COLUMN.id, _COLUMN.uuid, _COLUMN.username, _COLUMN.email_key)
}
# The database gives a row its number; an update leaves the three names as they are.
_NUMBER = {"number"}
_NAMES = {"number", "id", "uuid"}
# Inline: nothing asks for the number that a row gets.
_ADD = CompiledStatement(
    insert(_USERS).inline(), [column.name for column in _COLUMN if column.name not in _NUMBER]
)
_SAVE = CompiledStatement(
    update(_USERS).where(_COLUMN.id == bindparam("of")),
    [column.name for column in _COLUMN if column.name not in _NAMES],
)
# To set an indexed column, SQLite writes its index, even where the value stays.
_SET_PRESENCE = CompiledStatement(
    update(_USERS).where(_COLUMN.id == bindparam("of")), [_COLUMN.presence.name]
)


def user_of(row: Sequence[Any]) -> User:
    """The account in the last columns of `row`, selected as USER_COLUMNS."""
    return User(*row[-len(USER_COLUMNS) :])


class UserRepository:
    """Accounts on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, ref: AccountRef) -> User | None:
        return self._one(*ref.key)

    def find_many(self, refs: Collection[AccountRef]) -> Mapping[AccountRef, User]:
        keys = [ref.key for ref in refs]
        columns = {column for column, _ in keys}
        if not columns:
            return {}
        conditions = (
            _COLUMN[column].in_([key for name, key in keys if name == column])
            for column in sorted(columns)
        )
        rows = self._connection.execute(select(*USER_COLUMNS).where(or_(*conditions)))
        users = [user_of(row) for row in rows]
        found = {(column, getattr(user, column)): user for user in users for column in columns}
        return {ref: found[ref.key] for ref in refs if ref.key in found}

    def get_by_username(self, username: str) -> User | None:
        return self._one("username", username)

    def get_by_email_key(self, email_key: str) -> User | None:
        return self._one("email_key", email_key)

    def add(self, user: User) -> User:
        with _refusals(user.username, user.email):
            _ADD.run(self._connection, _row(user, without=_NUMBER))
        added = self.find(AccountRef(id=user.id))
        assert added is not None
        return added

    def save(self, user: User) -> None:
        values = _row(user, without=_NAMES)
        with _refusals(user.username, user.email):
            _SAVE.run(self._connection, {"of": user.id, **values})

    def set_presence(self, user_id: int, presence: Presence) -> None:
        _SET_PRESENCE.run(self._connection, {"of": user_id, "presence": presence})

    def newest_id(self) -> int:
        return self._connection.scalar(select(func.max(_COLUMN.id))) or 0

    def has_other_active_admin(self, user_id: int) -> bool:
        others = exists().where(
            _COLUMN.admin.is_(True), _COLUMN.disabled.is_(False), _COLUMN.id != user_id
        )
        return bool(self._connection.scalar(select(others)))

    def list_page(
        self, wanted: UserFilter, sort: Sort, after: Position | None, limit: int, shape: RowShape
    ) -> Sequence[str]:
        return user_pages.page(self._connection, wanted, sort, after, limit, shape)

    def count(self, wanted: UserFilter) -> int:
        return user_pages.count(self._connection, wanted)

    def _one(self, column: str, key: object) -> User | None:
        row = _BY[column].first(self._connection, {"key": key})
        return None if row is None else user_of(row)


def _row(user: User, *, without: Collection[str]) -> dict[str, Any]:
    return row_of(_USERS, user, without=without, email_key=email_key(user.email or ""))


@contextmanager
def _refusals(username: str, email: str | None) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        match broken_constraint(error):
            case "uq_users_username":
                raise UsernameTaken(username) from error
            case "uq_users_email_key":
                raise EmailTaken(email or "") from error
            case _:
                raise
