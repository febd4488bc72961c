"""The SQLite engine: one file, in WAL mode, with a library that is sound for it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pysqlite3
from sqlalchemy import URL, Connection, Engine, create_engine, event

from app.storage.errors import StoreError

# https://sqlite.org/wal.html, section "The WAL-Reset Bug": two connections that write may corrupt
# the file with a library before 3.51.3, but for the releases it was mended in afterwards.
SOUND_SINCE = (3, 51, 3)
SOUND_BEFORE = frozenset({(3, 44, 6), (3, 50, 7)})
BUSY_TIMEOUT = 5.0
READERS = 4
# A connection for each reader and one for the writer.
POOL_SIZE = READERS + 1


class UnsoundSqliteError(StoreError):
    """The SQLite library in use can corrupt a WAL file."""


def require_sound_sqlite(version: tuple[int, ...] = pysqlite3.sqlite_version_info) -> None:
    """Raise UnsoundSqliteError, saying what to do, where WAL mode is not safe."""
    if version < SOUND_SINCE and version not in SOUND_BEFORE:
        found = ".".join(map(str, version))
        raise UnsoundSqliteError(
            f"SQLite {found} can corrupt a database that two processes write in WAL mode. "
            "Install the pinned requirements: their pysqlite3 carries 3.51.3 or newer."
        )


def sqlite_engine(
    path: Path, *, foreign_keys: bool = True, timeout: float = BUSY_TIMEOUT
) -> Engine:
    """An engine on the file at `path`, which is made (0600) where it is not there yet.

    A transaction begins as the connection's `begin` option says: IMMEDIATE takes the one place
    for a writer at once, so that nothing read in it can have changed when it writes; with None each
    statement stands for itself.
    """
    require_sound_sqlite()
    # A file that is there is not opened: to close it again would drop SQLite's locks on it
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
        # The driver's own idea of when a transaction begins gives way to `begin` below.
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        if mode is not None:
            connection.exec_driver_sql(f"BEGIN {mode}")

    return engine
