"""Files of backups: a folder of them, and one that passes through a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

_NAMES = f"gatehouse-{'[0-9]' * 8}T{'[0-9]' * 6}Z.sqlite3"

# No backup takes so long.
_ABANDONED_SECONDS = 86_400.0


def name_by_time(folder: Path, now: datetime) -> Path:
    """Return the path of a backup made at this time, in UTC."""
    return folder / f"gatehouse-{now:%Y%m%dT%H%M%SZ}.sqlite3"


def delete_oldest(newest: Path, keep: int) -> Sequence[Path]:
    """Delete all but `keep` backups of a folder, and what killed backups left; return the files.

    `newest` is one of those that are kept, whatever its name says: the clock may have been set
    back. Files with other names are ignored. Raises OSError.
    """
    others = sorted(path for path in newest.parent.glob(_NAMES) if path != newest)
    drafts = (path for path in newest.parent.glob(f".{_NAMES}.*") if path.is_file())
    oldest = [*others[: max(len(others) - keep + 1, 0)], *_abandoned(drafts, newest)]
    for path in oldest:
        # Another backup may delete the same ones.
        path.unlink(missing_ok=True)
    return oldest


@contextmanager
def piped_file(database: Path, name: str) -> Iterator[Path]:
    """Yield the path of a file on the database's disk, for a backup that comes or goes by a pipe.

    The file is private, and deleted at the end.
    """
    prefix = f".{database.name}."
    with TemporaryDirectory(dir=database.parent, prefix=prefix) as folder:
        for path in _abandoned(database.parent.glob(f"{prefix}*"), Path(folder)):
            if path.is_dir():
                rmtree(path)
        yield Path(folder) / name


def _abandoned(paths: Iterable[Path], new: Path) -> Sequence[Path]:
    """Return the paths that were last changed a day before `new`: their process was killed."""
    newest = new.stat().st_mtime
    return [path for path in paths if newest - path.lstat().st_mtime > _ABANDONED_SECONDS]
