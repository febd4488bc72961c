"""Runs of collected tests in forks of this process."""

import os
import pickle
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import pytest
from _pytest.runner import runtestprotocol

T = TypeVar("T")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_FOLDER = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None


class NoResult(StrEnum):
    """Reason for a missing result of a fork."""

    HUNG = "hung until the timeout"
    DIED = "died"


def run(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, bool, float]]:
    """Run the items in sequence; yield whether each passed, and its CPU time."""
    for item, following in zip(items, [*items, None][1:], strict=True):
        began = time.process_time()
        reports = runtestprotocol(item, log=False, nextitem=following)
        yield item, not any(one.failed for one in reports), time.process_time() - began


def first_failure(items: Sequence[pytest.Item]) -> str | None:
    """Return the first item that fails, after tearing down its fixtures."""
    for item, passed, _ in run(items):
        if not passed:
            item.session._setupstate.teardown_exact(None)
            return item.nodeid
    return None


def in_forks(tasks: Iterable[tuple[Callable[[], T], float]], jobs: int) -> Iterator[T | NoResult]:
    """Yield the results of the tasks in their order, each from a fork with a timeout."""
    waiting: list[tuple[int, Path, float]] = []
    for task, seconds in tasks:
        if len(waiting) == jobs:
            yield _result(*waiting.pop(0))
        waiting.append(_fork(task, seconds))
    for fork in waiting:
        yield _result(*fork)


def _fork(task: Callable[[], T], seconds: float) -> tuple[int, Path, float]:
    folder = Path(tempfile.mkdtemp(prefix="mutants-", dir=_FOLDER))
    pid = os.fork()
    if pid:
        return pid, folder, time.monotonic() + seconds
    try:
        os.setpgid(0, 0)
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silence, descriptor)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        (folder / "result").write_bytes(pickle.dumps(task()))
    finally:
        os._exit(0)


def _result(pid: int, folder: Path, ends: float) -> Any:
    """Return the result of the fork, or the reason why there is none."""
    missing = NoResult.DIED
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > ends:
            missing = NoResult.HUNG
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        # Processes that a test left behind.
        os.killpg(pid, signal.SIGKILL)
    try:
        return pickle.loads((folder / "result").read_bytes())  # noqa: S301
    except FileNotFoundError:
        return missing
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_folder(session: pytest.Session) -> None:
    """Create the temporary folders of a fork in its own folder."""
    factory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = None
    factory._given_basetemp = Path(tempfile.mkdtemp())
