"""Migrations and commands in processes of their own, which end at the statement that one names."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Engine, event
from sqlalchemy.engine import Dialect

from app.cli.commands import app
from tests.databases import Database
from tests.server_process import PROCESSES, environment

SECONDS = 60


def killed_at(database: Database, step: int) -> bool:
    """Let a process migrate that is killed before its statement number `step`, counted from 0.

    COMMIT counts as a statement, and so does what comes after it. False where it got through.
    """
    process = PROCESSES.Process(target=_migrate_until, args=(database, step), daemon=True)
    process.start()
    return _end_of(process) == -signal.SIGKILL


def _migrate_until(database: Database, last: int) -> None:
    def count(step: int) -> None:
        if step == last:
            _be_killed()

    _watch(count)
    database.migrate()


def command_killed_at(
    folder: Path, settings: Mapping[str, str], words: Sequence[str], step: int
) -> bool:
    """The same for a command of the operator's; `serve` gets through when it greets."""
    process = PROCESSES.Process(
        target=_command_until, args=(environment(folder, settings), words, step), daemon=True
    )
    process.start()
    return _end_of(process) == -signal.SIGKILL


def _command_until(settings: Mapping[str, str], words: Sequence[str], last: int) -> None:
    def count(step: int) -> None:
        if step == last:
            _be_killed()

    os.environ.update(settings)
    # It imports prometheus_client.
    from app.server import run

    _watch(count)
    # What it says goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    run._greet = lambda *_: os._exit(0)
    app(list(words), standalone_mode=False)


@contextmanager
def halted_at(database: Database, step: int) -> Iterator["Halted"]:
    """A process that migrates and stops before its statement number `step`."""
    ours, its = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_migrate_and_halt, args=(database, step, its), daemon=True)
    process.start()
    its.close()
    try:
        assert ours.poll(SECONDS)
        ours.recv()
        yield Halted(process, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


class Halted:
    """A migration on which others wait, or may wait."""

    def __init__(self, process: BaseProcess, pipe: Pipe) -> None:
        self._process = process
        self._pipe = pipe

    @property
    def is_alive(self) -> bool:
        """Return true while the process runs."""
        return self._process.is_alive()

    def go_on(self) -> None:
        """Let it."""
        self._pipe.send(None)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join(SECONDS)

    def ends_well(self) -> bool:
        """Return true if it does."""
        self._process.join(SECONDS)
        return self._process.exitcode == 0


def _migrate_and_halt(database: Database, halt: int, pipe: Pipe) -> None:
    def count(step: int) -> None:
        if step == halt:
            pipe.send(None)
            pipe.recv()

    _watch(count)
    database.migrate()


def _watch(count: Any) -> None:
    """Call `count` with the number of each statement, before it is sent."""
    step = -1

    def next_step(*_: object) -> None:
        nonlocal step
        step += 1
        count(step)

    event.listen(Engine, "before_cursor_execute", next_step)

    @event.listens_for(Engine, "begin")
    def begun(connection: Any) -> None:
        # Its BEGIN is sent on the driver, after this.
        if connection.dialect.name == "sqlite":
            next_step()

    @event.listens_for(Engine, "engine_connect")
    def connected(connection: Any) -> None:
        _count_commit(connection.dialect, next_step)


def _count_commit(dialect: Dialect, next_step: Any) -> None:
    commit = dialect.do_commit

    def do_commit(connection: Any) -> None:
        next_step()
        commit(connection)
        next_step()

    vars(dialect)["do_commit"] = do_commit


def _be_killed() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _end_of(process: BaseProcess) -> int | None:
    process.join(SECONDS)
    status = process.exitcode
    process.kill()
    process.join()
    process.close()
    assert status in {0, -signal.SIGKILL}
    return status
