"""Migrations of an SQLite file."""

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.storage.migrations import MIGRATION_TIMEOUT, SchemaError, Steps, perform
from app.storage.sqlite.engine import require_regular, sqlite_engine
from app.storage.sqlite.library import describe_failure, require_writable_path


def migrate(path: Path, steps: Steps) -> None:
    """Do `steps`, all of them or nothing. Raises StoreError, SchemaError.

    BEGIN IMMEDIATE is the lock: of two that migrate at once, the second waits, then finds nothing
    left to do. Foreign keys are checked at the end, since a table may be rebuilt.
    """
    require_regular(path)
    engine = sqlite_engine(path, foreign_keys=False, timeout=MIGRATION_TIMEOUT)
    try:
        require_writable_path(path)
        with (
            engine.connect().execution_options(begin="IMMEDIATE") as connection,
            connection.begin(),
        ):
            migration = perform(connection, steps)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise SchemaError("The migration would leave rows that refer to nothing.")
        if migration is not None:
            migration.log_end()
    except DBAPIError as error:
        raise describe_failure(path, error.orig) from error
    finally:
        engine.dispose()
