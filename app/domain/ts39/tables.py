"""The Unicode data beside this module, written by `tools/ts39.py`."""

from collections.abc import Iterator
from importlib.resources import files


def rows(name: str) -> Iterator[list[str]]:
    """The fields of each row of a data file; lines that start with `#` tell where it is from."""
    text = files("app.domain.ts39").joinpath(name).read_text("utf-8")
    return (line.split() for line in text.splitlines() if not line.startswith("#"))
