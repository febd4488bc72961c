"""Processes of a run: started on a core, measured and ended by their ids."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(RuntimeError):
    """A result is impossible or meaningless; the message says why."""


@dataclass(frozen=True, slots=True)
class Service:
    """A server on loopback."""

    pid: int
    port: int

    def tree(self) -> list[int]:
        """Return the ids of the process and its descendants."""
        found = [self.pid]
        for pid in found:
            found += map(int, _proc(pid, f"task/{pid}/children").split())
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time so far, in user and kernel mode."""
        return sum(map(cpu_seconds, self.tree()))

    def memory(self, what: str = "VmRSS") -> int:
        """Return the resident bytes of the largest process, now (VmRSS) or at peak (VmHWM)."""
        return max(_status(pid, what) for pid in self.tree())

    def reset_peak(self) -> None:
        """Reset VmHWM (proc_pid_clear_refs(5))."""
        for pid in self.tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def settle(self) -> None:
        """Wait until the server is idle: it may still handle requests that wrk gave up."""
        before, latest = self.cpu_seconds(), monotonic() + STOP_SECONDS
        while monotonic() < latest:
            sleep(0.1)
            now = self.cpu_seconds()
            if now - before <= 1.5 / _TICKS:
                return
            before = now


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, in user and kernel mode."""
    # The name, second and in parentheses, may contain spaces.
    fields = _proc(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def is_running(pid: int, name: str) -> bool:
    """Return whether a process of this id and name is running on this machine."""
    path = Path(f"/proc/{pid}/comm")
    return path.exists() and path.read_text().strip() == name


def busy_seconds() -> float:
    """Return the CPU time of all programs, ended children included, since some point in time.

    The kernel's own time is left out: much of it is due to the load, such as passing on packets.
    """
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        # A program may end meanwhile.
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def _status(pid: int, what: str) -> int:
    (line,) = (line for line in _proc(pid, "status").splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


def pinned(core: int | None, *command: str) -> list[str]:
    """Return the command, pinned to one core."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def require(tool: str, package: str) -> None:
    """Raise BenchError if a tool is missing, with the package to install."""
    if shutil.which(tool) is None:
        raise BenchError(f"{tool} is missing. On Debian and Ubuntu: apt-get install {package}")


@contextmanager
def service(
    command: Sequence[str], port: int, log: Path, *, cwd: Path, env: Mapping[str, str], path: str
) -> Iterator[Service]:
    """Run a server, from its first response at `path` on; its output goes to `log`."""
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
            _await_response(process, port, path, log)
            yield Service(process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _environment() -> dict[str, str]:
    """Return our environment, in which Python may cache bytecode like in an installation."""
    return {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _await_response(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
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
    output = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"'{' '.join(process.args)}' does not respond:\n{output}")  # type: ignore[arg-type]
