"""The load: wrk on a core of its own, which repeats prepared requests and looks at every answer."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter

from bench.processes import BenchError, Service, pinned, require
from bench.works import Work

CONNECTIONS = 32
_SCRIPT = Path(__file__).with_name("load.lua")
# Above this share of its core the load, and not the server, decides the rate.
_BUSY = 0.9
_TIMEOUT = "30s"


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a work."""

    rate: float
    """Requests in a second."""
    cpu: float
    """Microseconds of processor that the server used for a request."""
    p50: float
    p99: float
    """Milliseconds."""

    @property
    def share(self) -> float:
        """What the server had of a core."""
        return self.rate * self.cpu / 1e6

    def __str__(self) -> str:
        digits = 0 if self.rate >= 100 else 1
        return f"{self.rate:,.{digits}f}/s, {self.cpu:,.0f} µs CPU, p99 {self.p99:.1f} ms"


def require_wrk() -> None:
    """Raise BenchError where there is nothing to make the load with."""
    require("wrk", "wrk")
    require("taskset", "util-linux")


def hammer(service: Service, work: Work, *, core: int, seconds: int, pause_ms: int = 0) -> Load:
    """Repeat the work for so long. Raises BenchError where an answer is not right."""
    with NamedTemporaryFile(prefix="requests-") as file:
        for request in work.requests:
            raw = request.raw()
            file.write(b"%d\n%b" % (len(raw), raw))
        file.flush()
        command = pinned(core, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s")
        command += ["--timeout", _TIMEOUT, "--script", str(_SCRIPT)]
        command += [f"http://127.0.0.1:{service.port}", file.name, work.answer, str(pause_ms)]
        before = service.cpu_seconds()
        said, share = _run(command)
        used = service.cpu_seconds() - before
    count, microseconds, p50, p99, failed, wrong, example = said.splitlines()[-1].split("\t", 6)
    if int(failed) or int(wrong) or not int(count):
        raise BenchError(
            f"{work.title}: of {count} requests {failed} failed and {wrong} were answered wrongly, "
            f"such as: {example}"
        )
    if share > _BUSY and not pause_ms:
        raise BenchError(
            f"{work.title}: wrk used {share:.0%} of its core, so it was the bottleneck."
        )
    rate = int(count) / int(microseconds) * 1e6
    return Load(rate, used / int(count) * 1e6, float(p50) / 1e3, float(p99) / 1e3)


def _run(command: list[str]) -> tuple[str, float]:
    """What wrk says, and its share of a core."""
    started = perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.read()
        except BaseException:
            process.kill()
            raise
        # In the place of wait(), for the sake of the third thing it tells.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"wrk failed: {said}")
    return said, (usage.ru_utime + usage.ru_stime) / (perf_counter() - started)
