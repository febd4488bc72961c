"""The header of SQLite's wal-index, which every commit changes (sqlite.org/walformat.html)."""

import os
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import ClassVar

# Two copies of it; a commit writes both before it ends.
_HEADER_BYTES = 96
_MAPPED_BYTES = 4096


class WalIndex:
    """The header of a database's wal-index in memory, for as long as a connection is open.

    Without one, another process may truncate the file, and reading the map would end this process.
    """

    # By device and inode. All stores of a process on one file share one descriptor: closing any
    # drops the locks that SQLite has on it (sqlite.org/howtocorrupt.html, section 2.2).
    _open: ClassVar[dict[tuple[int, int], "WalIndex"]] = {}

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map = mmap(descriptor, _MAPPED_BYTES, access=ACCESS_READ)
        self._users = 0

    @classmethod
    def of(cls, database: str) -> "WalIndex | None":
        """Return that of a database with an open connection; None if SQLite uses none."""
        path = Path(f"{database}-shm")
        if not path.exists():
            return None
        status = path.stat()
        if status.st_size < _MAPPED_BYTES:
            # On a read-only file system, SQLite leaves it as it is and works without.
            return None
        key = status.st_dev, status.st_ino
        if key not in cls._open:
            cls._open[key] = cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        found = cls._open[key]
        found._users += 1
        return found

    def header(self) -> bytes:
        """Return the header. It differs after any commit by any process."""
        return self._map[:_HEADER_BYTES]

    def release(self) -> None:
        """End this use. Call it without any open connection of the user."""
        self._users -= 1
        if not self._users:
            (key,) = (key for key, index in self._open.items() if index is self)
            del self._open[key]
            self._map.close()
            os.close(self._descriptor)
