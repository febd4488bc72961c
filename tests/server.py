"""A real server process on loopback, started as an operator starts it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 30.0


def command(*arguments: str) -> list[str]:
    """The command line of `gatehouse`, in this environment."""
    return [sys.executable, "-m", "app.cli", *arguments]


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
    log: Path

    @property
    def admin_key(self) -> str:
        """The first admin's key, from the file that the greeting names."""
        return Path(self.greeting["admin_key"].removeprefix("in ")).read_text().strip()


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    """A server on the store below `folder`, from its greeting until it is killed."""
    log = folder / "log"
    with log.open("a") as stderr:
        start = log.stat().st_size
        process = subprocess.Popen(
            command("serve"),
            cwd=folder,
            env=environment(folder, settings),
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    try:
        greeting = _greeting(process, log, start)
        with httpx.Client(base_url=greeting["url"], timeout=30, trust_env=False) as client:
            yield Server(process, client, greeting, log)
    finally:
        process.kill()
        process.wait()


def _greeting(process: "subprocess.Popen[str]", log: Path, start: int) -> dict[str, str]:
    """The line of log that says where the server is; the socket is open by then."""
    with log.open() as lines:
        lines.seek(start)
        while True:
            line = lines.readline()
            if '"serving"' in line and line.endswith("\n"):
                found: dict[str, str] = json.loads(line)
                return found
            if not line and process.poll() is not None:
                raise AssertionError(log.read_text())
