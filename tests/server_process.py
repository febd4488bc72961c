"""A real server process on loopback, and commands of the operator."""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Condition, Thread
from typing import TextIO

import httpx

from app.__main__ import main

START_SECONDS = 30.0
# A process that has imported all this is forked for each server, since importing takes longer than
# starting. It has not imported prometheus_client, which reads the environment on import. In
# tests/e2e/test_operating.py a server starts as an operator starts it.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        *("alembic.command", "alembic.autogenerate"),
        *("app.cli.main", "fastapi", "fastapi.openapi.utils", "httpx"),
        *("uvicorn.protocols.http.httptools_impl", "uvloop", "fastapi_swagger"),
        *("tests.faults.processes", __name__),
    ]
)


def command(*arguments: str) -> list[str]:
    """The command line of `gatehouse`, in this environment."""
    return [sys.executable, "-m", "app", *arguments]


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Nothing of ours but `settings`; everything that is written goes below `folder`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GATEHOUSE_")}
    own = {"GATEHOUSE_DATA_DIR": str(folder / "var"), "GATEHOUSE_PORT": "0"}
    return {**inherited, "PYTHONUNBUFFERED": "1", **own, **settings}


def run(folder: Path, *arguments: str, stdin: str = "", **settings: str) -> "Finished":
    """Run a command of the operator's to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder, settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of a command."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server that serves."""

    process: "subprocess.Popen[str] | ServerProcess"
    client: httpx.Client
    greeting: dict[str, str]
    log: "Log"

    @property
    def admin_key(self) -> str:
        """The first admin's key, from the file that the greeting names."""
        return Path(self.greeting["admin_key"].removeprefix("in ")).read_text().strip()


class Log:
    """The output of a server on stderr, as it arrives."""

    def __init__(self) -> None:
        self._text = ""
        self._is_whole = False
        self._changed = Condition()

    def keep(self, stream: TextIO) -> None:
        """Read `stream` to its end."""
        with stream:
            for line in stream:
                with self._changed:
                    self._text += line
                    self._changed.notify_all()
        with self._changed:
            self._is_whole = True
            self._changed.notify_all()

    @property
    def so_far(self) -> str:
        """All that came until now."""
        with self._changed:
            return self._text

    def until(self, part: str) -> str:
        """All of it, as soon as a line has `part`."""
        with self._changed:
            self._changed.wait_for(lambda: part in self._text or self._is_whole, START_SECONDS)
            assert part in self._text, self._text
            return self._text


@contextmanager
def serving(
    folder: Path, prepare: Callable[[], None] | None = None, /, **settings: str
) -> Iterator[Server]:
    """A server on the store below `folder`, from its greeting until it is killed.

    `prepare` is called in its process before it starts.
    """
    with attend(ServerProcess(folder, environment(folder, settings), prepare)) as server:
        yield server


class ServerProcess:
    """A process that runs `gatehouse serve`; its methods are those of `subprocess.Popen`."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], prepare: Callable[[], None] | None
    ) -> None:
        reader, writer = PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(
            target=_serve, args=(folder, environ, writer, prepare), daemon=True
        )
        self._process.start()
        writer.close()
        self.stderr = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit status; raise `subprocess.TimeoutExpired` after `timeout` seconds."""
        self._process.join(timeout)
        if (status := self.poll()) is None:
            raise subprocess.TimeoutExpired("gatehouse serve", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _serve(
    folder: Path,
    environ: Mapping[str, str],
    errors: Connection,
    prepare: Callable[[], None] | None,
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    os.dup2(errors.fileno(), 2)
    errors.close()
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.argv = ["gatehouse", "serve"]
    if prepare is not None:
        prepare()
    try:
        main()
    finally:
        # Multiprocessing leaves them out.
        atexit._run_exitfuncs()


@contextmanager
def attend(process: "subprocess.Popen[str] | ServerProcess") -> Iterator[Server]:
    """The server that a process starts, from its greeting until the process is killed."""
    assert process.stderr is not None
    log = Log()
    reader = Thread(target=log.keep, args=[process.stderr], daemon=True)
    reader.start()
    try:
        (line,) = (line for line in log.until('"serving"').splitlines() if '"serving"' in line)
        greeting: dict[str, str] = json.loads(line)
        with httpx.Client(base_url=greeting["url"], timeout=30, trust_env=False) as client:
            yield Server(process, client, greeting, log)
    finally:
        process.kill()
        process.wait()
        reader.join(timeout=START_SECONDS)
