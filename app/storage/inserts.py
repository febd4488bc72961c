"""Inserts that know what to do when the row is there already.

Statements are made once: making one costs more than running it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from app.storage.statements import Statement


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row`; False where another with the same unique values stands there."""
    return bool(_unless_there(_is_postgresql(connection), table, tuple(row)).run(connection, row))


def insert_or_replace(
    connection: Connection,
    table: Table,
    row: Mapping[str, Any],
    *,
    only_if: ColumnElement[bool] | None = None,
) -> bool:
    """Insert `row`, a whole one, in the place of one with the same primary key, if there is one.

    With `only_if`, in the place of one of which that holds; False where it does not.
    """
    engine = _is_postgresql(connection)
    if only_if is not None:
        return bool(connection.execute(_replacing(engine, table, only_if), row).rowcount)
    return bool(_in_place(engine, table, tuple(row)).run(connection, row))


@cache
def _unless_there(is_postgresql: bool, table: Table, columns: tuple[str, ...]) -> Statement:
    return Statement(_insert(is_postgresql, table).on_conflict_do_nothing(), columns)


@cache
def _in_place(is_postgresql: bool, table: Table, columns: tuple[str, ...]) -> Statement:
    return Statement(_replacing(is_postgresql, table, None), columns)


def _replacing(is_postgresql: bool, table: Table, only_if: ColumnElement[bool] | None) -> Any:
    query = _insert(is_postgresql, table)
    key = [column.name for column in table.primary_key]
    others = {name: query.excluded[name] for name in table.c.keys() if name not in key}  # noqa: SIM118
    return query.on_conflict_do_update(index_elements=key, set_=others, where=only_if)


def _insert(is_postgresql: bool, table: Table) -> Any:
    """An insert as the dialect writes it, with what it does about a conflict."""
    return (postgresql if is_postgresql else sqlite).insert(table)


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
