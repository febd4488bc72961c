"""Differences of a database's schema, triggers included, from the one that the migrations create.

A foreign trigger runs with the privileges of the writer, and a dropped or disabled guard protects
nothing; neither is visible in the rows.
"""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.storage.migrations import upgrade_to
from app.storage.sqlite.library import driver
from app.storage.sqlite.migrate import migrate

# The CREATE statement of each object, by kind and name.
Objects = Mapping[tuple[str, str], str]

_SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


def sqlite_objects(connection: Any) -> Objects:
    """Return the objects of an SQLite database's schema."""
    rows = connection.execute(_SQLITE).fetchall()
    return {(kind, name): _bare(sql or "") for kind, name, sql in rows}


def _bare(statement: str) -> str:
    """Return a statement without white space, and without the quotes of a rebuilt table."""
    return "".join(statement.replace('"', "").split())


def sqlite_differences(found: Objects, revision: str) -> list[str]:
    """Return the differences from the schema of a known revision, as phrases."""
    expected = _made_by_migrations(revision)
    return [
        *(f"the {kind} {name} is missing" for kind, name in expected.keys() - found.keys()),
        *(f"the {kind} {name} is not Gatehouse's" for kind, name in found.keys() - expected.keys()),
        *(
            f"the {kind} {name} is not as Gatehouse makes it"
            for kind, name in expected.keys() & found.keys()
            if expected[kind, name] != found[kind, name]
        ),
    ]


def _made_by_migrations(revision: str) -> Objects:
    with TemporaryDirectory(prefix="gatehouse-schema-") as folder:
        path = Path(folder) / "schema.sqlite3"
        migrate(path, upgrade_to(revision))
        with closing(driver.connect(str(path))) as connection:
            return sqlite_objects(connection)
