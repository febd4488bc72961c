"""Requests to one worker with 32 connections, against a bare ASGI function."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from statistics import mean, median

from bench.bench import BEHIND_A_PROXY, Bench
from bench.figures import Figure, Target, ratio
from bench.load import Load
from bench.processes import Service
from bench.works import BATCH, WORKS, Work


@dataclass(frozen=True, slots=True)
class Row:
    """A work, the method of the baseline, and the least ratio by engine."""

    method: str
    least: Mapping[str, float] = field(default_factory=dict)
    is_forwarded: bool = False


# By work. Without a target, the figure is only compared with the previous run.
_ROWS = {
    "self": Row("GET", {"SQLite": 0.60, "PostgreSQL": 0.20}),
    "rpc": Row("POST", {"SQLite": 0.50, "PostgreSQL": 0.12}),
    "check": Row("POST", {"SQLite": 0.30, "PostgreSQL": 0.20}, is_forwarded=True),
    "exists": Row("GET", {"SQLite": 0.30}, is_forwarded=True),
    "list": Row("GET", {"SQLite": 0.40, "PostgreSQL": 0.05}),
    "pages": Row("GET", {"SQLite": 0.10}),
    "presence": Row("POST", {"SQLite": 0.10}),
    "401": Row("GET"),
    "404": Row("GET"),
    "429": Row("GET"),
    # Against single calls.
    "batch": Row("POST", is_forwarded=True),
}
_BATCHED_BY_AT_LEAST = 10
_BASELINES = {"GET": "self", "POST": "rpc"}
# Works that take long to prepare; their requests repeat only after many others.
_REPEATED = {"batch"}


def requests(bench: Bench) -> Iterator[Figure]:
    """requests to one worker, against a bare ASGI function; batches against single calls"""
    chosen = bench.plan.works or _ROWS.keys()
    rows = {name: row for name, row in _ROWS.items() if name in chosen}
    with ExitStack() as stack:
        enter = stack.enter_context
        data = enter(bench.dataset())
        bare = enter(bench.yardstick("bare"))
        # One as it ships, and one that takes the client's address from a header.
        servers = {
            is_forwarded: enter(bench.gatehouse(enter(bench.dataset()), settings))
            for is_forwarded, settings in ((False, None), (True, BEHIND_A_PROXY))
        }
        methods = {row.method: _BASELINES[row.method] for row in rows.values()}
        fixed = {name: WORKS[name](data) for name in {*methods.values(), *rows.keys() & _REPEATED}}
        titles = {}

        def measure(name: str, seconds: int | None = None) -> Load:
            work = fixed.get(name) or WORKS[name](data)
            titles[name] = work.title
            return bench.hammer(servers[_ROWS[name].is_forwarded], work, seconds)

        for name in rows:
            measure(name, 1)
        baselines = [_baselines(bench, bare, methods, fixed)]
        loads: dict[str, list[Load]] = {name: [] for name in rows}
        for _ in bench.rounds:
            for name in rows:
                loads[name].append(measure(name))
            baselines.append(_baselines(bench, bare, methods, fixed))
    for method in methods:
        bench.record("requests", f"bare {method}", rounds=[asdict(b[method]) for b in baselines])
    for name, found in loads.items():
        bench.record("requests", titles[name], rounds=[asdict(load) for load in found])
        if name != "batch":
            yield _against_bare(bench.engine.name, titles[name], rows[name], found, baselines)
    if {"batch", "check"} <= rows.keys():
        yield _against_single(titles["batch"], loads["batch"], loads["check"])


def _baselines(
    bench: Bench, bare: Service, methods: Mapping[str, str], works: Mapping[str, Work]
) -> dict[str, Load]:
    """Measure the bare function, which never waits for anything, by method."""
    return {
        method: bench.hammer(bare, replace(works[name], answer='"username":'))
        for method, name in methods.items()
    }


def _against_bare(
    engine: str, title: str, row: Row, loads: Sequence[Load], baselines: Sequence[dict[str, Load]]
) -> Figure:
    bare = [both[row.method] for both in baselines]
    # Each round is between two baselines.
    around = [mean((a.cpu, b.cpu)) for a, b in pairwise(bare)]
    return Figure(
        title,
        summary(loads),
        f"bare {row.method}: {summary(bare)}",
        ratio(around, [load.cpu for load in loads]),
        Target(row.least.get(engine), "≥"),
        [load.others for load in (*loads, *bare)],
    )


def _against_single(title: str, batches: Sequence[Load], singles: Sequence[Load]) -> Figure:
    return Figure(
        title,
        f"{median(load.cpu for load in batches) / BATCH:,.1f} µs CPU a call",
        f"one by one: {summary(singles)}",
        BATCH * ratio([load.cpu for load in singles], [load.cpu for load in batches]),
        Target(_BATCHED_BY_AT_LEAST, "≥"),
        [load.others for load in (*batches, *singles)],
    )


def summary(loads: Sequence[Load]) -> str:
    """Format the medians of the rounds."""
    names = ("rate", "cpu", "p50", "p99")
    return str(Load(*(median(getattr(load, name) for load in loads) for name in names)))
