"""Inserts that know what to do when the row is there already.

Statements are made once: making one costs more than running it.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table

from app.storage.statements import Statement


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row`; False where another with the same unique values stands there."""
    query = _unless_there(connection.dialect.name, table, tuple(row))
    return bool(query.run(connection, row))


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
    engine = connection.dialect.name
    if only_if is not None:
        return bool(connection.execute(_replacing(engine, table, only_if), row).rowcount)
    return bool(_in_place(engine, table, tuple(row)).run(connection, row))


@cache
def _unless_there(engine: str, table: Table, columns: tuple[str, ...]) -> Statement:
    return Statement(_insert(engine, table).on_conflict_do_nothing(), columns)


@cache
def _in_place(engine: str, table: Table, columns: tuple[str, ...]) -> Statement:
    return Statement(_replacing(engine, table, None), columns)


def _replacing(engine: str, table: Table, only_if: ColumnElement[bool] | None) -> Any:
    query = _insert(engine, table)
    key = [column.name for column in table.primary_key]
    others = {name: query.excluded[name] for name in table.c.keys() if name not in key}  # noqa: SIM118
    return query.on_conflict_do_update(index_elements=key, set_=others, where=only_if)


def _insert(engine: str, table: Table) -> Any:
    """An insert as the dialect writes it, with what it does about a conflict."""
    # The other dialect would be loaded for nothing.
    return import_module(f"sqlalchemy.dialects.{engine}").insert(table)
