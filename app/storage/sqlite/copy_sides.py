"""The sides of a copy that are SQLite files."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.storage.copying import Side, require_own_values
from app.storage.sqlite.engine import driver_of, require_regular, set_pragma, sqlite_engine
from app.storage.sqlite.library import describe_failure
from app.storage.sqlite.store import SqliteFile
from app.storage.sqlite.stored_types import require_declared_types

# SQLite's default is 2 MB, less than the indexes of many accounts.
_CACHE_KIBIBYTES = 64 * 1024


@asynccontextmanager
async def open_source(file: SqliteFile) -> AsyncIterator[Side]:
    """Open a file in a transaction that keeps other processes from writing. Raises StoreError."""
    file.require_there()
    with ExitStack() as closing:
        connection = _connect(file, closing)
        try:
            closing.enter_context(connection.begin())
        except DBAPIError as error:
            raise describe_failure(file.path, error.orig) from error
        require_declared_types(driver_of(connection), str(file))
        yield Side(str(file), connection)


def require_restorable(draft: SqliteFile, backup: str) -> None:
    """Raise StoreError if a row of the migrated copy of a backup cannot be read."""
    with ExitStack() as closing:
        connection = _connect(draft, closing)
        closing.enter_context(connection.begin())
        require_declared_types(driver_of(connection), backup)
        require_own_values(Side(backup, connection))


@asynccontextmanager
async def open_target(file: SqliteFile) -> AsyncIterator[Side]:
    """Open a file, which is created if it is missing. Raises StoreError, OSError."""
    require_regular(file.path)
    file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as closing:
        connection = _connect(file, closing)
        set_pragma(connection, "cache_size", -_CACHE_KIBIBYTES)
        yield Side(str(file), connection)


def _connect(file: SqliteFile, closing: ExitStack) -> Connection:
    engine = sqlite_engine(file.path)
    closing.callback(engine.dispose)
    try:
        connection = closing.enter_context(engine.connect())
    except DBAPIError as error:
        raise describe_failure(file.path, error.orig) from error
    return connection.execution_options(begin="IMMEDIATE")
