"""A write that is rolled back, to find out if real writes would succeed."""

from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.domain.rate_limits import LoginAttempts
from app.storage.errors import StoreError
from app.storage.repositories.login_attempts import LoginAttemptRepository
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.library import describe_failure
from app.storage.tables import AuditRow, metadata

# Seconds to wait for another program's lock.
PATIENCE = 2.0
# Of no account. The table has no sequence, which a rollback would not restore.
_ROW = LoginAttempts(subject=0, place="doctor")
_MISSING = text("""
    SELECT string_agg(privilege || ' on ' || name, ', ')
    FROM unnest(CAST(:tables AS text[])) AS name,
         unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE NOT has_table_privilege(name, privilege)
      AND NOT (name = :trail AND privilege IN ('UPDATE', 'DELETE'))
""")


def require_writable(connection: Connection) -> None:
    """Insert a row on PostgreSQL; the caller rolls back. Raises DBAPIError, StoreError."""
    tables = [table.name for table in metadata.sorted_tables]
    values = {"tables": tables, "trail": AuditRow.__tablename__}
    missing = connection.execute(_MISSING, values).scalar()
    if missing is not None:
        raise StoreError(f"The user has not the privileges {missing}: GRANT them.")
    LoginAttemptRepository(connection).save(_ROW)


def require_writable_file(path: Path) -> None:
    """Insert a row into an SQLite database and roll it back. Raises StoreError."""
    engine = sqlite_engine(path, timeout=PATIENCE)
    try:
        with engine.connect().execution_options(begin="IMMEDIATE") as connection:
            LoginAttemptRepository(connection).save(_ROW)
    except DBAPIError as error:
        raise describe_failure(path, error.orig) from error
    finally:
        engine.dispose()
