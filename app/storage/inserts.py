"""Rows of entities, and inserts that know what to do when the row exists already.

Statements are made once: making one costs more than running it.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table

from app.storage.compiled import CompiledStatement
from app.storage.dialect import EngineDialect, dialect_of


def row_of(
    table: Table, entity: object, *, without: Collection[str] = (), **others: Any
) -> dict[str, Any]:
    """Return the values of the columns of `table`, but for those `without`.

    They are in `others` or in the attributes of `entity`, by name.
    """
    names = (column.name for column in table.c if column.name not in without)
    return {name: others[name] if name in others else getattr(entity, name) for name in names}


def bind_rows(
    connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    """Return rows, each with the values of all columns in their order, as the driver takes them."""
    dialect = connection.dialect
    processors = [
        column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns
    ]
    places = [(place, process) for place, process in enumerate(processors) if process is not None]
    bound = []
    for row in rows:
        values = list(row)
        for place, process in places:
            values[place] = process(values[place])
        bound.append(tuple(values))
    return bound


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row`; return False if a row with the same unique values exists."""
    query = _unless_there(dialect_of(connection), table, tuple(row))
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
    dialect = dialect_of(connection)
    if only_if is not None:
        return bool(connection.execute(_replacing(dialect, table, only_if), row).rowcount)
    return bool(_in_place(dialect, table, tuple(row)).run(connection, row))


@cache
def _unless_there(
    dialect: EngineDialect, table: Table, columns: tuple[str, ...]
) -> CompiledStatement:
    return CompiledStatement(dialect.insert(table).on_conflict_do_nothing(), columns)


@cache
def _in_place(dialect: EngineDialect, table: Table, columns: tuple[str, ...]) -> CompiledStatement:
    return CompiledStatement(_replacing(dialect, table, None), columns)


def _replacing(dialect: EngineDialect, table: Table, only_if: ColumnElement[bool] | None) -> Any:
    query = dialect.insert(table)
    key = [column.name for column in table.primary_key]
    others = {name: query.excluded[name] for name in table.c.keys() if name not in key}  # noqa: SIM118
    return query.on_conflict_do_update(index_elements=key, set_=others, where=only_if)
