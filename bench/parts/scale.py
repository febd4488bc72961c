"""The same requests on a small and a large store."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median

from bench import works
from bench.bench import BEHIND_A_PROXY, Bench
from bench.figures import Figure, Target, ratio
from bench.parts.login import new_accounts
from bench.parts.stream import whole_list
from bench.processes import Service
from bench.seed import Dataset

# Shorter, because the results are compared only with each other.
_SECONDS = 1

Measure = Callable[[Service, Dataset], tuple[float, float]]
"""Return the CPU time per request of server and database, and the share of other programs."""


def scale(bench: Bench) -> Iterator[Figure]:
    """the cost of each request by the number of accounts, including the database's"""
    small, large = bench.plan.small, bench.plan.large
    with ExitStack() as stack:
        stores = {size: stack.enter_context(bench.dataset(size)) for size in (small, large)}
        servers = {
            size: stack.enter_context(bench.gatehouse(data, BEHIND_A_PROXY))
            for size, data in stores.items()
        }
        for title, measure in _measures(bench).items():
            costs: dict[int, list[float]] = {size: [] for size in stores}
            shares = []
            for _ in bench.rounds:
                for size, data in stores.items():
                    cost, others = measure(servers[size], data)
                    costs[size].append(cost)
                    shares.append(others)
            bench.record("scale", title, cpu=costs)
            yield Figure(
                f"{title}, {large:,} accounts",
                _shown(costs[large]),
                f"{small:,} accounts: {_shown(costs[small])}",
                ratio(costs[large], costs[small]),
                Target(1.3, "≤"),
                shares,
            )


def _measures(bench: Bench) -> dict[str, Measure]:
    """Return the measurements by title."""

    def by_load(work_of: Callable[[Dataset], works.Work]) -> Measure:
        def loaded(ours: Service, data: Dataset) -> tuple[float, float]:
            load = bench.hammer(ours, work_of(data), _SECONDS)
            return load.cpu + load.database, load.others

        return loaded

    def streamed(ours: Service, data: Dataset) -> tuple[float, float]:
        with bench.watch() as use:
            before = ours.cpu_seconds()
            found = whole_list(ours, data.size)
            used = ours.cpu_seconds() - before + use.database
        return used / found.accounts * 1e6, use.others

    return {
        "`GET /users/@self`": by_load(works.who_am_i),
        "`users.check`": by_load(works.check),
        f"batch of {works.BATCH} `users.check`": by_load(works.batch),
        "`GET /users?limit=100`": by_load(works.pages),
        "`users.presence`": by_load(works.presence),
        "`users.auth`": by_load(works.log_in),
        "`users.create`": by_load(lambda _: new_accounts(bench, bench.plan.seconds)),
        "`GET /users`, for each account": streamed,
    }


def _shown(costs: list[float]) -> str:
    cost = median(costs)
    return f"{cost:,.1f} µs CPU" if cost < 100 else f"{cost:,.0f} µs CPU"
