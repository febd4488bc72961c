"""Command line: `python -m bench --help`."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from bench import profile, timing, upstream
from bench.bench import Bench, Plan
from bench.engines import Engine, Postgresql, Sqlite
from bench.load import require_wrk
from bench.machine import describe_machine
from bench.parts import PARTS
from bench.processes import ROOT, BenchError
from bench.report import Report, read_figures
from bench.seed import settings_with
from bench.works import WORKS

_POSTGRESQL = "BENCH_POSTGRESQL_URL"
_RAW = ROOT / "build" / "bench"
_PAGE = ROOT / "docs" / "benchmarks.md"


def main(arguments: Sequence[str]) -> None:
    """Run what the command line asks for. An error is a sentence and exit status 1."""
    # On SIGTERM, the context managers end the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in [name for name in os.environ if name.startswith("GATEHOUSE_")]:
        del os.environ[name]
    try:
        if arguments[:1] == ["profile"]:
            profile.main(arguments[1:])
        elif arguments[:1] == ["timing"]:
            timing.main(arguments[1:])
        elif arguments[:1] == ["upstream"]:
            upstream.main(arguments[1:])
        else:
            _measure(_parser().parse_args(arguments), arguments)
    except BenchError as error:
        sys.exit(f"bench: {error}")


def _parser() -> argparse.ArgumentParser:
    parts = "\n".join(f"  {name:11} {part.__doc__}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        "python -m bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures Gatehouse against baselines of the same run, by CPU time, and names "
        "what is worse than in docs/benchmarks.md.",
        epilog=f"parts (default: all):\n{parts}\n\n"
        "python -m bench profile WORK   profile of one request\n"
        "python -m bench timing         times of rejected logins by kind of account\n"
        "python -m bench upstream       effects of a misbehaving chat service",
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART")
    add(
        "--engine",
        choices=("sqlite", "postgresql"),
        help="only this engine (default: all that are available)",
    )
    add(
        "--work",
        choices=WORKS,
        action="append",
        default=[],
        help="only this work in the part 'requests'; may be repeated",
    )
    add("--rounds", type=int, default=3, help="alternating rounds of baseline and Gatehouse (3)")
    add("--seconds", type=int, default=2, help="duration of a measurement (2)")
    add(
        "--accounts",
        type=int,
        nargs=3,
        default=(10_000, 100_000, 1_000_000),
        metavar=("FEW", "USUAL", "MANY"),
        help="sizes of the stores (10000 100000 1000000)",
    )
    add(
        "--postgresql",
        default=os.environ.get(_POSTGRESQL, "postgresql://127.0.0.1:5432/postgres"),
        metavar="URL",
        help=f"server to create databases on (%(default)s; {_POSTGRESQL})",
    )
    add("--docs", action="store_true", help="write docs/benchmarks.md; only for a complete run")
    return parser


def _measure(chosen: argparse.Namespace, arguments: Sequence[str]) -> None:
    if unknown := set(chosen.parts) - PARTS.keys():
        raise BenchError(f"There is no part '{unknown.pop()}': see --help.")
    if chosen.docs and (chosen.parts or chosen.work):
        raise BenchError("Only a complete run writes the page: omit parts and works.")
    require_wrk()
    few, usual, many = chosen.accounts
    works = frozenset(chosen.work)
    plan = Plan(chosen.rounds, chosen.seconds, few, usual, many, *_cores(), works)
    engines, problems = _engines(chosen)
    report = Report(
        plan,
        describe_machine(engines),
        datetime.now(UTC),
        shlex.join(["python", "-m", "bench", *arguments]),
        problems=problems,
    )
    _RAW.mkdir(parents=True, exist_ok=True)
    measured: list[dict[str, Any]] = []
    for engine in engines:
        # Not in the temporary folder, which may be in memory, where writes are free.
        with (
            TemporaryDirectory(prefix="gatehouse_bench_", dir=_RAW) as folder,
            Bench(plan, Path(folder), engine, measured) as bench,
        ):
            _run(bench, chosen.parts or list(PARTS), report)
    raw = _RAW / f"{report.made_at:%Y%m%dT%H%M%SZ}.json"
    raw.write_text(report.raw(measured), encoding="utf-8")
    print(report.markdown(), report.losses(read_figures(_PAGE.read_text("utf-8"))), sep="\n\n")
    if chosen.docs:
        _PAGE.write_text(report.page(), encoding="utf-8")


def _run(bench: Bench, parts: Sequence[str], report: Report) -> None:
    engine = bench.engine
    figures = report.figures[engine.version()] = []
    for name in parts:
        bench.say(f"{engine.name}: {name}")
        started = perf_counter()
        try:
            figures.extend(PARTS[name](bench))
        except BenchError as error:
            report.problems.append(f"{name} on {engine.version()}: {error}")
            bench.say(f"  {error}")
        bench.say(f"  took {perf_counter() - started:.0f} s")


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("Server and load need one core each, but there is only one.")
    return cores[0], cores[1]


def _engines(chosen: argparse.Namespace) -> tuple[list[Engine], list[str]]:
    """Return the available engines, and a sentence for each unavailable one."""
    engines: list[Engine] = []
    problems = []
    for engine in (Sqlite(), Postgresql(chosen.postgresql)):
        if chosen.engine not in {None, engine.name.lower()}:
            continue
        try:
            settings_with(database_url=engine.url(Path("/gatehouse/bench")))
            engine.version()
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            problems.append(f"{engine.name} is skipped: {reason}.")
        except BenchError as error:
            problems.append(str(error))
        else:
            engines.append(engine)
    if not engines:
        raise BenchError(" ".join(problems))
    return engines, problems


if __name__ == "__main__":
    main(sys.argv[1:])
