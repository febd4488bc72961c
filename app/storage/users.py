"""The accounts' table as the domain's `Users`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.domain.errors import EmailTaken, UsernameTaken
from app.domain.names import email_key
from app.domain.shapes import Shape
from app.domain.users import (
    AccountRef,
    NewUser,
    Position,
    Sort,
    User,
    UserFilter,
)
from app.storage import pages
from app.storage.constraints import broken_constraint
from app.storage.statements import Statement
from app.storage.tables import UserRow, metadata

_USERS = metadata.tables[UserRow.__tablename__]
_COLUMN = _USERS.c
USER_COLUMNS = tuple(column for column in _COLUMN if column is not _COLUMN.email_key)
_BY = {
    column.name: Statement(select(*USER_COLUMNS).where(column == bindparam("key")))
    for column in (_COLUMN.id, _COLUMN.uuid, _COLUMN.username)
}
# Inline: nobody asks for the number that a row gets.
_ADD = Statement(
    insert(_USERS).inline(),
    [column.name for column in _COLUMN if column not in {_COLUMN.number, _COLUMN.presence}],
)


def user_of(row: Sequence[Any]) -> User:
    """The account in the last columns of `row`, selected as USER_COLUMNS."""
    return User(*row[-len(USER_COLUMNS) :])


class UserTable:
    """Accounts on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, ref: AccountRef) -> User | None:
        if ref.uuid is not None:
            return self._one("uuid", ref.uuid)
        return self._one("id", ref.id)

    def by_username(self, username: str) -> User | None:
        return self._one("username", username)

    def add(self, new: NewUser) -> User:
        values = {
            "id": new.id,
            "uuid": new.uuid,
            "username": new.username,
            "display_name": new.display_name,
            "email": new.email,
            "email_key": email_key(new.email or ""),
            "password_hash": new.password_hash,
            "admin": new.admin,
            "disabled": False,
            "version": 1,
        }
        with _refusals(new.username, new.email):
            _ADD.run(self._connection, values)
        user = self.find(AccountRef(id=new.id))
        assert user is not None
        return user

    def save(self, user: User) -> None:
        values = {
            "username": user.username,
            "display_name": user.display_name,
            "email": user.email,
            "email_key": email_key(user.email or ""),
            "password_hash": user.password_hash,
            "admin": user.admin,
            "disabled": user.disabled,
            "version": user.version,
            "presence": user.presence,
        }
        with _refusals(user.username, user.email):
            self._connection.execute(update(_USERS).where(_COLUMN.id == user.id).values(values))

    def newest_id(self) -> int:
        return self._connection.scalar(select(func.max(_COLUMN.id))) or 0

    def has_other_active_admin(self, user_id: int) -> bool:
        others = exists().where(
            _COLUMN.admin.is_(True), _COLUMN.disabled.is_(False), _COLUMN.id != user_id
        )
        return bool(self._connection.scalar(select(others)))

    def page(
        self, wanted: UserFilter, sort: Sort, after: Position | None, limit: int, shape: Shape
    ) -> Sequence[str]:
        return pages.page(self._connection, wanted, sort, after, limit, shape)

    def _one(self, column: str, key: object) -> User | None:
        row = _BY[column].first(self._connection, {"key": key})
        return None if row is None else user_of(row)


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
