"""What is asked most, held against a bare ASGI function that is asked the same."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from operator import attrgetter
from statistics import median

from bench import works
from bench.bench import BEHIND_A_PROXY, Bench
from bench.engines import Engine
from bench.figures import Figure, Wanted, ratio
from bench.load import Load
from bench.processes import Service
from bench.seed import Dataset
from bench.works import Work

_UNDISTURBED = 0.8
RATE, CPU = attrgetter("rate"), attrgetter("cpu")


def self_(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """who am I, at the REST door, against a bare GET"""
    return _against_bare(bench, engine, "self", works.who_am_i, 0.50)


def check(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """single calls at the chat's door, against a bare POST"""
    yield from _against_bare(bench, engine, "check", works.rpc_self, 0.45)
    yield from _against_bare(bench, engine, "check", works.check, 0.45, BEHIND_A_PROXY)


def list_(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """a page of the list, the first one and others, against a bare GET"""
    yield from _against_bare(bench, engine, "list", works.first_page, 0.12)
    yield from _against_bare(bench, engine, "list", works.pages, 0.12)


def batch(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """calls in batches, against single calls"""
    with (
        bench.dataset(engine, bench.plan.usual) as data,
        bench.gatehouse(data, BEHIND_A_PROXY) as ours,
    ):
        many, single = works.batch(data), works.check(data)
        batches, singles = interleaved(bench, "batch", engine, [(ours, many), (ours, single)])
    calls = [load.rate * works.BATCH for load in batches]
    yield Figure(
        many.title,
        f"{median(calls):,.0f} calls/s",
        f"{median(map(RATE, singles)):,.0f} calls/s one by one",
        ratio(calls, map(RATE, singles)),
        Wanted(10, "≥"),
        f"by CPU {works.BATCH * ratio(map(CPU, singles), map(CPU, batches)):.2f}",
    )


def _against_bare(
    bench: Bench,
    engine: Engine,
    part: str,
    work_of: Callable[[Dataset], Work],
    bound: float,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Figure]:
    with (
        bench.dataset(engine, bench.plan.usual) as data,
        bench.gatehouse(data, settings) as ours,
        bench.yardstick("bare") as bare,
    ):
        work = work_of(data)
        pair = [(bare, Work(work.title, work.requests, '"username":')), (ours, work)]
        theirs, mine = interleaved(bench, part, engine, pair)
    yield Figure(
        work.title,
        summary(mine),
        f"bare: {summary(theirs)}",
        ratio(map(RATE, mine), map(RATE, theirs)),
        Wanted(bound, "≥"),
        aside(theirs, mine),
    )


def aside(theirs: list[Load], mine: list[Load]) -> str:
    """The ratio by what the processor did, and whether others took much of it."""
    by_cpu = f"by CPU {ratio(map(CPU, theirs), map(CPU, mine)):.2f}"
    # The yardstick waits for nothing: what it did not get of its core, others took.
    is_disturbed = median(load.share for load in theirs) < _UNDISTURBED
    return f"{by_cpu}, disturbed" if is_disturbed else by_cpu


def interleaved(
    bench: Bench, part: str, engine: Engine, jobs: list[tuple[Service, Work]]
) -> list[list[Load]]:
    """The loads of each job, one of a round. Each is warmed up by a second that does not count."""
    loads: list[list[Load]] = [[] for _ in jobs]
    for target, work in jobs:
        bench.hammer(target, work, 1)
    for _ in bench.rounds:
        for (target, work), found in zip(jobs, loads, strict=True):
            found.append(bench.hammer(target, work))
    for (_, work), found in zip(jobs, loads, strict=True):
        bench.record(part, engine, work.title, rounds=[asdict(load) for load in found])
    return loads


def summary(loads: list[Load]) -> str:
    """The medians, for people."""
    names = ("rate", "cpu", "p50", "p99")
    return str(Load(*(median(getattr(load, name) for load in loads) for name in names)))
