"""The same works on a small, a usual and a large store."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any

from bench import works
from bench.bench import BEHIND_A_PROXY, Bench
from bench.engines import Engine
from bench.figures import Figure, Wanted, ratio
from bench.parts.login import new_accounts
from bench.parts.stream import whole_list
from bench.picture import Curves
from bench.processes import Service
from bench.seed import Dataset

# Three stores take three times as long; a part compares with nothing else than itself.
_SECONDS = 2

Cost = tuple[float, float]
"""Microseconds for one: of time, and of the server's processor."""
Measure = Callable[[Service, Dataset], Cost]


def scale(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """what all of this costs with few, with more and with many accounts"""
    plan = bench.plan
    with ExitStack() as stack:
        stores = {size: stack.enter_context(bench.dataset(engine, size)) for size in plan.sizes}
        servers = {
            size: stack.enter_context(bench.gatehouse(data, BEHIND_A_PROXY))
            for size, data in stores.items()
        }
        for title, measure in _measures(bench).items():
            costs: dict[int, list[Cost]] = {size: [] for size in plan.sizes}
            for _ in bench.rounds:
                for size, data in stores.items():
                    costs[size].append(measure(servers[size], data))
            times = {size: [time for time, _ in found] for size, found in costs.items()}
            cpu = {size: [used for _, used in found] for size, found in costs.items()}
            bench.record("scale", engine, title, microseconds=times, cpu=cpu)
            yield Figure(
                f"{title}, {plan.large:,} accounts",
                _shown(median(times[plan.large])),
                f"{plan.small:,} accounts: {_shown(median(times[plan.small]))}",
                ratio(times[plan.large], times[plan.small]),
                Wanted(1.3, "≤"),
                f"by CPU {ratio(cpu[plan.large], cpu[plan.small]):.2f}",
            )


def _measures(bench: Bench) -> dict[str, Measure]:
    """A title, and how to get the cost of one."""

    def by_load(work_of: Callable[[Dataset], works.Work]) -> Measure:
        def loaded(ours: Service, data: Dataset) -> Cost:
            load = bench.hammer(ours, work_of(data), _SECONDS)
            return 1e6 / load.rate, load.cpu

        return loaded

    def streamed(ours: Service, data: Dataset) -> Cost:
        before = ours.cpu_seconds()
        found = whole_list(ours, data.size)
        used = ours.cpu_seconds() - before
        return found.seconds / found.accounts * 1e6, used / found.accounts * 1e6

    return {
        "`GET /users/@self`": by_load(works.who_am_i),
        "`users.self`": by_load(works.rpc_self),
        "`users.check`": by_load(works.check),
        f"batch of {works.BATCH} `users.check`": by_load(works.batch),
        "`GET /users?limit=100`": by_load(works.pages),
        "`users.auth`": by_load(works.log_in),
        "`users.create`": by_load(lambda _: new_accounts(bench)),
        "`GET /users`, for each account": streamed,
    }


def _shown(microseconds: float) -> str:
    return f"{microseconds:,.1f} µs" if microseconds < 100 else f"{microseconds:,.0f} µs"


def curves(measured: Iterable[Mapping[str, Any]]) -> Curves:
    """The medians of this part, from a run's record."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for record in measured:
        if record["part"] == "scale":
            medians = {size: median(costs) for size, costs in record["microseconds"].items()}
            found.setdefault(record["engine"], {})[record["work"]] = medians
    return found
