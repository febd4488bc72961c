"""An insert that is told, not punished, when the row is there already."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row`; False where another with the same unique values stands there."""
    engine = postgresql if connection.dialect.name == "postgresql" else sqlite
    query = engine.insert(table).values(**row).on_conflict_do_nothing()
    return bool(connection.execute(query).rowcount)
