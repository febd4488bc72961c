"""The SQLite engine: one file, in the journal mode that the library is safe in."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from app.runtime.file_owner import create_private
from app.storage.errors import StoreError
from app.storage.sqlite.library import (
    driver,
    journal_mode,
    require_supported_sqlite,
    trusted_schema,
)

BUSY_TIMEOUT = 5.0
READERS = 4
# A connection for each reader and one for the writer.
POOL_SIZE = READERS + 1


def require_regular(path: Path) -> None:
    """Raise StoreError if `path` exists but is not a file: opening a FIFO, for example, would
    block."""
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a file.")


def driver_of(connection: Connection) -> Any:
    """Return the driver's connection."""
    return connection.connection.driver_connection


def set_pragma(connection: Connection, name: str, value: object) -> None:
    """Set a pragma of the connection, unless this function has set it to `value` before."""
    if connection.info.get(name) != value:
        driver_of(connection).execute(f"PRAGMA {name} = {value}")
        connection.info[name] = value


def synchronous_of(*, is_durable: bool) -> str:
    """Return the value of `synchronous` for a write.

    In WAL mode, NORMAL leaves fsync to the next durable write, or to the checkpoint. With a
    rollback journal it could corrupt the file (sqlite.org/pragma.html#pragma_synchronous).
    """
    return "FULL" if is_durable or journal_mode() != "wal" else "NORMAL"


def is_busy(error: BaseException | None) -> bool:
    """Return whether another connection holds the lock; this one is as good as before then."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == driver.SQLITE_BUSY


def _set_journal_mode(connection: driver.Connection) -> None:
    """Set the journal mode. Raises the driver's OperationalError."""
    wanted = journal_mode()
    (found,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    if found != wanted:
        raise driver.OperationalError(
            f"the journal mode is {found} instead of {wanted}: stop the programs that use the file"
        )


def sqlite_engine(
    path: Path, *, foreign_keys: bool = True, timeout: float = BUSY_TIMEOUT
) -> Engine:
    """Create an engine on the file at `path`, which is created (0600) if it is missing.

    The connection's `begin` option is the mode of a transaction: IMMEDIATE takes the write lock
    at once, so that nothing read in it can have changed when it writes; with None each
    statement is its own transaction.
    """
    require_supported_sqlite()
    # An existing file is not opened: closing it would drop SQLite's locks on it
    # (sqlite.org/howtocorrupt.html, section 2.2).
    with suppress(FileExistsError):
        os.close(create_private(path))
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        module=driver,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": timeout},
        pool_size=POOL_SIZE,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # `begin` below begins transactions, not the driver.
        connection.isolation_level = None
        _set_journal_mode(connection)
        for pragma in (
            "synchronous = FULL",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
            f"trusted_schema = {trusted_schema()}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        if mode is not None:
            try:
                # SQLAlchemy's own execution takes 20 µs more.
                driver_of(connection).execute(f"BEGIN {mode}")
            except driver.OperationalError as error:
                raise OperationalError(f"BEGIN {mode}", None, error) from error

    return engine
