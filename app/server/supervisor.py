"""Worker processes that serve one socket, and the parent that replaces those that end."""

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

from app.http.metric_files import FOLDER as METRICS_FOLDER
from app.http.metric_files import merge_ended
from app.logs.setup import flush_logs

# A worker that has not ended this long after SIGTERM, or after its parent, is killed.
STOP_SECONDS = 14.0
# Minimum time between two starts of a worker that keeps ending.
RESTART_SECONDS = 1.0

_LOG = structlog.get_logger("gatehouse")


class WorkerSupervisor:
    """Keeps `count` worker processes running until SIGTERM or SIGINT, then exits with status 0.

    `on_stop` is called once no further worker will be started.
    """

    def __init__(
        self, count: int, work: Callable[[], None], on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self._count = count
        self._work = work
        self._on_stop = on_stop
        # Imported late: see `shared_metrics`.
        from prometheus_client import Counter

        about = "Worker processes that ended unexpectedly and were replaced."
        self._replaced = Counter("gatehouse_workers_replaced", about, registry=None)
        self._started_at: dict[int, float] = {}
        self._is_stopping = False
        # Only the parent holds the writing end: workers read end-of-file when the parent dies.
        self._parent_pipe, self._parent_pipe_writer = os.pipe()

    def run(self) -> NoReturn:
        """Start the workers, replace those that end, and stop them all on a signal."""
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        for _ in range(self._count):
            self._start_worker()
        while self._started_at:
            pid, status = os.wait()
            lived = time.monotonic() - self._started_at.pop(pid)
            if self._is_stopping:
                continue
            self._record_end(pid)
            _LOG.error(
                "worker ended unexpectedly", pid=pid, status=os.waitstatus_to_exitcode(status)
            )
            if lived < RESTART_SECONDS:
                time.sleep(RESTART_SECONDS - lived)
            self._start_worker()
        sys.exit(0)

    def _record_end(self, pid: int) -> None:
        """Merge the counters of the process and drop its gauges."""
        self._replaced.inc()
        if METRICS_FOLDER in os.environ:
            try:
                merge_ended(Path(os.environ[METRICS_FOLDER]), {os.getpid(), *self._started_at})
            except OSError as error:
                _LOG.warning("metrics of an ended worker not merged", pid=pid, error=str(error))

    def _start_worker(self) -> None:
        # A signal between the fork and the registration of the pid would not reach the worker.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if not self._is_stopping:
            pid = os.fork()
            if pid == 0:
                self._run_worker()
            self._started_at[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _run_worker(self) -> NoReturn:
        status = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, lambda *_: sys.exit(0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._parent_pipe_writer)
            Thread(target=self._end_with_parent, daemon=True).start()
            self._work()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            _LOG.exception("worker failed")
        finally:
            flush_logs()
            # Exit handlers would close what belongs to the parent.
            os._exit(status)

    def _end_with_parent(self) -> None:
        os.read(self._parent_pipe, 1)
        # SIGINT skips the notice period: a new parent needs the port soon.
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(STOP_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self, *_: object) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._on_stop()
            signal.signal(signal.SIGALRM, lambda *_: self._send_to_workers(signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)
        self._send_to_workers(signal.SIGTERM)

    def _send_to_workers(self, number: signal.Signals) -> None:
        for pid in list(self._started_at):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """Provide the folder in which several workers share their metrics.

    prometheus_client reads its path on import, so this comes first
    (prometheus.github.io/client_python/multiprocess).
    """
    if workers == 1:
        yield
        return
    _remove_abandoned_folders()
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
        # Renamed only now, so that a file of this name is always locked while it is in use.
        draft.rename(folder / _LOCK)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned_folders() -> None:
    """Remove the folders of killed servers: those of our user whose lock is free."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        # OSError if it was removed meanwhile, is inaccessible, has no lock yet, or is locked.
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
_SIGNALS = {signal.SIGTERM, signal.SIGINT}
