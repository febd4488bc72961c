"""A copy of the SQLite store that is whole, and the way back."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import pysqlite3

from app.storage.engine import BUSY_TIMEOUT, require_sound_sqlite
from app.storage.errors import StoreError
from app.storage.migrations import require_known_revision

# What SQLite may have beside a database (sqlite.org/tempfiles.html).
_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a database that was found sound: its schema, and how many rows by table."""

    revision: str
    rows: Mapping[str, int]


def back_up(database: Path, file: Path) -> Contents:
    """Write `database` as it is at one moment to `file` (0600), and read that again.

    Others go on writing meanwhile. `file` gets its name when it is on disk and was found sound.
    Raises StoreError; FileExistsError where there is something by that name.
    """
    require_sound_sqlite()
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
    """A sound copy of the backup `file` beside `database`, until it is put in its place.

    Raises StoreError, SchemaError; of a copy that another restore did not finish nothing is left.
    """
    require_sound_sqlite()
    _refuse_what_is_beside(file)
    with _draft(database.with_name(f"{database.name}.restoring")) as draft:
        _make_empty(draft)
        _copy(file, draft, is_still=True)
        inspect(draft)
        yield draft


def put_in_place(draft: Path, database: Path, keep_as: Path) -> tuple[Contents, bool]:
    """Let `draft` be the `database` from now on; what that has, and whether there was one before.

    The one before is called `keep_as` then. At every moment one of the two is there, and whole.
    Raises StoreError where another program has the database open.
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
        # A log of the one before would be taken for one of the new (sqlite.org/howtocorrupt.html).
        for ending in _BESIDE:
            _with(database, ending).unlink(missing_ok=True)
        os.replace(draft, database)
    _sync(database.parent)
    return contents, had_one


def inspect(database: Path) -> Contents:
    """Read all of a database that nobody writes. Raises StoreError for one that is not sound."""
    with _speaking(database), closing(_open_still(database)) as connection:
        for check in ("integrity_check", "foreign_key_check"):
            found = connection.execute(f"PRAGMA {check}").fetchone()
            if found not in (None, ("ok",)):
                raise StoreError(f"{database} is not sound: {check} says {found[0]}.")
        rows = _rows(connection)
        if "alembic_version" not in rows:
            raise StoreError(f"{database} is no database of Gatehouse.")
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    require_known_revision(revision)
    return Contents(revision, rows)


def _copy(source: Path, target: Path, *, is_still: bool = False) -> Mapping[str, int]:
    """Copy a database at one moment; the rows that it has then. `is_still`: nobody writes it."""
    with (
        _speaking(source),
        closing(_open_still(source) if is_still else _open(source)) as reader,
        closing(_open(target)) as writer,
    ):
        # All of it in one transaction: a copy in steps begins anew at every commit of others.
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
    return {name: connection.execute(count.format(name)).fetchone()[0] for (name,) in tables}


def _fold(database: Path) -> None:
    """Leave nothing of a database beside its file."""
    with _speaking(database), closing(_open(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _keep(connection: Any, keep_as: Path) -> None:
    """Copy the database of the connection, and give the copy its name when it is on disk.

    A second name for the same file would be one too many, were this the last that happens.
    """
    with _draft(keep_as.with_name(f"{keep_as.name}.draft")) as draft:
        _make_empty(draft)
        with closing(_open(draft)) as writer:
            connection.backup(writer)
        _sync(draft)
        os.replace(draft, keep_as)


@contextmanager
def _shut(database: Path) -> Iterator[Any]:
    """Keep everybody else out of the database; the connection to it. Raises StoreError.

    None where there is no database, or none that SQLite could read.
    """
    if not database.exists():
        yield None
        return
    with closing(_open(database, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            # The lock of the transaction stays when that has ended, in which nothing can be copied.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("BEGIN EXCLUSIVE")
            # In WAL mode, to which somebody may have gone back, that keeps no reader out.
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            connection.execute("COMMIT")
            if mode != "memory":
                raise StoreError(f"{database} is in use.")
        except pysqlite3.OperationalError as error:
            raise StoreError(f"{database} is in use: {error}.") from error
        except pysqlite3.DatabaseError:
            yield None
            return
        yield connection


def _open(path: Path, timeout: float = BUSY_TIMEOUT) -> Any:
    """A connection to a file that is there; it may be write-protected."""
    return _connect(path, "mode=rw", timeout)


def _open_still(path: Path) -> Any:
    """A connection to a file that nobody writes. It reads that and nothing else: whoever may only
    write beside it could lay down a log, and SQLite would take what that says for the database."""
    return _connect(path, "mode=ro&immutable=1", BUSY_TIMEOUT)


def _connect(path: Path, how: str, timeout: float) -> Any:
    return pysqlite3.dbapi2.connect(
        f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None, timeout=timeout
    )


@contextmanager
def _speaking(path: Path) -> Iterator[None]:
    """What SQLite says of the file becomes a sentence."""
    path.stat()
    try:
        yield
    except pysqlite3.DatabaseError as error:
        raise StoreError(f"{path}: {error}.") from error


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A file that is gone afterwards, unless it has got another name."""
    try:
        yield path
    finally:
        _remove(path)


def _make_empty(path: Path) -> None:
    _remove(path)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _remove(database: Path) -> None:
    for ending in ("", *_BESIDE):
        _with(database, ending).unlink(missing_ok=True)


def _with(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _give_name(draft: Path, file: Path) -> None:
    """Let `draft` be known as `file`. Raises FileExistsError, as `_refuse_to_overwrite` does."""
    try:
        os.link(draft, file)
    except OSError:
        # Something has the name by now; or the file system knows no second name for a file, and
        # then a rename, which would take the place of what comes in between, has to do.
        _refuse_to_overwrite(file)
        os.replace(draft, file)


def _refuse_to_overwrite(file: Path) -> None:
    if os.path.lexists(file):
        raise FileExistsError(errno.EEXIST, "There is something by this name", str(file))


def _refuse_what_is_beside(file: Path) -> None:
    for ending in _BESIDE:
        if _with(file, ending).exists():
            raise StoreError(f"{_with(file, ending)} is part of no backup, which is one file.")


def _sync(path: Path) -> None:
    """See that a file, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
