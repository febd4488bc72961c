"""The SQLite engine: one file in WAL mode, with a library that is safe for it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pysqlite3
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from app.storage.errors import StoreError

# https://sqlite.org/wal.html, section "The WAL-Reset Bug": two connections that write may corrupt
# the file with a library before 3.51.3, except for the releases with a backported fix.
SOUND_SINCE = (3, 51, 3)
SOUND_BEFORE = frozenset({(3, 44, 6), (3, 50, 7)})
BUSY_TIMEOUT = 5.0
READERS = 4
# A connection for each reader and one for the writer.
POOL_SIZE = READERS + 1


class UnsoundSqliteError(StoreError):
    """The SQLite library in use can corrupt a WAL file."""


def require_sound_sqlite(version: tuple[int, ...] = pysqlite3.sqlite_version_info) -> None:
    """Raise UnsoundSqliteError, saying what to do, if WAL mode is not safe."""
    if version < SOUND_SINCE and version not in SOUND_BEFORE:
        found = ".".join(map(str, version))
        raise UnsoundSqliteError(
            f"SQLite {found} can corrupt a database that two processes write in WAL mode. "
            "Install the pinned requirements: their pysqlite3 carries 3.51.3 or newer."
        )


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


def sqlite_engine(
    path: Path, *, foreign_keys: bool = True, timeout: float = BUSY_TIMEOUT
) -> Engine:
    """Create an engine on the file at `path`, which is created (0600) if it is missing.

    The connection's `begin` option is the mode of a transaction: IMMEDIATE takes the write lock
    at once, so that nothing read in it can have changed when it writes; with None each
    statement is its own transaction.
    """
    require_sound_sqlite()
    # An existing file is not opened: closing it would drop SQLite's locks on it
    # (sqlite.org/howtocorrupt.html, section 2.2).
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        module=pysqlite3.dbapi2,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": timeout},
        pool_size=POOL_SIZE,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # `begin` below begins transactions, not the driver.
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
            # Functions called by a foreign schema have no side effects (sqlite.org/security.html).
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        if mode is not None:
            try:
                # SQLAlchemy's own execution takes 20 µs more.
                driver_of(connection).execute(f"BEGIN {mode}")
            except pysqlite3.OperationalError as error:
                raise OperationalError(f"BEGIN {mode}", None, error) from error

    return engine
