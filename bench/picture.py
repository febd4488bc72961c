"""The picture: what one request costs against the number of accounts, a panel for each engine."""

from collections.abc import Iterator, Mapping
from html import escape
from itertools import cycle
from math import ceil, floor, log10

Curves = Mapping[str, Mapping[str, Mapping[int, float]]]
"""By engine and work: microseconds by the number of accounts."""

_WIDTH, _PANEL = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 520, 50, 350
_LABEL_GAP = 16
_COLOURS = ("#1b6ca8", "#c8553d", "#2e8b57", "#8e5ea2", "#b8860b", "#008b8b", "#c71585", "#555555")


def draw(curves: Curves) -> str:
    """The picture as SVG."""
    height = max(1, len(curves)) * _PANEL
    panels = (
        f'<g transform="translate(0 {i * _PANEL})">{"".join(_panel(engine, works))}</g>'
        for i, (engine, works) in enumerate(curves.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#333">\n'
        "<title>Time for one request against the number of accounts</title>\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        + "\n".join(panels)
        + "\n</svg>\n"
    )


class _Scale:
    """Places values on an axis by their logarithm."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = log10(low), log10(high) - log10(low) or 1.0
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (log10(value) - self._low) / self._span
        return round(self._start + share * (self._end - self._start), 1)


def _panel(engine: str, works: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    sizes = sorted({size for costs in works.values() for size in costs})
    values = [cost for costs in works.values() for cost in costs.values()]
    decades = range(floor(log10(min(values))), ceil(log10(max(values))) + 1)
    x = _Scale(sizes[0], sizes[-1], _LEFT + 15, _RIGHT - 15)
    y = _Scale(10 ** decades[0], 10 ** decades[-1], _BOTTOM, _TOP)
    yield _text(_LEFT, 28, f"{engine}: time for one request", size=15)
    for decade in decades:
        yield _line([(_LEFT, y(10**decade)), (_RIGHT, y(10**decade))], "#ddd", 1)
        yield _text(_LEFT - 8, y(10**decade) + 4, _time(10**decade), "end")
    for size in sizes:
        yield _text(x(size), _BOTTOM + 20, f"{size:,}", "middle")
    yield _text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, "accounts", "middle")
    # The highest end first, so that labels that would cover each other move down in their order.
    lowest = 0.0
    ordered = sorted(works.items(), key=lambda item: -item[1][max(item[1])])
    colours = dict(zip(works, cycle(_COLOURS), strict=False))
    for work, costs in ordered:
        colour = colours[work]
        points = [(x(size), y(cost)) for size, cost in sorted(costs.items())]
        yield _line(points, colour, 2)
        yield from (f'<circle cx="{px}" cy="{py}" r="3" fill="{colour}"/>' for px, py in points)
        lowest = max(points[-1][1] + 4, lowest + _LABEL_GAP)
        yield _text(_RIGHT + 4, lowest, work.replace("`", ""), colour=colour)


def _time(microseconds: float) -> str:
    for unit, factor in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= factor:
            return f"{microseconds / factor:g} {unit}"
    return f"{microseconds:g} µs"


def _line(points: list[tuple[float, float]], colour: str, width: int) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(
    x: float, y: float, text: str, anchor: str = "start", *, size: int = 12, colour: str = "#333"
) -> str:
    return (
        f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
