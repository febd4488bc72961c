"""The tables, the page they stand on, and the raw results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.bench import Plan
from bench.figures import Figure
from bench.picture import Curves, draw

PICTURE = Path("pictures/bench.svg")
_PAGE = Path(__file__).with_name("page.md")
_HEAD = ("work", "ours", "yardstick", "figure", "wanted", "")


@dataclass
class Report:
    """What a run is to say."""

    plan: Plan
    machine: Mapping[str, str]
    made_at: datetime
    command: str
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    """By engine."""
    problems: list[str] = field(default_factory=list)
    """What was left out or went wrong, in sentences."""

    def markdown(self) -> str:
        """Tables and shortfalls."""
        blocks = []
        for engine, figures in self.figures.items():
            blocks += [f"## On {engine}", table(_HEAD, [figure.cells() for figure in figures])]
        short = [
            f"- On {engine}: {figure.work}: {figure.wanted.show(figure.value)}, "
            f"wanted {figure.wanted}."
            for engine, figures in self.figures.items()
            for figure in figures
            if figure.falls_short and figure.value is not None
        ]
        blocks += ["## What falls short", "\n".join(short) or "Nothing."]
        if self.problems:
            lines = (f"- {problem}" for problem in self.problems)
            blocks += ["## What was not measured", "\n".join(lines)]
        return "\n\n".join(blocks)

    def raw(self, measured: Sequence[Mapping[str, Any]]) -> str:
        """Everything that was measured, as JSON."""
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

    def write_page(self, docs: Path, curves: Curves) -> None:
        """Put the page and its picture into `docs`."""
        (docs / PICTURE).parent.mkdir(exist_ok=True)
        (docs / PICTURE).write_text(draw(curves), encoding="utf-8")
        machine = table(("", ""), [[name, value] for name, value in self.machine.items()])
        page = _PAGE.read_text(encoding="utf-8").format(
            date=self.made_at.date(),
            command=self.command,
            rounds=self.plan.rounds,
            usual=f"{self.plan.usual:,}",
            large=f"{self.plan.large:,}",
            results=self.markdown(),
            picture=PICTURE,
            machine=machine,
        )
        (docs / "benchmarks.md").write_text(page, encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
