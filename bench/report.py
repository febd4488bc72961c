"""Tables, the page of the documentation, the comparison with it, and the raw results."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.bench import Plan
from bench.figures import Figure

_TEMPLATE = Path(__file__).with_name("page.md")
_HEAD = ("work", "Gatehouse", "baseline", "figure", "target", "")
_ENGINE = "## On "

Earlier = Mapping[tuple[str, str], float]
"""Figures by name of the engine and work."""


@dataclass
class Report:
    """Report of a run."""

    plan: Plan
    machine: Mapping[str, str]
    made_at: datetime
    command: str
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    """By engine."""
    problems: list[str] = field(default_factory=list)
    """Skipped and failed parts, as sentences."""

    def markdown(self, *, with_busy: bool = True) -> str:
        """Return the tables and the missed targets."""
        blocks = []
        for engine, figures in self.figures.items():
            cells = [figure.cells() for figure in figures if with_busy or not figure.is_busy]
            blocks += [f"{_ENGINE}{engine}", table(_HEAD, cells)]
        missed = [
            f"- On {engine}: {figure.work}: {figure.shown}, target {figure.target}."
            for engine, figure in self._all()
            if figure.is_missed
        ]
        blocks += ["## Missed targets", "\n".join(missed) or "None."]
        problems = [*self.problems, *(() if with_busy else self._busy())]
        if problems:
            blocks += ["## Not measured", "\n".join(f"- {problem}" for problem in problems)]
        return "\n\n".join(blocks)

    def losses(self, earlier: Earlier) -> str:
        """Return the figures that are worse than those of an earlier page."""
        lines = []
        for engine, figure in self._all():
            before = earlier.get((_name(engine), figure.work))
            if before is None or figure.is_busy or not figure.target.is_lost(before, figure.value):
                continue
            was = figure.target.show(before)
            lines.append(f"- On {engine}: {figure.work}: {figure.shown}, it was {was}.")
        return "\n".join(["## Worse than the last figures by over 10 %", "", *(lines or ["None."])])

    def raw(self, measured: Sequence[Mapping[str, Any]]) -> str:
        """Return all measurements as JSON."""
        return json.dumps(
            {
                "made_at": self.made_at.isoformat(),
                "command": self.command,
                "machine": self.machine,
                "problems": self.problems,
                "measured": measured,
            },
            indent=1,
        )

    def page(self) -> str:
        """Return the page of the documentation, without the figures that are busy."""
        return _TEMPLATE.read_text(encoding="utf-8").format(
            date=self.made_at.date(),
            command=self.command,
            rounds=self.plan.rounds,
            usual=f"{self.plan.usual:,}",
            small=f"{self.plan.small:,}",
            large=f"{self.plan.large:,}",
            results=self.markdown(with_busy=False),
            machine=table(("", ""), [[name, value] for name, value in self.machine.items()]),
        )

    def _all(self) -> Iterator[tuple[str, Figure]]:
        for engine, figures in self.figures.items():
            for figure in figures:
                yield engine, figure

    def _busy(self) -> Iterator[str]:
        for engine, figure in self._all():
            if figure.is_busy:
                yield f"{figure.work} on {engine}: other programs used the machine meanwhile."


def read_figures(page: str) -> Earlier:
    """Return the figures of a page that a run wrote."""
    found: dict[tuple[str, str], float] = {}
    engine = ""
    for line in page.splitlines():
        if line.startswith("## "):
            engine = _name(line.removeprefix(_ENGINE)) if line.startswith(_ENGINE) else ""
        cells = line.removeprefix("| ").split(" | ")
        if engine and len(cells) == len(_HEAD) and (value := re.match(r"[\d,.]+", cells[3])):
            found[engine, cells[0]] = float(value[0].replace(",", ""))
    return found


def _name(engine: str) -> str:
    """Return the engine without its version."""
    return engine.partition(" ")[0]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
