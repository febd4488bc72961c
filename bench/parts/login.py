"""Logging in and signing up, held against the password hash alone."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from statistics import median

from bench import works
from bench.accounts import PASSWORD
from bench.bench import BEHIND_A_PROXY, Bench
from bench.engines import Engine
from bench.figures import Figure, Wanted, ratio
from bench.load import Load
from bench.parts.hot import RATE, aside, summary
from bench.processes import pinned, python
from bench.seed import Dataset
from bench.works import Work

# More than any core hashes.
SIGN_UPS_PER_SECOND = 150
# With as many connections as ever, some 300 requests in a second: as people would ask meanwhile.
_PAUSE_MS = 100


def login(bench: Bench, engine: Engine) -> Iterator[Figure]:
    """logging in and signing up, against argon2 alone; who am I while all cores hash"""
    with bench.dataset(engine, bench.plan.usual) as data:
        yield from _against_argon2(bench, engine, data)
        yield _meanwhile(bench, engine, data)


def _against_argon2(bench: Bench, engine: Engine, data: Dataset) -> Iterator[Figure]:
    alone, logins, sign_ups = [], [], []
    with bench.gatehouse(data, BEHIND_A_PROXY) as ours:
        for _ in bench.rounds:
            alone.append(_argon2_alone(bench))
            logins.append(bench.hammer(ours, works.log_in(data)))
            sign_ups.append(bench.hammer(ours, new_accounts(bench)))
    for work, loads in (("users.auth", logins), ("users.create", sign_ups)):
        bench.record(
            "login",
            engine,
            work,
            argon2_alone=[asdict(load) for load in alone],
            rounds=[asdict(load) for load in loads],
        )
        yield Figure(
            f"`{work}`",
            summary(loads),
            f"argon2 alone: {summary(alone)}",
            ratio(map(RATE, loads), map(RATE, alone)),
            Wanted(0.90, "≥"),
            aside(alone, loads),
        )


def new_accounts(bench: Bench) -> Work:
    """As many to sign up as can be in one measurement."""
    return bench.sign_ups(bench.plan.seconds * SIGN_UPS_PER_SECOND)


def _argon2_alone(bench: Bench) -> Load:
    module = python("bench.yardsticks.hashing", bench.hashed, PASSWORD, str(bench.plan.seconds))
    command = pinned(bench.plan.server_core, *module)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, cpu = map(float, said.split())
    return Load(rate, cpu, 1e3 / rate, 1e3 / rate)


def _meanwhile(bench: Bench, engine: Engine, data: Dataset) -> Figure:
    """Who am I, while others log in: the server may use all cores, and the load shares them."""
    asked, hashing = [], []
    work, crowd = works.who_am_i(data), works.log_in(data)
    with bench.gatehouse(data, BEHIND_A_PROXY, pin=False) as ours, ThreadPoolExecutor(1) as aside:
        for _ in bench.rounds:
            # From a second before to a second after.
            logins = aside.submit(bench.hammer, ours, crowd, bench.plan.seconds + 2)
            bench.hammer(ours, work, 1, pause_ms=_PAUSE_MS, alone=False)
            asked.append(bench.hammer(ours, work, pause_ms=_PAUSE_MS, alone=False))
            hashing.append(logins.result())
    bench.record(
        "login",
        engine,
        "self meanwhile",
        rounds=[asdict(load) for load in asked],
        logins=[asdict(load) for load in hashing],
    )
    return Figure(
        "`GET /users/@self` while all cores hash",
        f"{median(load.rate for load in asked):,.0f}/s",
        f"meanwhile {median(load.rate for load in hashing):.1f} logins/s",
        median(load.p99 for load in asked),
        Wanted(25, "<", "ms"),
    )
