"""Description of the machine and the software of a run."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from bench.engines import Engine

_PACKAGES = (
    "gatehouse",
    "uvicorn",
    "uvloop",
    "httptools",
    "fastapi",
    "sqlalchemy",
    "pynacl",
    "argon2-cffi",
)


def describe_machine(engines: Iterable[Engine]) -> dict[str, str]:
    """Return the properties by name."""
    return {
        "cores": f"{len(os.sched_getaffinity(0))} × {_processor()}",
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "Python": platform.python_version(),
        "engines": ", ".join(engine.version() for engine in engines),
        "load": f"wrk {_wrk_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return platform.machine() if found is None else found[1]


def _memory_gib() -> float:
    pages: int = os.sysconf("SC_PHYS_PAGES")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def _wrk_version() -> str:
    # It exits with a failure after printing the version.
    output = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", output)
    return "" if found is None else found[0]
