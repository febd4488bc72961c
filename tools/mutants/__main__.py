"""Command line: `python -m tools.mutants [--jobs N] [AREA or FILE …]`."""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.mutants.areas import AREAS, Area
from tools.mutants.equivalent import EQUIVALENT
from tools.mutants.guards import Mutant, mutants_of
from tools.mutants.replaced import replace_code, report_lines
from tools.mutants.running import NoResult, first_failure, in_forks, run, with_folder

ROOT = Path(__file__).parents[2]
# Time for a mutant, whose tests may never end: so many seconds, and so many times the CPU time of
# its tests, which is at most `LONGEST`.
TIMEOUT = 30.0
TIMEOUT_PER_SECOND = 5
LONGEST = 40.0

Lines = set[tuple[str, int]]


class MutationRun:
    """Plugin that runs the tests once to find out what they reach, and then for each mutant."""

    def __init__(self, files: Sequence[str], jobs: int) -> None:
        self._files = files
        self._jobs = jobs
        self._lines: dict[str, Lines] = {}
        self._seconds: dict[str, float] = {}
        self.survivors: list[str] = []
        self.counts: dict[str, int] = defaultdict(int)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the mutants instead of only running the tests."""
        items = [item for item in session.items if not item.get_closest_marker("in_full")]
        self._measure_reach(session, items)
        known = {item.nodeid: item for item in items}
        began = time.monotonic()
        mutants = [mutant for file in self._files for mutant in mutants_of(ROOT, file)]
        print(f"{len(mutants)} mutants in {len(self._files)} files", flush=True)
        chosen = [self._select_tests(mutant, known) for mutant in mutants]
        tasks = [
            (lambda m=mutant, t=tests: self._try(session, m, t), self._timeout(tests))
            for mutant, tests in zip(mutants, chosen, strict=True)
        ]
        results = in_forks(tasks, self._jobs)
        for mutant, tests, result in zip(mutants, chosen, results, strict=True):
            self._count(mutant, tests, result)
        print(f"Tried in {time.monotonic() - began:.0f} s.")
        return True

    def _measure_reach(self, session: pytest.Session, items: Sequence[pytest.Item]) -> None:
        """Run each test file once; tests that fail without a change are skipped."""
        began = time.monotonic()
        by_file: dict[Path, list[pytest.Item]] = defaultdict(list)
        for item in items:
            by_file[item.path].append(item)
        tasks = [
            (lambda t=tests: self._run_reporting(session, t), 300.0) for tests in by_file.values()
        ]
        broken = []
        for path, found in zip(by_file, in_forks(tasks, self._jobs), strict=True):
            if isinstance(found, NoResult):
                broken.append(str(path))
                continue
            for name, passed, seconds, lines in found:
                if passed:
                    self._lines[name], self._seconds[name] = lines, seconds
                else:
                    broken.append(name)
        print(f"{len(self._lines)} tests passed in {time.monotonic() - began:.0f} s.", flush=True)
        for name in broken:
            print(f"skipped, because it fails without a change: {name}", flush=True)

    def _run_reporting(
        self, session: pytest.Session, items: Sequence[pytest.Item]
    ) -> list[tuple[str, bool, float, Lines]]:
        with_folder(session)
        lines: Lines = set()
        report_lines(ROOT, self._files, lambda file, line: lines.add((file, line)))
        found = []
        for item, passed, seconds in run(items):
            found.append((item.nodeid, passed, seconds, set(lines)))
            lines.clear()
        return found

    def _select_tests(self, mutant: Mutant, known: dict[str, pytest.Item]) -> list[pytest.Item]:
        """Return the tests that reach the line: the fastest files first, within `LONGEST`."""
        place = (mutant.file, mutant.line)
        by_file: dict[Path, list[str]] = defaultdict(list)
        for name, lines in self._lines.items():
            if place in lines:
                by_file[known[name].path].append(name)
        cost = {path: sum(self._seconds[n] for n in names) for path, names in by_file.items()}
        chosen: list[pytest.Item] = []
        spent = 0.0
        for path in sorted(by_file, key=lambda path: cost[path]):
            for name in by_file[path]:
                if spent < LONGEST:
                    chosen.append(known[name])
                    spent += self._seconds[name]
        return chosen

    def _timeout(self, tests: Sequence[pytest.Item]) -> float:
        return TIMEOUT + TIMEOUT_PER_SECOND * sum(self._seconds[item.nodeid] for item in tests)

    def _try(self, session: pytest.Session, mutant: Mutant, tests: Sequence[pytest.Item]) -> str:
        with_folder(session)
        replace_code(mutant.file, mutant.function, mutant.code)
        return first_failure(tests) or ""

    def _count(self, mutant: Mutant, tests: Sequence[pytest.Item], result: str) -> None:
        if result == NoResult.HUNG:
            # It is detected, but not by an assertion.
            self.counts["hung"] += 1
            place = f"{mutant.file}:{mutant.line} {mutant.function}"
            print(f"hung: {place}: {mutant.about}", flush=True)
        elif result and result != NoResult.DIED:
            self.counts["killed"] += 1
        elif mutant.name in EQUIVALENT:
            self.counts["equivalent"] += 1
        else:
            self.counts["survived"] += 1
            reached = f"{len(tests)} tests reach it" if tests else "no test reaches it"
            reached = "its process died" if result == NoResult.DIED else reached
            self.survivors.append(f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.about}")
            print(f"{self.survivors[-1]} ({reached})", flush=True)


def try_mutants(area: Area, files: Sequence[str], jobs: int) -> MutationRun:
    """Try the mutants of some files of an area."""
    found = MutationRun(files, jobs)
    tests = [path for path in area.tests if (ROOT / path).exists()]
    options = ["-q", "--capture=no", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
    if pytest.main([*options, *tests], plugins=[found]) not in {
        0,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    }:
        found.counts["areas without tests"] += 1
    return found


def main() -> int:
    """Try the mutants of the named areas or files, by default of all."""
    parser = argparse.ArgumentParser(prog="make mutants")
    parser.add_argument("asked", nargs="*", metavar="AREA or FILE")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    counts: dict[str, int] = defaultdict(int)
    survivors: list[str] = []
    for name, area in AREAS.items():
        files = [file for file in area.files if not arguments.asked or file in arguments.asked]
        files = list(area.files) if name in arguments.asked else files
        if files:
            print(f"== {name}", flush=True)
            found = try_mutants(area, files, arguments.jobs)
            survivors += found.survivors
            for outcome, count in found.counts.items():
                counts[outcome] += count
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    for survivor in survivors:
        print(survivor)
    return 1 if survivors or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
