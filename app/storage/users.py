"""The accounts' table as the domain's `Users`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from app.domain.errors import EmailTaken, UsernameTaken
from app.domain.names import email_key
from app.domain.users import (
    AccountRef,
    NewUser,
    Position,
    Sort,
    SortKey,
    Status,
    User,
    UserFilter,
)
from app.storage.constraints import broken_constraint
from app.storage.tables import UserRow, metadata

_USERS = metadata.tables[UserRow.__tablename__]
_COLUMN = _USERS.c
_SORT_KEYS: dict[SortKey, tuple[Column[Any], ...]] = {
    SortKey.ID: (_COLUMN.number,),
    SortKey.USERNAME: (_COLUMN.username, _COLUMN.number),
    SortKey.EMAIL: (_COLUMN.email_key, _COLUMN.number),
}
NUMBER_MAX = 2**31 - 1
# The full-text index knows pieces of three characters and more.
_INDEXED_TEXT = 3
USER_COLUMNS = tuple(column for column in _COLUMN if column is not _COLUMN.email_key)


def user_of(row: Row[Any]) -> User:
    """The account in the last columns of `row`, selected as USER_COLUMNS."""
    return User(*row[-len(USER_COLUMNS) :])


class UserTable:
    """Accounts on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, ref: AccountRef) -> User | None:
        if ref.uuid is not None:
            return self._one(_COLUMN.uuid == ref.uuid)
        return self._one(_COLUMN.id == ref.id)

    def by_username(self, username: str) -> User | None:
        return self._one(_COLUMN.username == username)

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
            self._connection.execute(insert(_USERS).values(values))
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
        self, wanted: UserFilter, sort: Sort, after: Position | None, limit: int
    ) -> Sequence[User]:
        conditions = _conditions(wanted, self._connection.dialect.name)
        query = select(*USER_COLUMNS).where(*conditions).limit(limit)
        rows = self._connection.execute(_in_order(query, sort, after))
        return [user_of(row) for row in rows]

    def _one(self, condition: ColumnElement[bool]) -> User | None:
        row = self._connection.execute(select(*USER_COLUMNS).where(condition)).one_or_none()
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


def _in_order(
    query: Select[*tuple[Any, ...]], sort: Sort, after: Position | None
) -> Select[*tuple[Any, ...]]:
    keys = _SORT_KEYS[sort.key]
    if after is not None:
        start = tuple_(*_place(after)[-len(keys) :])
        place = tuple_(*keys)
        query = query.where(place < start if sort.descending else place > start)
    return query.order_by(*(key.desc() if sort.descending else key for key in keys))


def _place(after: Position) -> tuple[str, int]:
    """Where to go on. No text has a NUL: one with it is just after all that stand before it."""
    value, nul, _ = str(after.value).partition("\0")
    return value, NUMBER_MAX if nul else after.number


def _conditions(wanted: UserFilter, engine: str) -> Iterator[ColumnElement[bool]]:
    if wanted.status is not Status.ALL:
        yield _COLUMN.disabled.is_(wanted.status is Status.DISABLED)
    if wanted.username is not None:
        yield _COLUMN.username == wanted.username
    if wanted.email_key is not None:
        yield _COLUMN.email_key == wanted.email_key
    if wanted.id is not None:
        yield _COLUMN.id == wanted.id
    if wanted.admin is not None:
        yield _COLUMN.admin.is_(wanted.admin)
    if wanted.text is not None:
        parts = {"username": wanted.username_part, "email_key": wanted.email_part}
        yield from _SEARCHES[engine](parts)


def _search_sqlite(parts: dict[str, str]) -> Iterator[ColumnElement[bool]]:
    """The text literally; the index finds candidates, the comparison decides."""
    if all(len(part) >= _INDEXED_TEXT and part.isprintable() for part in parts.values()):
        quoted = {name: part.replace('"', '""') for name, part in parts.items()}
        phrase = " OR ".join(f'{name} : "{part}"' for name, part in quoted.items())
        found = text("SELECT rowid FROM users_text WHERE users_text MATCH :phrase")
        yield _COLUMN.number.in_(found.bindparams(phrase=phrase).columns(_COLUMN.number))
    yield or_(*(func.instr(_COLUMN[name], part) > 0 for name, part in parts.items()))


def _search_postgresql(parts: dict[str, str]) -> Iterator[ColumnElement[bool]]:
    """The text literally; LIKE uses the index of trigrams. No column can hold a NUL."""
    known = {name: part for name, part in parts.items() if "\0" not in part}
    yield or_(
        false(), *(_COLUMN[name].contains(part, autoescape=True) for name, part in known.items())
    )


_SEARCHES = {"sqlite": _search_sqlite, "postgresql": _search_postgresql}
