"""The whole list in one answer: what memory it takes, and how soon it begins."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from statistics import median
from time import perf_counter

from bench.bench import Bench
from bench.engines import Engine
from bench.figures import Figure, Wanted
from bench.processes import BenchError, Service
from bench.seed import ADMIN_KEY

_MB = 1e6
_CHUNK = 1 << 20
_TIMEOUT = 120


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came of reading the whole list once."""

    first_byte: float
    """Milliseconds to the first byte of the body."""
    seconds: float
    accounts: int
    growth: float
    """Bytes that the server's memory grew by at the most."""


def stream(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """the whole list: growth of memory, time to the first byte"""
    found = []
    with bench.dataset(engine, bench.plan.usual) as data:
        for _ in bench.rounds:
            # A new process each time: what grew once may stay, and would hide the next growth.
            with bench.gatehouse(data) as ours:
                _read(ours, "/users?limit=100")
                found.append(whole_list(ours, data.size))
    bench.record("stream", engine, "GET /users", rounds=[asdict(once) for once in found])
    rate = median(once.accounts / once.seconds for once in found)
    title = f"`GET /users`, {bench.plan.usual:,} accounts"
    growth = median(once.growth / _MB for once in found)
    first = median(once.first_byte for once in found)
    said = f"{rate:,.0f} accounts/s"
    yield Figure(f"{title}: memory grows", said, "", growth, Wanted(32, "<", "MB"))
    yield Figure(f"{title}: first byte", said, "", first, Wanted(100, "<", "ms"))


def whole_list(ours: Service, least: int) -> Streamed:
    """Read the whole list. Raises BenchError where accounts are missing."""
    ours.settle()
    before = ours.memory()
    ours.forget_peak()
    first_byte, seconds, accounts = _read(ours, "/users")
    if accounts < least:
        raise BenchError(f"The list has {accounts} accounts where {least} are stored.")
    return Streamed(first_byte, seconds, accounts, ours.memory("VmHWM") - before)


def _read(ours: Service, path: str) -> tuple[float, float, int]:
    """Milliseconds to the first byte, seconds to the last, and how many accounts came."""
    connection = HTTPConnection("127.0.0.1", ours.port, timeout=_TIMEOUT)
    try:
        started = perf_counter()
        connection.request("GET", path, headers={"X-Access-Token": ADMIN_KEY})
        response = connection.getresponse()
        rest = response.read(1)
        first_byte = (perf_counter() - started) * 1e3
        accounts = 0
        while chunk := response.read1(_CHUNK):
            # A key that a chunk ends in the middle of is counted with the next one.
            rest += chunk
            accounts += rest.count(b'"username":')
            rest = rest[-len(b'"username":') + 1 :]
        return first_byte, perf_counter() - started, accounts
    finally:
        connection.close()
