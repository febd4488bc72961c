"""Backup and restore of the SQLite store."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from app.runtime.file_owner import create_private
from app.storage.errors import StoreError
from app.storage.migrations import require_known_revision
from app.storage.sqlite.engine import BUSY_TIMEOUT, require_regular
from app.storage.sqlite.library import (
    describe_failure,
    driver,
    is_full,
    require_supported_sqlite,
)

# Suffixes of the files that SQLite may have beside a database (sqlite.org/tempfiles.html).
_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Contents:
    """The schema revision and row counts by table of a sound database."""

    revision: str
    rows: Mapping[str, int]


def back_up(database: Path, file: Path) -> Contents:
    """Write a snapshot of `database` to `file` (0600), and verify it.

    Other processes may write meanwhile. `file` gets its name once it is on disk and verified.
    Raises StoreError; FileExistsError if the name is taken.
    """
    require_supported_sqlite()
    file.parent.stat()
    _refuse_to_overwrite(file)
    descriptor, name = mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(descriptor)
    with _draft(Path(name)) as draft:
        rows = _copy(database, draft)
        contents = inspect(draft)
        if contents.rows != rows:
            raise StoreError(f"{draft}: it does not have the rows of {database}.")
        _sync(draft)
        _give_name(draft, file)
    _sync(file.parent)
    return contents


@contextmanager
def incoming(file: Path, database: Path) -> Iterator[Path]:
    """A verified copy of the backup `file` beside `database`, deleted unless it is put in place.

    Raises StoreError, SchemaError. The unfinished copy of an earlier restore is deleted.
    """
    require_supported_sqlite()
    _refuse_what_is_beside(file.resolve())
    with _draft(database.with_name(f"{database.name}.restoring")) as draft:
        _make_empty(draft)
        _copy(file, draft, is_still=True)
        contents = inspect(draft, file)
        differences = schema_differences(draft, contents.revision)
        if differences:
            raise StoreError(
                f"{file} was changed by another program: {'; '.join(sorted(differences)[:5])}. "
                "Only what Gatehouse itself wrote is restored."
            )
        yield draft


def schema_differences(database: Path, revision: str) -> list[str]:
    """Compare a database with the schema of a revision. Raises StoreError."""
    from app.storage.sqlite.schema_diff import sqlite_differences, sqlite_objects

    with _speaking(database), closing(_open(database)) as connection:
        found = sqlite_objects(connection)
    return sqlite_differences(found, revision)


def put_in_place(draft: Path, database: Path, keep_as: Path) -> tuple[Contents, bool]:
    """Replace `database` with `draft`; return its contents, and whether there was one before.

    The former database is kept as `keep_as`. One of the two exists at every moment, complete.
    Raises StoreError if another program has the database open.
    """
    _fold(draft)
    contents = inspect(draft)
    _sync(draft)
    had_one = database.exists()
    with _shut(database) as connection:
        if connection is not None:
            _keep(connection, keep_as)
        else:
            for ending in ("", *_BESIDE):
                with suppress(FileNotFoundError):
                    os.link(_with(database, ending), _with(keep_as, ending))
        _sync(database.parent)
        # SQLite would apply a log of the former one to the new (sqlite.org/howtocorrupt.html).
        for ending in _BESIDE:
            _with(database, ending).unlink(missing_ok=True)
        os.replace(draft, database)
    _sync(database.parent)
    return contents, had_one


@dataclass(frozen=True, slots=True)
class RegainedAccess:
    """The names of accounts that a restored database gives access which they had lost.

    `active` were disabled in the previous database, `admins` were no admins in it.
    """

    active: Sequence[str] = ()
    admins: Sequence[str] = ()


def regained_access(previous: Path, restored: Path) -> RegainedAccess:
    """Compare a restored database with the previous one, which may be unreadable."""
    with closing(_open_still(restored)) as connection:
        try:
            uri = f"{previous.resolve().as_uri()}?mode=ro&immutable=1"
            connection.execute("ATTACH ? AS previous", [uri])
            active = _names(connection, "previous.disabled AND NOT restored.disabled")
            admins = _names(connection, "restored.admin AND NOT previous.admin")
        except driver.DatabaseError:
            return RegainedAccess()
        return RegainedAccess(active, admins)


def _names(connection: Any, condition: str) -> list[str]:
    rows = connection.execute(
        "SELECT restored.username FROM previous.users AS previous "  # noqa: S608 - no input
        f"JOIN main.users AS restored USING (uuid) WHERE {condition} ORDER BY restored.number"
    )
    return [name for (name,) in rows]


def inspect(database: Path, source: Path | None = None) -> Contents:
    """Verify a database without writers, and return its contents. Raises StoreError.

    The error names `source`, the file that the database was copied from.
    """
    named = source or database
    speaking = _speaking(database, is_backup=source is not None)
    with speaking, closing(_open_still(database)) as connection:
        for check in ("integrity_check", "foreign_key_check"):
            found = connection.execute(f"PRAGMA {check}").fetchone()
            if found not in (None, ("ok",)):
                raise StoreError(f"{named} is not sound: {check} says {found[0]}.")
        rows = _rows(connection)
        found = []
        if "alembic_version" in rows:
            found = connection.execute("SELECT * FROM alembic_version LIMIT 2").fetchall()
    if len(found) != 1 or len(found[0]) != 1 or not isinstance(found[0][0], str):
        raise StoreError(f"{named} is no database of Gatehouse.")
    ((revision,),) = found
    require_known_revision(revision)
    return Contents(revision, rows)


def _copy(source: Path, target: Path, *, is_still: bool = False) -> Mapping[str, int]:
    """Copy a snapshot of a database; return its row counts. `is_still`: it has no writers."""
    with (
        _speaking(source, target.parent, is_backup=is_still),
        closing(_open_still(source) if is_still else _open(source)) as reader,
        closing(_open(target)) as writer,
    ):
        # In one transaction: a copy in steps starts again at every commit of another process.
        reader.execute("BEGIN")
        rows = _rows(reader)
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode = DELETE")
        return rows


def _rows(connection: Any) -> Mapping[str, int]:
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    count = 'SELECT count(*) FROM "{}"'
    return {
        name: connection.execute(count.format(name.replace('"', '""'))).fetchone()[0]
        for (name,) in tables
    }


def _fold(database: Path) -> None:
    """Checkpoint a database and delete the files beside it."""
    with _speaking(database), closing(_open(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _keep(connection: Any, keep_as: Path) -> None:
    """Copy the database of the connection, and name the copy once it is on disk.

    A hard link would leave two names for one database if the process ended here.
    """
    with _draft(keep_as.with_name(f"{keep_as.name}.draft")) as draft:
        _make_empty(draft)
        with closing(_open(draft)) as writer:
            connection.backup(writer)
        _sync(draft)
        os.replace(draft, keep_as)


@contextmanager
def _shut(database: Path) -> Iterator[Any]:
    """Lock the database against other processes; yield the connection. Raises StoreError.

    Yields None if there is no database, or none that SQLite can read.
    """
    if not database.exists():
        yield None
        return
    with closing(_open(database, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            # Keeps the lock after the transaction, since no copy is possible within one.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("BEGIN EXCLUSIVE")
            # In WAL mode, which another process may have set again, it does not lock out readers.
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            connection.execute("COMMIT")
            if mode != "memory":
                raise StoreError(f"{database} is in use.")
        except driver.OperationalError as error:
            raise StoreError(f"{database} is in use: {error}.") from error
        except driver.DatabaseError:
            yield None
            return
        yield connection


def _open(path: Path, timeout: float = BUSY_TIMEOUT) -> Any:
    """Open an existing file, which may be write-protected."""
    return _connect(path, "mode=rw", timeout)


def _open_still(path: Path) -> Any:
    """Open a file without writers, ignoring the files beside it: an attacker who may only
    create files there could add a log, which SQLite would apply."""
    return _connect(path, "mode=ro&immutable=1", BUSY_TIMEOUT)


def _connect(path: Path, how: str, timeout: float) -> Any:
    connection = driver.connect(
        f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None, timeout=timeout
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


@contextmanager
def _speaking(path: Path, folder: Path | None = None, *, is_backup: bool = False) -> Iterator[None]:
    """Turn SQLite's errors into StoreError. `folder` is where a copy is written."""
    path.stat()
    require_regular(path)
    try:
        yield
    except driver.DatabaseError as error:
        named = folder if folder is not None and is_full(error) else path
        raise describe_failure(named, error, is_backup=is_backup) from error


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Delete the file afterwards, unless it was renamed."""
    try:
        yield path
    finally:
        _remove(path)


def _make_empty(path: Path) -> None:
    _remove(path)
    os.close(create_private(path))


def _remove(database: Path) -> None:
    for ending in ("", *_BESIDE):
        _with(database, ending).unlink(missing_ok=True)


def _with(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _give_name(draft: Path, file: Path) -> None:
    """Rename `draft` to `file`. Raises FileExistsError."""
    try:
        os.link(draft, file)
    except OSError:
        # The name has been taken, or the file system has no hard links. Then
        # a rename has to do, which would replace a file created in between.
        _refuse_to_overwrite(file)
        os.replace(draft, file)


def _refuse_to_overwrite(file: Path) -> None:
    if os.path.lexists(file):
        raise FileExistsError(
            errno.EEXIST, "The name is taken: choose another file, or a folder", str(file)
        )


def _refuse_what_is_beside(file: Path) -> None:
    for ending in _BESIDE:
        if _with(file, ending).exists():
            raise StoreError(f"{_with(file, ending)} is part of no backup, which is one file.")


def _sync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
