"""Several processes that serve one socket, and the parent that keeps their number."""

import fcntl
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, gettempdir
from threading import Thread
from typing import NoReturn

import structlog

# A worker that has not ended so long after it was told to, or lost its parent, is killed.
STOP_SECONDS = 14.0
# A worker that ends sooner than this would be started over and over.
SHORT_LIFE = 1.0

_LOG = structlog.get_logger("gatehouse")


class Workers:
    """Keeps `count` processes at work until SIGTERM or SIGINT, then ends with status 0.

    `stopping` is called when no further one is going to be started.
    """

    def __init__(
        self, count: int, work: Callable[[], None], stopping: Callable[[], None] = lambda: None
    ) -> None:
        self._count = count
        self._work = work
        self._on_stopping = stopping
        # Imported only now: see `shared_metrics`.
        from prometheus_client import Counter

        about = "Worker processes that ended by themselves and were replaced."
        self._replaced = Counter("gatehouse_workers_replaced", about, registry=None)
        self._started: dict[int, float] = {}
        self._stopping = False
        # Its writing end is the parent's alone: the workers read its end when the parent dies.
        self._life, self._parents = os.pipe()

    def keep(self) -> NoReturn:
        """Start them, start another where one ends, and end them all when told to."""
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        for _ in range(self._count):
            self._start()
        while self._started:
            pid, status = os.wait()
            lived = time.monotonic() - self._started.pop(pid)
            if self._stopping:
                continue
            self._count_end(pid)
            _LOG.error("a worker ended", pid=pid, status=os.waitstatus_to_exitcode(status))
            if lived < SHORT_LIFE:
                time.sleep(SHORT_LIFE - lived)
            self._start()
        sys.exit(0)

    def _count_end(self, pid: int) -> None:
        """Let the metrics forget what the process had under way."""
        self._replaced.inc()
        if METRICS_FOLDER in os.environ:
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(pid)  # type: ignore[no-untyped-call]

    def _start(self) -> None:
        # No signal between the fork and the moment at which it is known whom to pass it on to.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if not self._stopping:
            pid = os.fork()
            if pid == 0:
                self._be_worker()
            self._started[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_worker(self) -> NoReturn:
        status = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, lambda *_: sys.exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._parents)
            Thread(target=self._outlive_no_parent, daemon=True).start()
            self._work()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            _LOG.exception("a worker failed")
        finally:
            sys.stderr.flush()
            # What the parent opened is not this process's to close.
            os._exit(status)

    def _outlive_no_parent(self) -> None:
        os.read(self._life, 1)
        # Whoever starts another parent wants the address soon.
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(STOP_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self, *_: object) -> None:
        if not self._stopping:
            self._stopping = True
            self._on_stopping()
            signal.signal(signal.SIGALRM, lambda *_: self._tell(signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for pid in list(self._started):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """Let several workers count together.

    The metrics' library reads where when it is imported, so this comes before that
    (prometheus.github.io/client_python/multiprocess).
    """
    if workers == 1:
        yield
        return
    _remove_abandoned()
    with TemporaryDirectory(prefix=_PREFIX) as folder, _locked(Path(folder)):
        os.environ[METRICS_FOLDER] = folder
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; the workers hold it too, since they are forked."""
    draft = folder / "unlocked"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # It gets its name as one that is held.
        draft.rename(folder / _LOCK)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned() -> None:
    """Remove the folders of those that were killed: our user's, whose lock nobody holds."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        # Not there any more, somebody else's or no folder at all; held; or without a lock so far.
        with suppress(OSError):
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    rmtree(folder)
                finally:
                    os.close(descriptor)


_PREFIX, _LOCK = "gatehouse-metrics-", "lock"
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SIGNALS = {signal.SIGTERM, signal.SIGINT}
