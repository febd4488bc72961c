"""Processes of a run: started on a core, asked by their numbers, ended by them in every case."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(RuntimeError):
    """A figure cannot be had, or would mean nothing; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Service:
    """A server that answers on loopback."""

    pid: int
    port: int

    def tree(self) -> list[int]:
        """The process and all that it started."""
        found = [self.pid]
        for pid in found:
            found += map(int, _proc(pid, f"task/{pid}/children").split())
        return found

    def cpu_seconds(self) -> float:
        """What it has used of the processors so far, in user and in kernel mode."""
        ticks = 0
        for pid in self.tree():
            # The name, second and in parentheses, may hold spaces.
            fields = _proc(pid, "stat").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def memory(self, what: str = "VmRSS") -> int:
        """Resident bytes of its largest process, now (VmRSS) or at the most (VmHWM)."""
        return max(_status(pid, what) for pid in self.tree())

    def forget_peak(self) -> None:
        """Count VmHWM from here on (proc_pid_clear_refs(5))."""
        for pid in self.tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def settle(self) -> None:
        """Wait until it does nothing any more: what was asked and given up may still be done."""
        before, latest = self.cpu_seconds(), monotonic() + STOP_SECONDS
        while monotonic() < latest:
            sleep(0.1)
            now = self.cpu_seconds()
            if now - before <= 1.5 / _TICKS:
                return
            before = now


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def _status(pid: int, what: str) -> int:
    (line,) = (line for line in _proc(pid, "status").splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


def pinned(core: int | None, *command: str) -> list[str]:
    """The command, held on one core."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as this process is run."""
    return [sys.executable, "-m", module, *arguments]


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def require(tool: str, package: str) -> None:
    """Raise BenchError, saying how to get it, where a tool is missing."""
    if shutil.which(tool) is None:
        raise BenchError(
            f"There is no {tool} here. On Debian and Ubuntu: apt-get install {package}"
        )


@contextmanager
def service(
    command: Sequence[str], port: int, log: Path, *, cwd: Path, env: Mapping[str, str], path: str
) -> Iterator[Service]:
    """A server from its first answer at `path` until it is stopped; its output goes to `log`."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command,
            cwd=cwd,
            env={**_environment(), **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            _await_answer(process, port, path, log)
            yield Service(process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _environment() -> dict[str, str]:
    """Ours, but that a server keeps what Python has compiled for it, as an installed one does."""
    return {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _await_answer(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    latest = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < latest:
        connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            sleep(0.002)
        finally:
            connection.close()
    said = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"'{' '.join(process.args)}' does not answer:\n{said}")  # type: ignore[arg-type]
