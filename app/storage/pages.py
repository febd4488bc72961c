"""Pages of the list of accounts: which filters hold, in which order, from where on."""

import re
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

from app.domain.shapes import Shape
from app.domain.users import Position, Sort, SortKey, Status, UserFilter
from app.storage.objects import joined, member
from app.storage.prepared import Prepared
from app.storage.tables import UserRow, metadata
from app.storage.types import without_nul

_USERS = metadata.tables[UserRow.__tablename__]
_COLUMN = _USERS.c
_SORT_KEYS: dict[SortKey, tuple[Column[Any], ...]] = {
    SortKey.ID: (_COLUMN.number,),
    SortKey.USERNAME: (_COLUMN.username, _COLUMN.number),
    SortKey.EMAIL: (_COLUMN.email_key, _COLUMN.number),
}
_NUMBER_MAX = 2**31 - 1
# The full-text index of SQLite knows pieces of three characters and more.
_INDEXED_TEXT = 3
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
    shape: Shape,
) -> list[str]:
    """Up to `limit` accounts that follow `after` in the order of `sort`.

    Each is a member of a JSON object: its uuid, and the account in its shape.
    """
    engine = connection.dialect.name
    values = dict(_values(engine, wanted))
    if after is not None:
        values |= {"after_value": _text_before(after), "after_number": _number_before(after)}
    query = _query(engine, wanted.status, wanted.admin, frozenset(values), sort, shape)
    (lines,) = query.first(connection, limit=limit, **values)
    return [] if lines is None else cast("str", lines).split(_BREAK)


def _values(engine: str, wanted: UserFilter) -> Iterator[tuple[str, Any]]:
    """What is compared with, by the name of the parameter."""
    if wanted.username is not None:
        yield "username", without_nul(wanted.username)
    if wanted.email_key is not None:
        yield "email_key", without_nul(wanted.email_key)
    if wanted.id is not None:
        yield "id", wanted.id
    if wanted.text is not None:
        parts = {"username": wanted.username_part, "email_key": wanted.email_part}
        yield from _SOUGHT[engine](parts)


def _sought_by_sqlite(parts: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, part in parts.items():
        yield f"{name}_part", part
    if all(len(part) >= _INDEXED_TEXT and part.isprintable() for part in parts.values()):
        quoted = {name: part.replace('"', '""') for name, part in parts.items()}
        yield "phrase", " OR ".join(f'{name} : "{part}"' for name, part in quoted.items())


def _sought_by_postgresql(parts: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, part in parts.items():
        yield f"{name}_part", f"%{_SPECIAL.sub(_ESCAPED, without_nul(part))}%"


_SOUGHT = {"sqlite": _sought_by_sqlite, "postgresql": _sought_by_postgresql}
_SPECIAL, _ESCAPED = re.compile(r"([\\%_])"), r"\\\1"


def _text_before(after: Position) -> str:
    return str(after.value).partition("\0")[0]


def _number_before(after: Position) -> int:
    """No text has a NUL: one with it is just after all that stand before it."""
    return _NUMBER_MAX if "\0" in str(after.value) else min(after.number, _NUMBER_MAX)


@lru_cache(_SHAPES)
def _query(
    engine: str,
    status: Status,
    admin: bool | None,
    given: frozenset[str],
    sort: Sort,
    shape: Shape,
) -> Prepared:
    """The query for pages of this shape; `given` are the parameters beside the limit."""
    keys = _SORT_KEYS[sort.key]
    line = member(engine, _USERS, "uuid", shape)
    query = select(line.label("line")).where(*_conditions(engine, status, admin, given))
    if "after_number" in given:
        value = bindparam("after_value", type_=_COLUMN.username.type)
        start: list[BindParameter[Any]] = [value, bindparam("after_number")]
        place, first = tuple_(*keys), tuple_(*start[-len(keys) :])
        query = query.where(place < first if sort.descending else place > first)
    query = query.order_by(*(key.desc() if sort.descending else key for key in keys))
    page = query.limit(bindparam("limit")).subquery()
    # One text is read in a third of the time that the values of its rows would take.
    return Prepared(select(joined(engine, page.c.line, _BREAK)))


def _conditions(
    engine: str, status: Status, admin: bool | None, given: frozenset[str]
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
        yield or_(*(_contains(engine, name) for name in ("username", "email_key")))


def _contains(engine: str, name: str) -> ColumnElement[bool]:
    """The text literally, whatever characters are in it."""
    part = bindparam(f"{name}_part", type_=_COLUMN.username.type)
    if engine == "sqlite":
        return func.instr(_COLUMN[name], part) > 0
    # Unlike strpos, it uses the index of trigrams.
    return _COLUMN[name].like(part, escape="\\")
