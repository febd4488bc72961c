"""A real server process on loopback, started as an operator starts it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import TextIO

import httpx

START_SECONDS = 30.0


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
    """What a command left."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server that serves."""

    process: "subprocess.Popen[str]"
    client: httpx.Client
    greeting: dict[str, str]
    log: "Log"

    @property
    def admin_key(self) -> str:
        """The first admin's key, from the file that the greeting names."""
        return Path(self.greeting["admin_key"].removeprefix("in ")).read_text().strip()


class Log:
    """What a server writes to stderr, as it comes."""

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
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    """A server on the store below `folder`, from its greeting until it is killed."""
    process = subprocess.Popen(
        command("serve"),
        cwd=folder,
        env=environment(folder, settings),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with attend(process) as server:
        yield server


@contextmanager
def attend(process: "subprocess.Popen[str]") -> Iterator[Server]:
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
