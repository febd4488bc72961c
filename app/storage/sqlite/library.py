"""The SQLite library: that of pysqlite3, or Python's own where pysqlite3 has no wheel."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.storage.errors import StoreError

if TYPE_CHECKING:
    from sqlite3 import dbapi2 as driver
else:
    try:
        from pysqlite3 import dbapi2 as driver
    except ImportError:
        from sqlite3 import dbapi2 as driver

__all__ = [
    "describe_failure",
    "driver",
    "has_sound_wal",
    "is_full",
    "journal_mode",
    "require_supported_sqlite",
    "require_writable_path",
    "trusted_schema",
]

# https://sqlite.org/wal.html, section "The WAL-Reset Bug": two connections that write may corrupt
# the file with a library before 3.51.3, except for the releases with a backported fix.
SOUND_SINCE = (3, 51, 3)
SOUND_BEFORE = frozenset({(3, 44, 6), (3, 50, 7)})
# The first with the tokenizer `trigram`.
SUPPORTED_SINCE = (3, 34, 0)
# Before this, a trigger can maintain the full-text index only in a trusted schema.
INDEX_IS_INNOCUOUS_SINCE = (3, 44, 0)


class UnsupportedSqliteError(StoreError):
    """The SQLite library is too old."""


_ACCESS = (
    "It and its folder must be writable for the user of this process: 'ls -ln' shows the owner."
)
_READ_ONLY = "Its file system is read-only: mount it writable."
_RESTORE = "Restore a backup: gatehouse restore FILE --replace."
_OTHER_BACKUP = "Restore another backup; nothing was changed."
_LOCKED = "Another program has locked it: wait for its end, or stop it."
# What to do, by the primary code of the error (sqlite.org/rescode.html).
_REMEDIES = {
    driver.SQLITE_FULL: "Free space on its disk, and repeat the command.",
    driver.SQLITE_IOERR: "Check its disk, which may be full or damaged.",
    driver.SQLITE_CANTOPEN: _ACCESS,
    driver.SQLITE_READONLY: _ACCESS,
    driver.SQLITE_PERM: _ACCESS,
    driver.SQLITE_CORRUPT: _RESTORE,
    driver.SQLITE_NOTADB: _RESTORE,
    driver.SQLITE_BUSY: _LOCKED,
    driver.SQLITE_LOCKED: _LOCKED,
}


def describe_failure(
    path: Path, error: BaseException | None, *, is_backup: bool = False
) -> StoreError:
    """Return the error of a command about an error of the driver, with what to do."""
    code = driver.SQLITE_FULL if is_full(error) else getattr(error, "sqlite_errorcode", 0)
    remedy = _REMEDIES.get(code & 0xFF)
    if remedy == _ACCESS:
        remedy = _access_remedy(path)
    elif remedy == _RESTORE and is_backup:
        remedy = _OTHER_BACKUP
    return StoreError(" ".join([f"{path}: {error}.", *([remedy] if remedy else [])]))


def is_full(error: BaseException | None) -> bool:
    """Return True for an error about a full disk; the driver's backup reports no code."""
    return "disk is full" in str(error)


def _access_remedy(path: Path) -> str:
    return _READ_ONLY if os.statvfs(path.parent).f_flag & os.ST_RDONLY else _ACCESS


def require_writable_path(path: Path) -> None:
    """Raise StoreError for a file that may only be read: SQLite would refuse the first write."""
    if not os.access(path, os.W_OK):
        raise StoreError(f"{path} cannot be written. {_access_remedy(path)}")


def has_sound_wal(version: tuple[int, ...] = driver.sqlite_version_info) -> bool:
    """Return whether processes may write in WAL mode without corrupting the file."""
    return version >= SOUND_SINCE or version in SOUND_BEFORE


def journal_mode() -> str:
    """Return the mode that the library is safe in.

    A rollback journal is truncated instead of deleted: the truncation is synced, so a power failure
    does not undo the commit (sqlite.org/pragma.html#pragma_synchronous, EXTRA).
    """
    return "wal" if has_sound_wal() else "truncate"


def trusted_schema() -> str:
    """Return the value of the pragma: OFF if the triggers of Gatehouse work with it.

    OFF keeps a foreign schema from calling functions with side effects (sqlite.org/security.html).
    """
    return "OFF" if driver.sqlite_version_info >= INDEX_IS_INNOCUOUS_SINCE else "ON"


def require_supported_sqlite(version: tuple[int, ...] = driver.sqlite_version_info) -> None:
    """Raise UnsupportedSqliteError if the library lacks what the schema uses."""
    if version < SUPPORTED_SINCE:
        found, needed = (".".join(map(str, it)) for it in (version, SUPPORTED_SINCE))
        raise UnsupportedSqliteError(
            f"SQLite {found} of this Python is too old: install Gatehouse with a Python that has "
            f"{needed} or newer, or store the accounts in PostgreSQL (GATEHOUSE_DATABASE_URL)."
        )
