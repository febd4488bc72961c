"""Figures: what was measured, what was wanted, and whether that is reached."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bound that a figure has to keep."""

    bound: float
    side: Literal["≥", "≤", "<"]
    unit: str = "×"

    def __str__(self) -> str:
        return f"{self.side} {self.bound:g} {self.unit}"

    def show(self, value: float) -> str:
        """A value of this kind, for people."""
        number = f"{value:.2f}" if self.unit == "×" else f"{value:,.0f}"
        return f"{number} {self.unit}"

    def is_kept_by(self, value: float) -> bool:
        """Whether the value is good enough."""
        match self.side:
            case "≥":
                return value >= self.bound
            case "≤":
                return value <= self.bound
            case "<":
                return value < self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table. Without a value it says in `ours` why there is none."""

    work: str
    ours: str
    yardstick: str
    value: float | None
    wanted: Wanted
    aside: str = ""
    """What else is to be known of the value."""

    @property
    def falls_short(self) -> bool:
        """Whether it was measured, and is not what is wanted."""
        return self.value is not None and not self.wanted.is_kept_by(self.value)

    def cells(self) -> list[str]:
        """The line's cells."""
        if self.value is None:
            value, verdict = "", "not measured"
        else:
            value = self.wanted.show(self.value)
            if self.aside:
                value += f" ({self.aside})"
            verdict = "**falls short**" if self.falls_short else "ok"
        return [self.work, self.ours, self.yardstick, value, str(self.wanted), verdict]


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the rounds' ratios: both of a round met the same machine."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
