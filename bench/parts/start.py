"""Start of a server until its first response, and memory of a worker."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter

from bench import works
from bench.bench import BEHIND_A_PROXY, Bench
from bench.figures import Figure, Target, ratio
from bench.processes import Service

_MB = 1e6
_WORKS = (
    works.who_am_i,
    works.rpc_self,
    works.check,
    works.batch,
    works.first_page,
    works.pages,
    works.presence,
)


@dataclass(frozen=True, slots=True)
class Started:
    """A start: seconds to the first response, CPU time until then, and the memory in bytes."""

    seconds: float
    cpu: float
    memory: int


def start(bench: Bench) -> Iterator[Figure]:
    """start to the first response, against a minimal FastAPI application; memory of a worker"""
    ours, bare, shares = [], [], []
    with bench.dataset() as data:
        # The first start compiles the bytecode.
        _start(bench.gatehouse(data))
        _start(bench.yardstick("minimal"))
        for _ in bench.rounds:
            with bench.watch() as use:
                ours.append(_start(bench.gatehouse(data)))
                bare.append(_start(bench.yardstick("minimal")))
            shares.append(use.others)
        with bench.gatehouse(data, BEHIND_A_PROXY) as server:
            for work_of in _WORKS:
                bench.hammer(server, work_of(data), 1)
            loaded = server.memory()
    rounds, baseline = [asdict(once) for once in ours], [asdict(once) for once in bare]
    bench.record("start", "start", rounds=rounds, bare=baseline, loaded=loaded)
    yield Figure(
        "start to the first response",
        _summary(ours),
        f"bare FastAPI: {_summary(bare)}",
        ratio([once.cpu for once in ours], [once.cpu for once in bare]),
        Target(1.5, "≤"),
        shares,
    )
    memory = median(once.memory for once in ours) / _MB
    yield Figure("memory of a worker after its start", "", "", memory, Target(80, "≤", "MB"))
    yield Figure("memory of a worker after work", "", "", loaded / _MB, Target(100, "≤", "MB"))


def _start(starting: AbstractContextManager[Service]) -> Started:
    began = perf_counter()
    with starting as server:
        return Started(perf_counter() - began, server.cpu_seconds(), server.memory())


def _summary(starts: list[Started]) -> str:
    seconds, cpu = median(once.seconds for once in starts), median(once.cpu for once in starts)
    return f"{cpu:.2f} s CPU, {seconds:.2f} s"
