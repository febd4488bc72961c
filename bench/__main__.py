"""The command line: `python -m bench --help`."""

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

from pydantic import ValidationError

from bench import profile, timing, upstream
from bench.bench import Bench, Plan
from bench.engines import Engine, Postgresql, Sqlite
from bench.load import require_wrk
from bench.machine import described
from bench.parts import PARTS
from bench.parts.scale import curves
from bench.processes import ROOT, BenchError
from bench.report import Report
from bench.seed import settings_with

_POSTGRESQL = "BENCH_POSTGRESQL_URL"
_RAW = ROOT / "build" / "bench"


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says. What cannot be done is a sentence, and exit status 1."""
    # Whoever ends a run with SIGTERM wants its servers to end, too.
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
        description="Measures Gatehouse against yardsticks of the same run.",
        epilog=f"parts, all of them where none is named:\n{parts}\n\n"
        "python -m bench profile WORK shows where the time of one request goes,\n"
        "python -m bench timing whether the time of a refused login tells anything,\n"
        "python -m bench upstream what a chat service that misbehaves costs, and whom.",
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART")
    add("--engine", choices=("sqlite", "postgresql"), help="one alone (both, where they are there)")
    add("--rounds", type=int, default=3, help="of yardstick and ours by turns (3)")
    add("--seconds", type=int, default=3, help="of each measurement (3)")
    add(
        "--accounts",
        type=int,
        nargs=3,
        default=(10_000, 100_000, 1_000_000),
        metavar=("FEW", "USUAL", "MANY"),
        help="in the stores (10000 100000 1000000)",
    )
    add(
        "--postgresql",
        default=os.environ.get(_POSTGRESQL, "postgresql://127.0.0.1:5432/postgres"),
        metavar="URL",
        help=f"the server to make databases on (%(default)s; {_POSTGRESQL})",
    )
    add("--docs", action="store_true", help="write docs/benchmarks.md; for a whole run")
    return parser


def _measure(chosen: argparse.Namespace, arguments: Sequence[str]) -> None:
    if unknown := set(chosen.parts) - PARTS.keys():
        raise BenchError(f"There is no part '{unknown.pop()}': see --help.")
    if chosen.docs and chosen.parts:
        raise BenchError("The page is written by a whole run: leave the parts out.")
    require_wrk()
    few, usual, many = chosen.accounts
    plan = Plan(chosen.rounds, chosen.seconds, few, usual, many, *_cores())
    engines, problems = _engines(chosen)
    report = Report(
        plan,
        described(engines),
        datetime.now(UTC),
        shlex.join(["python", "-m", "bench", *arguments]),
        problems=problems,
    )
    _RAW.mkdir(parents=True, exist_ok=True)
    # Beside the sources, since a temporary folder may be in memory, where writing costs nothing.
    with (
        TemporaryDirectory(prefix="gatehouse_bench_", dir=_RAW) as folder,
        Bench(plan, Path(folder)) as bench,
    ):
        for engine in engines:
            _run(bench, engine, chosen.parts or list(PARTS), report)
    raw = _RAW / f"{report.made_at:%Y%m%dT%H%M%SZ}.json"
    raw.write_text(report.raw(bench.measured), encoding="utf-8")
    if chosen.docs:
        report.write_page(ROOT / "docs", curves(bench.measured))
    print(report.markdown())


def _run(bench: Bench, engine: Engine, parts: Sequence[str], report: Report) -> None:
    figures = report.figures[engine.version()] = []
    for name in parts:
        bench.say(f"{engine.name}: {name}")
        started = perf_counter()
        try:
            figures.extend(PARTS[name](bench, engine))
        except BenchError as error:
            report.problems.append(f"{name} on {engine.version()}: {error}")
            bench.say(f"  {error}")
        bench.say(f"  took {perf_counter() - started:.0f} s")


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("Server and load need a core each, and there is only one.")
    return cores[0], cores[1]


def _engines(chosen: argparse.Namespace) -> tuple[list[Engine], list[str]]:
    """Those that can be measured, and a sentence for each that cannot."""
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
            problems.append(f"{engine.name} is left out: {reason}.")
        except BenchError as error:
            problems.append(str(error))
        else:
            engines.append(engine)
    if not engines:
        raise BenchError(" ".join(problems))
    return engines, problems


if __name__ == "__main__":
    main(sys.argv[1:])
