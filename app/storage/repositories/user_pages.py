"""Pages of the list of accounts: which filters hold, in which order, from where on."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    bindparam,
    func,
    or_,
    select,
    text,
    tuple_,
)

from app.domain.json_rows import RowShape
from app.domain.users import Position, Sort, SortKey, Status, UserFilter
from app.storage.compiled import CompiledStatement, row_limit
from app.storage.dialect import EngineDialect, dialect_of
from app.storage.json_rows import joined, member
from app.storage.tables import UserRow, metadata
from app.storage.types import without_nul

_USERS = metadata.tables[UserRow.__tablename__]
_COLUMN = _USERS.c
_SORT_KEYS: dict[SortKey, tuple[Column[Any], ...]] = {
    SortKey.ID: (_COLUMN.number,),
    SortKey.USERNAME: (_COLUMN.username, _COLUMN.number),
    SortKey.EMAIL: (_COLUMN.email_key, _COLUMN.number),
}
# The parameters of a search and the columns in which each is looked for; the last has a value only
# where the domain of an address is prepared in another way than its local part.
_PARTS = {
    "username_part": "username",
    "email_key_part": "email_key",
    "email_domain_part": "email_key",
}
_NUMBER_MAX = 2**31 - 1
# JSON has none outside of strings, and writes it in another way inside.
_BREAK = "\n"
# Of all that can be asked for, the shapes of queries that are kept compiled.
_SHAPES = 256


def page(
    connection: Connection,
    wanted: UserFilter,
    sort: Sort,
    after: Position | None,
    limit: int,
    shape: RowShape,
) -> list[str]:
    """Up to `limit` accounts that follow `after` in the order of `sort`.

    Each is a member of a JSON object: its uuid, and the account in its shape.
    """
    dialect = dialect_of(connection)
    values = dict(_values(dialect, wanted))
    if after is not None:
        values |= {"after_value": _text_before(after), "after_number": _number_before(after)}
    query = _query(dialect, wanted.status, wanted.admin, frozenset(values), sort, shape)
    ((lines,),) = query.all(connection, {"limit": limit, **values})
    return [] if lines is None else cast("str", lines).split(_BREAK)


def count(connection: Connection, wanted: UserFilter) -> int:
    """Return the number of accounts."""
    dialect = dialect_of(connection)
    values = dict(_values(dialect, wanted))
    query = _count_query(dialect, wanted.status, wanted.admin, frozenset(values))
    ((number,),) = query.all(connection, values)
    return cast("int", number)


def _values(dialect: EngineDialect, wanted: UserFilter) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of the filter."""
    if wanted.username is not None:
        yield "username", without_nul(wanted.username)
    if wanted.email_key is not None:
        yield "email_key", without_nul(wanted.email_key)
    if wanted.id is not None:
        yield "id", wanted.id
    if wanted.text is not None:
        parts = (wanted.username_part, *wanted.email_parts)
        yield from dialect.search_values(dict(zip(_PARTS, parts, strict=False)), _PARTS)


def _text_before(after: Position) -> str:
    return str(after.value).partition("\0")[0]


def _number_before(after: Position) -> int:
    """No text has a NUL: one with it is just after all that stand before it."""
    return _NUMBER_MAX if "\0" in str(after.value) else min(after.number, _NUMBER_MAX)


@lru_cache(_SHAPES)
def _query(
    dialect: EngineDialect,
    status: Status,
    admin: bool | None,
    given: frozenset[str],
    sort: Sort,
    shape: RowShape,
) -> CompiledStatement:
    """The query for pages of this shape; `given` are the parameters beside the limit."""
    keys = _SORT_KEYS[sort.key]
    line = member(dialect, _USERS, "uuid", shape)
    query = select(line.label("line")).where(*_conditions(dialect, status, admin, given))
    if "after_number" in given:
        value = bindparam("after_value", type_=_COLUMN.username.type)
        start: list[BindParameter[Any]] = [value, bindparam("after_number")]
        place, first = tuple_(*keys), tuple_(*start[-len(keys) :])
        query = query.where(place < first if sort.descending else place > first)
    query = query.order_by(*(key.desc() if sort.descending else key for key in keys))
    page = query.limit(row_limit("limit")).subquery()
    # One text is read in a third of the time that the values of its rows would take.
    return CompiledStatement(select(joined(dialect, page.c.line, _BREAK)))


@lru_cache(_SHAPES)
def _count_query(
    dialect: EngineDialect, status: Status, admin: bool | None, given: frozenset[str]
) -> CompiledStatement:
    """The query for the number of accounts; `given` are its parameters."""
    conditions = _conditions(dialect, status, admin, given)
    return CompiledStatement(select(func.count()).select_from(_USERS).where(*conditions))


def _conditions(
    dialect: EngineDialect, status: Status, admin: bool | None, given: frozenset[str]
) -> Iterator[ColumnElement[bool]]:
    if status is not Status.ALL:
        yield _COLUMN.disabled.is_(status is Status.DISABLED)
    if admin is not None:
        yield _COLUMN.admin.is_(admin)
    for name in ("username", "email_key", "id"):
        if name in given:
            yield _COLUMN[name] == bindparam(name)
    if "phrase" in given:
        # It finds candidates; the comparison below decides.
        found = text("SELECT rowid FROM users_text WHERE users_text MATCH :phrase")
        yield _COLUMN.number.in_(found.columns(_COLUMN.number))
    if "username_part" in given:
        yield or_(*(_contains(dialect, name) for name in _PARTS if name in given))


def _contains(dialect: EngineDialect, name: str) -> ColumnElement[bool]:
    """The text literally, whatever characters are in it."""
    column, part = _COLUMN[_PARTS[name]], bindparam(name, type_=_COLUMN.username.type)
    return dialect.contains(column, part)
