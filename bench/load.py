"""Load by wrk, which repeats prepared requests on its own core and checks every response."""

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter

from bench.processes import BenchError, Service, pinned, require
from bench.works import Request, Work

CONNECTIONS = 32
_SCRIPT = Path(__file__).with_name("load.lua")
# Above this share of its core, wrk limits the rate instead of the server.
_BUSY = 0.9
_TIMEOUT = "30s"


@dataclass(frozen=True, slots=True)
class Load:
    """Result of a load."""

    rate: float
    """Requests per second."""
    cpu: float
    """Microseconds of CPU time of the server per request."""
    p50: float
    p99: float
    """Milliseconds."""
    count: int = 1
    """Requests."""
    database: float = 0
    """Microseconds of CPU time of the database's processes per request."""
    others: float = 0
    """Share of a core that other programs used meanwhile."""

    def __str__(self) -> str:
        digits = 0 if self.rate >= 100 else 1
        return f"{self.rate:,.{digits}f}/s, {self.cpu:,.0f} µs CPU, p99 {self.p99:.1f} ms"


def require_wrk() -> None:
    """Raise BenchError if wrk or taskset is missing."""
    require("wrk", "wrk")
    require("taskset", "util-linux")


def hammer(
    service: Service,
    work: Work,
    *,
    core: int,
    seconds: int,
    connections: int = CONNECTIONS,
    pause_ms: int = 0,
) -> Load:
    """Repeat the requests for so many seconds. Raises BenchError for a wrong response."""
    with NamedTemporaryFile(prefix="requests-") as file:
        for request in work.requests:
            raw = request.raw()
            file.write(b"%d\n%b" % (len(raw), raw))
        file.flush()
        command = pinned(core, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s")
        command += ["--timeout", _TIMEOUT, "--script", str(_SCRIPT)]
        command += [f"http://127.0.0.1:{service.port}", file.name, work.answer]
        command += [",".join(map(str, work.statuses)), str(pause_ms)]
        before = service.cpu_seconds()
        output, share = _run(command)
        used = service.cpu_seconds() - before
    count, microseconds, p50, p99, failed, wrong, example = output.splitlines()[-1].split("\t", 6)
    if int(failed) or int(wrong) or not int(count):
        raise BenchError(
            f"{work.title}: of {count} requests {failed} failed and {wrong} had a wrong response, "
            f"such as: {example}"
        )
    if share > _BUSY and not pause_ms:
        raise BenchError(
            f"{work.title}: wrk used {share:.0%} of its core, so it was the bottleneck."
        )
    rate, cpu = int(count) / int(microseconds) * 1e6, used / int(count) * 1e6
    return Load(rate, cpu, float(p50) / 1e3, float(p99) / 1e3, int(count))


def send(port: int, request: Request) -> tuple[int, str]:
    """Send one request, and return the status and body of its response."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(request.method, request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        return response.status, response.read().decode()


def _run(command: list[str]) -> tuple[str, float]:
    """Return the output of wrk and its share of a core."""
    started = perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            output = process.stdout.read()
        except BaseException:
            process.kill()
            raise
        # Instead of process.wait(), because it also returns the resource usage.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"wrk failed: {output}")
    return output, (usage.ru_utime + usage.ru_stime) / (perf_counter() - started)
