"""Bringing a database to the present schema, in one transaction and under a lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from app.storage.engine import StoreError, sqlite_engine

_ROOT = Path(__file__).resolve().parents[2]


# How long a second migration waits for the first.
MIGRATION_TIMEOUT = 600.0


class SchemaError(StoreError):
    """The database's schema is not one that this release can work with."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, wherever the process was started; its commands use `connection`."""
    config = Config(_ROOT / "alembic.ini")
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def migration(path: Path) -> Iterator[Config]:
    """A configuration for Alembic's commands on the SQLite file at `path`: all of it or nothing.

    BEGIN IMMEDIATE is the lock: of two that migrate at once, the second waits, then finds nothing
    left to do. Foreign keys are checked at the end, since a table may be rebuilt on the way.
    Raises SchemaError for a database of a newer release.
    """
    engine = sqlite_engine(path, foreign_keys=False, timeout=MIGRATION_TIMEOUT)
    try:
        with (
            engine.connect().execution_options(begin="IMMEDIATE") as connection,
            connection.begin(),
        ):
            _require_known(connection)
            yield alembic_config(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise SchemaError("The migration would leave rows that refer to nothing.")
    except DBAPIError as error:
        raise StoreError(f"{path}: {error.orig}.") from error
    finally:
        engine.dispose()


def migrate(path: Path) -> None:
    """Bring the SQLite file at `path` to the present schema. Raises SchemaError."""
    with migration(path) as config:
        command.upgrade(config, "head")


def _require_known(connection: Connection) -> None:
    script = ScriptDirectory.from_config(alembic_config())
    present = MigrationContext.configure(connection).get_current_revision()
    known = {step.revision for step in script.walk_revisions()}
    if present is not None and present not in known:
        raise SchemaError(
            f"The database is at schema {present}, which this release does not know: "
            "it was written by a newer one. Install that release, or restore a backup."
        )


def require_current(engine: Engine) -> None:
    """Raise SchemaError where the database is not at the newest schema this release knows."""
    try:
        with engine.connect() as connection:
            _require_known(connection)
            script = ScriptDirectory.from_config(alembic_config())
            present = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise StoreError(f"{engine.url.database}: {error.orig}.") from error
    if present != script.get_current_head():
        raise SchemaError("The database has an older schema: run 'gatehouse migrate' first.")
