"""The rows of a database, for comparison."""

from pathlib import Path
from typing import Any

from app.storage.sqlite.engine import sqlite_engine
from app.storage.tables import metadata


def rows(database: Path) -> dict[str, list[Any]]:
    """Return everything that is stored, except for each server's signing keys."""
    engine = sqlite_engine(database)
    with engine.connect() as connection:
        found = {
            name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for name, table in metadata.tables.items()
            if name != "signing_keys"
        }
    engine.dispose()
    return found
