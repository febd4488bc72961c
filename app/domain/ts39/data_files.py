"""The Unicode data files of this package, written by `tools/ts39.py`."""

from collections.abc import Iterator
from importlib.resources import files


def read_rows(name: str) -> Iterator[list[str]]:
    """Yield the fields of each row of a data file; lines that start with `#` are comments."""
    text = files("app.domain.ts39").joinpath(name).read_text("utf-8")
    return (line.split() for line in text.splitlines() if not line.startswith("#"))


def read_code_points(name: str) -> Iterator[int]:
    """Yield the code points in a data file of ranges, `first last`."""
    for first, last in read_rows(name):
        yield from range(int(first, 16), int(last, 16) + 1)
