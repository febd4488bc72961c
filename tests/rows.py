"""What a database holds, to be compared."""

from pathlib import Path
from typing import Any

from app.storage.engine import sqlite_engine
from app.storage.tables import metadata


def rows(database: Path) -> dict[str, list[Any]]:
    """Everything that is stored, but for the keys that each house signs with."""
    engine = sqlite_engine(database)
    with engine.connect() as connection:
        found = {
            name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for name, table in metadata.tables.items()
            if name != "signing_keys"
        }
    engine.dispose()
    return found
