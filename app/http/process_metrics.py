"""Metrics of the build, and of the operating system's processes under the names that Prometheus's
clients use.

They are read at a scrape. With several workers, they are those of all workers and their parent,
found by the metric files that each of them has.
"""

import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time  # noqa: TID251 - the start of the process is a fact of the system

from app.domain.measurements import Measurement
from app.http.metric_files import FOLDER
from app.version import VERSION, find_commit

# Workers are forked from the process that loads this module.
_STARTED_AT = time()
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
# Positions behind the name of the program in /proc/PID/stat: user and system time, then those of
# the children that have ended (proc(5)).
_CPU_TIMES = slice(11, 15)


@dataclass(frozen=True, slots=True)
class _Usage:
    virtual: int
    resident: int
    cpu: float
    descriptors: int


def measure_build() -> Measurement:
    """Return a measurement whose labels name the build."""
    labels = (("version", VERSION), ("commit", find_commit() or "unknown"))
    return Measurement("build_info", "The build that serves.", 1, labels)


def measure_processes() -> Iterator[Measurement]:
    """Yield memory, CPU time, file descriptors and start time; nothing where there is no /proc."""
    usages = [usage for pid in _pids() if (usage := _usage_of(pid)) is not None]
    if not usages:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    start = "Start time of the server in seconds since 1970."
    cpu, resident = "CPU time in seconds, user and system.", "Resident memory in bytes."
    yield Measurement("process_start_time_seconds", start, _STARTED_AT)
    yield Measurement("process_cpu_seconds", cpu, sum(u.cpu for u in usages), is_total=True)
    yield Measurement("process_resident_memory_bytes", resident, sum(u.resident for u in usages))
    virtual, descriptors = "Virtual memory in bytes.", "Open file descriptors."
    yield Measurement("process_virtual_memory_bytes", virtual, sum(u.virtual for u in usages))
    yield Measurement("process_open_fds", descriptors, sum(u.descriptors for u in usages))
    if limit != resource.RLIM_INFINITY:
        about = "Limit of open file descriptors."
        yield Measurement("process_max_fds", about, limit * len(usages))


def _pids() -> Iterable[str]:
    folder = os.environ.get(FOLDER)
    if folder is None:
        return ["self"]
    pids = {file.stem.rpartition("_")[2] for file in Path(folder).glob("*.db")}
    return sorted(pid for pid in pids if pid.isdecimal())


def _usage_of(pid: str) -> _Usage | None:
    """Return the usage of a process, None if it has ended."""
    process = Path("/proc") / pid
    with suppress(OSError):
        sizes = (process / "statm").read_text().split()
        # The name of the program, in parentheses, may contain any characters.
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        cpu = sum(map(int, fields[_CPU_TIMES])) / _TICKS
        descriptors = len(os.listdir(process / "fd"))
        return _Usage(int(sizes[0]) * _PAGE, int(sizes[1]) * _PAGE, cpu, descriptors)
    return None
