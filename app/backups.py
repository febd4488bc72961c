"""Backups, restores, and the end of all credentials: work on a database that no server uses.

Only a backup is made while a server runs.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from app.container import (
    StartError,
    database_of,
    open_clock,
    prepare_data_dir,
    use_exclusively,
)
from app.domain.ports.repositories import LiveCredentials
from app.domain.ports.services import Clock
from app.domain.ports.store import Transaction
from app.operations import operator
from app.operations.operator import RestoreSummary
from app.runtime.background_tasks import Supervisor
from app.security.clock import SystemClock
from app.security.signing_keys import SigningKeyFile
from app.settings import Settings
from app.storage.sqlite import backups
from app.storage.sqlite.backup_files import delete_oldest, name_by_time, piped_file
from app.storage.sqlite.backups import Contents, RegainedAccess, regained_access
from app.storage.sqlite.copy_sides import require_restorable
from app.storage.sqlite.store import SqliteFile, SqliteStore

if TYPE_CHECKING:
    # Not imported at run time, because many installations never use it.
    from app.storage.postgresql.store import PostgresServer, PostgresStore

T = TypeVar("T")
# Returns the work of a transaction while no server runs, for the `kid` of the only signing key.
ExclusiveWork = Callable[[Clock, str | None], Callable[[Transaction], T]]


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup, and the older ones that were deleted."""

    file: Path
    contents: Contents
    deleted: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The contents of a restored database, and the new path of the previous one, if any.

    `regained` compares both.
    """

    contents: Contents
    restored: RestoreSummary
    kept_as: Path | None
    regained: RegainedAccess


def back_up(settings: Settings, file: Path, keep: int | None = None) -> BackupResult:
    """Copy the database during writes, to `file` or into the folder `file`.

    With `keep`, the oldest backups in the folder are deleted after the new one was verified. Raises
    StoreError, StartError, OSError.
    """
    database = _sqlite_file(settings, "backup", "pg_dump")
    SqliteFile(database).require_there()
    if not file.is_dir():
        if keep is not None:
            raise StartError(f"--keep needs a folder, and {file} is none. Create it first.")
        return BackupResult(file, backups.back_up(database, file))
    file = name_by_time(file, SystemClock().now())
    contents = backups.back_up(database, file)
    return BackupResult(file, contents, () if keep is None else delete_oldest(file, keep))


def write_backup(settings: Settings, output: BinaryIO) -> Contents:
    """Write a verified backup to `output`. Raises what `back_up` raises."""
    database = _sqlite_file(settings, "backup", "pg_dump")
    SqliteFile(database).require_there()
    with piped_file(database, "backup") as file:
        contents = backups.back_up(database, file)
        with file.open("rb") as written:
            shutil.copyfileobj(written, output)
    output.flush()
    return contents


def restore(
    settings: Settings, file: Path | BinaryIO, *, replace: bool, keep_credentials: bool
) -> RestoreResult:
    """Replace the database with the backup `file`; see `settle_restored` for the credentials.

    The copy is prepared next to the database and then exchanged atomically. Raises StoreError,
    SchemaError, SigningKeyError, OSError; StartError if there is a database and `replace` is False,
    or another process uses it.
    """
    # If the database is a symbolic link, its target is replaced.
    path = _sqlite_file(settings, "restore", "pg_restore").resolve()
    prepare_data_dir(settings)
    if path.exists() and not replace:
        raise StartError(
            f"There is already a database at {path}. With --replace, the backup replaces it, and "
            "it is kept under another name."
        )
    with (
        use_exclusively(settings),
        _received(file, path) as received,
        backups.incoming(received, path) as draft,
    ):
        copy = SqliteFile(draft)
        copy.migrate()
        require_restorable(copy, str(file) if isinstance(file, Path) else "The standard input")
        finish = partial(operator.finish_restore, keep_credentials=keep_credentials)
        restored = asyncio.run(_settle(copy, settings, finish))
        now = SystemClock().now()
        keep_as = path.with_name(f"{path.name}.replaced-{now:%Y%m%dT%H%M%S.%fZ}")
        contents, had_one = backups.put_in_place(draft, path, keep_as)
    if not had_one:
        return RestoreResult(contents, restored, None, RegainedAccess())
    return RestoreResult(contents, restored, keep_as, regained_access(keep_as, path))


@contextmanager
def _received(file: Path | BinaryIO, database: Path) -> Iterator[Path]:
    if isinstance(file, Path):
        yield file
        return
    with piped_file(database, "standard-input") as received:
        with received.open("xb") as written:
            shutil.copyfileobj(file, written)
        yield received


async def settle_restored(settings: Settings, *, keep_credentials: bool) -> RestoreSummary:
    """Prepare a database for serving that another tool has restored.

    Raises what `open_container` raises; StartError if another process uses it.
    """
    return await _run_alone(
        settings, partial(operator.finish_restore, keep_credentials=keep_credentials)
    )


async def end_all_credentials(settings: Settings) -> LiveCredentials:
    """End all credentials, and trust no other signing key. Raises what `settle_restored` raises."""
    return await _run_alone(settings, operator.end_all_credentials)


async def _run_alone(settings: Settings, prepare: ExclusiveWork[T]) -> T:
    database = database_of(settings)
    with ExitStack() as closing:
        if isinstance(database, SqliteFile):
            prepare_data_dir(settings)
            closing.enter_context(use_exclusively(settings))
        return await _settle(database, settings, prepare)


async def _settle(
    database: "SqliteFile | PostgresServer", settings: Settings, prepare: ExclusiveWork[T]
) -> T:
    opened: AbstractAsyncContextManager[SqliteStore | PostgresStore] = database.open()
    async with opened as store, open_clock(store, Supervisor()) as clock:
        if not isinstance(store, SqliteStore):
            from app.storage.postgresql.worker_ids import IN_USE, are_leased

            if await are_leased(store):
                raise StartError(IN_USE.format(database))
        kid = SigningKeyFile(settings.data_dir, clock).promote_restored()
        return await store.write(prepare(clock, kid))


def _sqlite_file(settings: Settings, command: str, tool: str) -> Path:
    """Return the path of the SQLite file. Raises StartError for PostgreSQL."""
    if settings.sqlite_path is None:
        raise StartError(
            f"'gatehouse {command}' supports only SQLite. For PostgreSQL use {tool}, as described "
            "in docs/backup.md."
        )
    return settings.sqlite_path
