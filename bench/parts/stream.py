"""The complete list in one response: memory, and time to the first byte."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from statistics import median
from time import perf_counter

from bench.bench import Bench
from bench.figures import Figure, Target
from bench.processes import BenchError, Service
from bench.seed import ADMIN_KEY

_MB = 1e6
_CHUNK = 1 << 20
_TIMEOUT = 120


@dataclass(frozen=True, slots=True)
class Streamed:
    """Result of reading the complete list once."""

    first_byte: float
    """Milliseconds to the first byte of the body."""
    seconds: float
    accounts: int
    growth: float
    """Peak growth of the memory of the server in bytes."""


def stream(bench: Bench) -> Iterator[Figure]:
    """the complete list: growth of memory, time to the first byte"""
    found, shares = [], []
    with bench.dataset() as data:
        for _ in bench.rounds:
            # A new process each time, since memory that has grown once hides the next growth.
            with bench.gatehouse(data) as ours:
                _read(ours, "/users?limit=100")
                with bench.watch() as use:
                    found.append(whole_list(ours, data.size))
                shares.append(use.others)
    bench.record("stream", "GET /users", rounds=[asdict(once) for once in found])
    rate = median(once.accounts / once.seconds for once in found)
    title = f"`GET /users`, {bench.plan.usual:,} accounts"
    growth = median(once.growth / _MB for once in found)
    first = median(once.first_byte for once in found)
    said = f"{rate:,.0f} accounts/s"
    yield Figure(f"{title}: memory grows", said, "", growth, Target(32, "<", "MB"), shares)
    yield Figure(f"{title}: first byte", said, "", first, Target(100, "<", "ms"), shares)


def whole_list(ours: Service, least: int) -> Streamed:
    """Read the complete list. Raises BenchError if accounts are missing."""
    ours.settle()
    before = ours.memory()
    ours.reset_peak()
    first_byte, seconds, accounts = _read(ours, "/users")
    if accounts < least:
        raise BenchError(f"The list has {accounts} accounts, but {least} are stored.")
    return Streamed(first_byte, seconds, accounts, ours.memory("VmHWM") - before)


def _read(ours: Service, path: str) -> tuple[float, float, int]:
    """Return milliseconds to the first byte, seconds to the last, and the number of accounts."""
    connection = HTTPConnection("127.0.0.1", ours.port, timeout=_TIMEOUT)
    try:
        started = perf_counter()
        connection.request("GET", path, headers={"X-Access-Token": ADMIN_KEY})
        response = connection.getresponse()
        rest = response.read(1)
        first_byte = (perf_counter() - started) * 1e3
        accounts = 0
        while chunk := response.read1(_CHUNK):
            # A key that is split between two chunks is counted with the second one.
            rest += chunk
            accounts += rest.count(b'"username":')
            rest = rest[-len(b'"username":') + 1 :]
        return first_byte, perf_counter() - started, accounts
    finally:
        connection.close()
