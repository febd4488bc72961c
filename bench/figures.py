"""Results, and whether they meet their targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

# Share of a core that other programs may use during a measurement.
BUSY = 0.05
# A figure that is worse than the previous one by more than this share is reported.
_LOSS = 0.1


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a result must meet, or without one, only which side is better."""

    bound: float | None
    side: Literal["≥", "≤", "<"]
    unit: str = "×"

    def __str__(self) -> str:
        return "" if self.bound is None else f"{self.side} {self.bound:g} {self.unit}"

    def show(self, value: float) -> str:
        """Format a value."""
        number = f"{value:,.0f}" if value >= 100 or self.unit == "requests" else f"{value:.3g}"
        return f"{number} {self.unit}"

    def is_met_by(self, value: float) -> bool:
        """Return whether the value meets the target."""
        if self.bound is None:
            return True
        match self.side:
            case "≥":
                return value >= self.bound
            case "≤":
                return value <= self.bound
            case "<":
                return value < self.bound

    def is_lost(self, before: float, now: float) -> bool:
        """Return whether a value is more than a tenth worse than an earlier one."""
        return now < before * (1 - _LOSS) if self.side == "≥" else now > before * (1 + _LOSS)


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table."""

    work: str
    ours: str
    yardstick: str
    value: float
    target: Target
    others: Sequence[float] = ()
    """Shares of a core that other programs used, by round."""

    @property
    def is_busy(self) -> bool:
        """Return whether other programs used too much of the machine in most rounds."""
        return bool(self.others) and median(self.others) > BUSY

    @property
    def is_missed(self) -> bool:
        """Return whether the value misses the target."""
        return not self.is_busy and not self.target.is_met_by(self.value)

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return self.target.show(self.value)

    def cells(self) -> list[str]:
        """Return the cells of the row."""
        verdict = "**missed**" if self.is_missed else "ok" if str(self.target) else ""
        if self.is_busy:
            verdict = f"busy: other programs used {median(self.others):.0%} of a core"
        return [self.work, self.ours, self.yardstick, self.shown, str(self.target), verdict]


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """Return the median of the ratios by round, since both sides of a round ran under one load."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
