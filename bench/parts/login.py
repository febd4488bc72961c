"""Logins and registrations, against the password hash alone."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from statistics import median

from bench import works
from bench.accounts import PASSWORD
from bench.bench import BEHIND_A_PROXY, Bench
from bench.figures import Figure, Target, ratio
from bench.load import Load
from bench.parts.requests import summary
from bench.processes import pinned, python
from bench.seed import Dataset
from bench.works import Work

# More than any core can hash.
SIGN_UPS_PER_SECOND = 150
# Times as long as other measurements: a hash that is not finished at the end counts as none.
_LONGER = 3
# With all connections about 300 requests per second, a realistic rate.
_PAUSE_MS = 100


def login(bench: Bench) -> Iterator[Figure]:
    """logins and registrations, against argon2 alone; `GET /users/@self` while all cores hash"""
    with bench.dataset() as data:
        yield from _against_argon2(bench, data)
        yield _meanwhile(bench, data)


def _against_argon2(bench: Bench, data: Dataset) -> Iterator[Figure]:
    alone, logins, sign_ups = [], [], []
    seconds = _LONGER * bench.plan.seconds
    with bench.gatehouse(data, BEHIND_A_PROXY) as ours:
        for _ in bench.rounds:
            alone.append(_argon2_alone(bench))
            logins.append(bench.hammer(ours, works.log_in(data), seconds))
            sign_ups.append(bench.hammer(ours, new_accounts(bench, seconds), seconds))
    bench.record("login", "argon2 alone", rounds=[asdict(load) for load in alone])
    for work, loads, least in (("users.auth", logins, 0.97), ("users.create", sign_ups, 0.90)):
        bench.record("login", work, rounds=[asdict(load) for load in loads])
        yield Figure(
            f"`{work}`",
            summary(loads),
            f"argon2 alone: {summary(alone)}",
            ratio([load.cpu for load in alone], [load.cpu for load in loads]),
            Target(least, "≥"),
            [load.others for load in (*alone, *loads)],
        )


def new_accounts(bench: Bench, seconds: int) -> Work:
    """Return more registrations than fit into a measurement of so many seconds."""
    return bench.sign_ups(seconds * SIGN_UPS_PER_SECOND)


def _argon2_alone(bench: Bench) -> Load:
    module = python("bench.yardsticks.hashing", bench.hashed, PASSWORD, str(bench.plan.seconds))
    command = pinned(bench.plan.server_core, *module)
    with bench.watch() as use:
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, cpu = map(float, output.split())
    return Load(rate, cpu, 1e3 / rate, 1e3 / rate, others=use.others)


def _meanwhile(bench: Bench, data: Dataset) -> Figure:
    """Measure `GET /users/@self` during logins; server and load share all cores."""
    asked, hashing = [], []
    work, crowd = works.who_am_i(data), works.log_in(data)
    with bench.gatehouse(data, BEHIND_A_PROXY, pin=False) as ours, ThreadPoolExecutor(1) as aside:
        for _ in bench.rounds:
            # The logins run from a second before to a second after the measurement.
            logins = aside.submit(bench.hammer, ours, crowd, bench.plan.seconds + 2, alone=False)
            bench.hammer(ours, work, 1, pause_ms=_PAUSE_MS, alone=False)
            asked.append(bench.hammer(ours, work, pause_ms=_PAUSE_MS, alone=False))
            hashing.append(logins.result())
    bench.record(
        "login",
        "self meanwhile",
        rounds=[asdict(load) for load in asked],
        logins=[asdict(load) for load in hashing],
    )
    return Figure(
        "`GET /users/@self` while all cores hash",
        f"{median(load.rate for load in asked):,.0f}/s",
        f"meanwhile {median(load.rate for load in hashing):.1f} logins/s",
        median(load.p99 for load in asked),
        Target(25, "<", "ms"),
        [load.others for load in hashing],
    )
