"""Output of the commands: results on standard output, errors as one sentence on standard error.

A list is a table with aligned columns in a terminal; elsewhere, for other programs, each row is a
line of tab-separated cells. With --json, a command prints one JSON document; errors are JSON, too.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NoReturn
from unicodedata import combining, east_asian_width

from app.domain.timestamps import format_time

# The columns of a table are as wide as the first rows need; later rows are printed as they come.
_MEASURED_ROWS = 1000
_GAP = "  "
# Characters that join emoji and are invisible.
_JOINER = "\u200d"
Cell = str | int | datetime | None


def wants_json() -> bool:
    """Return True if the command line contains --json, whether or not it can be parsed."""
    return "--json" in sys.argv[1:]


def print_json(value: object) -> None:
    """Print `value` as JSON, indented in a terminal."""
    print(dump_json(value, indent=2 if sys.stdout.isatty() else None))


def dump_json(value: object, indent: int | None = None) -> str:
    """Return `value` as JSON; control characters are escaped, and so are those that the output's
    encoding may lack."""
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    text = json.dumps(value, ensure_ascii=not is_unicode, indent=indent, default=_jsonable)
    return _escaped(text, json.dumps, allowed=f"\n{_JOINER}")


def _jsonable(value: object) -> str:
    return format_time(value) if isinstance(value, datetime) else str(value)


class Table:
    """A list on standard output: aligned columns with a head in a terminal, tab-separated cells
    elsewhere."""

    def __init__(self, *columns: str) -> None:
        self._waiting: list[Sequence[str]] = [[name.upper() for name in columns]]
        self._widths: Sequence[int] | None = None
        self._is_terminal = sys.stdout.isatty()

    def add(self, *cells: Cell) -> None:
        """Add a row."""
        row = [_text(cell) for cell in cells]
        if not self._is_terminal:
            print("\t".join(row))
        elif self._widths is not None:
            print(_aligned(row, self._widths))
        else:
            self._waiting.append(row)
            if len(self._waiting) > _MEASURED_ROWS:
                self.end()

    def end(self) -> None:
        """Print the rows that wait for their widths."""
        if self._is_terminal and self._widths is None:
            self._widths = [max(map(_width, column)) for column in zip(*self._waiting, strict=True)]
            for row in self._waiting:
                print(_aligned(row, self._widths))
            self._waiting.clear()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a list whose rows are all there."""
    table = Table(*columns)
    for row in rows:
        table.add(*row)
    table.end()


def print_fields(fields: Iterable[tuple[str, Cell]]) -> None:
    """Print named values, one a line; without a name, it is one more value of the name above."""
    rows = [(name, _text(value)) for name, value in fields]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}{_GAP}{value}" if sys.stdout.isatty() else f"{name}\t{value}")


def print_next(cursor: str | None) -> None:
    """Print in a terminal how to list the next page, if there is one."""
    if cursor is not None and sys.stdout.isatty():
        print(f"gatehouse: There is more; the next page is --cursor {cursor}", file=sys.stderr)


def _text(cell: Cell) -> str:
    if cell is None or cell == "":
        return "-"
    return printable(format_time(cell) if isinstance(cell, datetime) else str(cell))


def printable(text: str) -> str:
    """Return `text` with control characters escaped, which might drive a terminal."""
    return _escaped(text, ascii, allowed=_JOINER)


def _escaped(text: str, literal: Callable[[str], str], allowed: str) -> str:
    """Escape all characters but printable and allowed ones, as `literal` does within quotes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in allowed else literal(c)[1:-1] for c in text)


def print_line(text: str) -> None:
    """Print a line, in which names of accounts, files and databases may be of any origin."""
    print(printable(text))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
    return _GAP.join(cells).rstrip()


def _width(text: str) -> int:
    """Return the number of columns that `text` takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def print_error(sentence: str, code: str) -> None:
    """Print an error on standard error: a sentence, or with --json an object with its code."""
    if wants_json():
        print(json.dumps({"error": {"code": code, "detail": sentence}}), file=sys.stderr)
    else:
        _print_sentences(sentence)


def print_warning(sentence: str) -> None:
    """Print what needs attention after a command that succeeded, on standard error."""
    if wants_json():
        print(json.dumps({"warning": sentence}), file=sys.stderr)
    else:
        _print_sentences(sentence)


def _print_sentences(lines: str) -> None:
    """Print a message, which may quote a damaged or foreign database."""
    for line in f"gatehouse: {lines}".split("\n"):
        print(printable(line), file=sys.stderr)


def fail(sentence: str, status: int, code: str = "failed") -> NoReturn:
    """Print a sentence on standard error and exit with `status`."""
    print_error(sentence, code)
    sys.exit(status)


def flush_output() -> None:
    """Write what is buffered; exit with status 1 if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        fail_unwritten(error)


def fail_unwritten(error: OSError) -> NoReturn:
    """Report that the output of a command could not be written, and exit with status 1."""
    # Python flushes once more at exit, and would report the same error again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    fail(f"The command ran, but its output could not be written: {error.strerror}.", 1)


def pluralize(count: int, noun: str) -> str:
    """Return, for example, '1 account' or '2 accounts'."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
