"""The Unicode data files of this package, written by `tools/ts39.py`."""

import json
from collections.abc import Iterator
from pathlib import Path


def read_rows(name: str) -> Iterator[list[str]]:
    """Yield the fields of each row of a data file; lines that start with `#` are comments."""
    return (line.split() for line in _read(name).splitlines() if not line.startswith("#"))


def read_code_points(name: str) -> Iterator[int]:
    """Yield the code points in a data file of ranges, `first last`."""
    for first, last in read_rows(name):
        yield from range(int(first, 16), int(last, 16) + 1)


def read_strings(name: str) -> dict[str, str]:
    """Return the JSON object in a data file, which takes less time to read than many rows."""
    _, brace, members = _read(name).partition("{")
    strings: dict[str, str] = json.loads(brace + members)
    return strings


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")
