"""One client at a time, and two workers."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from statistics import median
from time import perf_counter

import asyncpg

from bench import works
from bench.bench import Bench
from bench.figures import Figure, Target, ratio
from bench.load import Load
from bench.seed import Dataset

_WRITE_MS, _COMMITS = 8.0, 3
_COMMITTED = 50


def clients(bench: Bench) -> Iterator[Figure]:
    """requests of one client, and two workers against one; only where queries are round trips"""
    if bench.engine.name != "PostgreSQL":
        return
    self_, writes, commits = [], [], []
    with bench.dataset() as data, bench.gatehouse(data) as one:
        asked, write = works.who_am_i(data), works.presence(data)
        for _ in bench.rounds:
            commits.append(asyncio.run(_commit_ms(data)))
            self_.append(bench.hammer(one, asked, connections=1))
            writes.append(bench.hammer(one, write, connections=1))
    bench.record("clients", asked.title, rounds=[asdict(load) for load in self_])
    bench.record("clients", write.title, rounds=[asdict(load) for load in writes], commits=commits)
    yield _of_one_client(asked.title, self_, "", 1.0)
    bare = median(commits)
    yield _of_one_client(
        write.title, writes, f"bare commit: {bare:.2f} ms", max(_WRITE_MS, _COMMITS * bare)
    )
    yield _two_workers(bench)


def _of_one_client(title: str, loads: list[Load], bare: str, most: float) -> Figure:
    return Figure(
        f"{title}: median of one client",
        f"{median(load.cpu for load in loads):,.0f} µs CPU",
        bare,
        median(load.p50 for load in loads),
        Target(round(most, 1), "≤", "ms"),
        [load.others for load in loads],
    )


async def _commit_ms(data: Dataset) -> float:
    """Return the median of commits of one row, without Gatehouse."""
    connection = await asyncpg.connect(data.settings["database_url"])
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS bench_commit (n int)")
        took = []
        for n in range(_COMMITTED):
            started = perf_counter()
            await connection.execute("INSERT INTO bench_commit VALUES ($1)", n)
            took.append((perf_counter() - started) * 1e3)
        return median(took)
    finally:
        await connection.close()


def _two_workers(bench: Bench) -> Figure:
    """Compare the CPU time per request, since the load and the database share the cores."""
    found: dict[str, list[Load]] = {"1": [], "2": []}
    with bench.dataset() as data:
        work = works.who_am_i(data)
        for _ in bench.rounds:
            for workers, loads in found.items():
                with bench.gatehouse(data, {"workers": workers}, pin=False) as ours:
                    bench.hammer(ours, work, 1)
                    loads.append(bench.hammer(ours, work))
    one, two = ([load.cpu for load in loads] for loads in found.values())
    bench.record("clients", "workers", one=one, two=two)
    return Figure(
        f"{work.title}: two workers against one",
        f"{median(two):,.0f} µs CPU",
        f"one: {median(one):,.0f} µs CPU",
        2 * ratio(one, two),
        Target(1.8, "≥"),
        [load.others for loads in found.values() for load in loads],
    )
