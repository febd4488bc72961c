"""From the start of the process to the first answer, and what a worker takes of memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from statistics import median
from time import perf_counter

from bench import works
from bench.bench import BEHIND_A_PROXY, Bench
from bench.engines import Engine
from bench.figures import Figure, Wanted, ratio
from bench.processes import Service

_MB = 1e6


def start(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """start to the first answer, against a bare FastAPI application; memory after some work"""
    with bench.dataset(engine, bench.plan.usual) as data:
        ours, bare = [], []
        # The first time, Python compiles what it then keeps.
        _seconds_to_start(bench.gatehouse(data))
        _seconds_to_start(bench.yardstick("minimal"))
        for _ in bench.rounds:
            ours.append(_seconds_to_start(bench.gatehouse(data)))
            bare.append(_seconds_to_start(bench.yardstick("minimal")))
        with bench.gatehouse(data, BEHIND_A_PROXY) as server:
            for work in (
                works.who_am_i,
                works.rpc_self,
                works.check,
                works.batch,
                works.first_page,
                works.pages,
            ):
                bench.hammer(server, work(data), 1)
            memory = server.memory()
    bench.record("start", engine, "start", seconds=ours, bare=bare, memory=memory)
    yield Figure(
        "start to first answer, on a store that is there",
        f"{median(ours):.2f} s",
        f"bare FastAPI: {median(bare):.2f} s",
        ratio(ours, bare),
        Wanted(1.5, "≤"),
    )
    yield Figure("memory of a worker after work", "", "", memory / _MB, Wanted(100, "<", "MB"))


def _seconds_to_start(starting: AbstractContextManager[Service]) -> float:
    started = perf_counter()
    with starting:
        return perf_counter() - started
