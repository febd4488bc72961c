"""Inserts that know what to do when the row is there already."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row`; False where another with the same unique values stands there."""
    query = _insert(connection)(table).values(**row).on_conflict_do_nothing()
    return bool(connection.execute(query).rowcount)


def insert_or_replace(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert `row` in the place of one with the same primary key, if there is one."""
    key = [column.name for column in table.primary_key]
    others = {name: value for name, value in row.items() if name not in key}
    query = _insert(connection)(table).values(**row)
    connection.execute(query.on_conflict_do_update(index_elements=key, set_=others))


def _insert(connection: Connection) -> Any:
    """An insert as the dialect writes it, with what it does about a conflict."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
