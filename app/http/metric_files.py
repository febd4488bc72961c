"""Metric files shared by the workers: one for each kind of metric and worker.

prometheus_client (prometheus.github.io/client_python/multiprocess) adds up all files, and keeps
those of ended workers forever. This module merges them into one. A lock keeps a scrape
from counting a merged file twice or not at all.
"""

import fcntl
import os
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# In place of a process id.
_ENDED = "ended"
_LOCK = "files.lock"
# A merge takes a few milliseconds. A stalled process delays no other for longer than this.
_TRIES, _PAUSE = 20, 0.01


@contextmanager
def unchanging(folder: Path) -> Iterator[bool]:
    """Prevent merges within the block; yield False if the lock is not free."""
    with _locked(folder, fcntl.LOCK_SH, tries=1) as is_locked:
        yield is_locked


def merge_ended(folder: Path, living: Collection[int]) -> None:
    """Merge the files of all processes except `living`. Raises OSError; remaining files stay whole.

    For one process only. Gauges describe living processes, so those of others are dropped.
    """
    with _locked(folder, fcntl.LOCK_EX, tries=_TRIES) as is_locked:
        # A process stalled during a scrape has the lock: leave the files to the next merge.
        if not is_locked:
            return
        kept = {_ENDED, *map(str, living)}
        for file in sorted(folder.glob("*.db")):
            kind, _, process = file.stem.rpartition("_")
            if process not in kept:
                if not kind.startswith("gauge"):
                    # A corrupt file would fail every scrape, too.
                    with suppress(RuntimeError, ValueError, struct.error):
                        _add(file, folder / f"{kind}_{_ENDED}.db")
                file.unlink()


def _add(file: Path, whole: Path) -> None:
    """Replace `whole` with the sum of both."""
    from prometheus_client.mmap_dict import MmapedDict

    sources = [source for source in (whole, file) if source.exists()]
    draft = whole.with_suffix(".draft")
    try:
        with draft.open("wb") as opened:
            # Writing into a mapped file on a full disk would kill the process.
            size = sum(source.stat().st_size for source in sources)
            os.posix_fallocate(opened.fileno(), 0, size)
        with closing(MmapedDict(str(draft))) as merged:  # type: ignore[no-untyped-call]
            for source in sources:
                for key, value, at, _ in MmapedDict.read_all_values_from_file(source):  # type: ignore[no-untyped-call]
                    merged.write_value(key, merged.read_value(key)[0] + value, at)  # type: ignore[no-untyped-call]
        draft.replace(whole)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, how: int, *, tries: int) -> Iterator[bool]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _lock(descriptor, how, tries)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int, tries: int) -> bool:
    for attempt in range(tries):
        if attempt:
            time.sleep(_PAUSE)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return True
    return False
