"""Write the data files of `app/domain/ts39` from the files the Unicode Consortium publishes.

    python tools/ts39.py confusables.txt Scripts.txt ScriptExtensions.txt \\
        PropertyValueAliases.txt DerivedCoreProperties.txt

`confusables.txt` is published under https://www.unicode.org/Public/18.0.0/security/, the others
under https://www.unicode.org/Public/18.0.0/ucd/. Each file written names the versions it was made
from, as the sources themselves state them. The present ones were made from

- confusables.txt and Scripts.txt 18.0.0, as published (SHA-256 6ed3ee96...5b92, 0071fd81...6a6a);
- ScriptExtensions.txt and the script names of PropertyValueAliases.txt 18.0.0, in the published
  format, from the values of `fontTools.unicodedata` (fonttools 4.68.0);
- DerivedCoreProperties.txt 15.0.0, as published. Its Default_Ignorable_Code_Point, 4174 code
  points in 17 ranges, is still the same in 18.0.0.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "app" / "domain" / "ts39"
CODE_POINTS = range(0x110000)
UNKNOWN = "Zzzz"


class Source:
    """One published file: its name, the version it states and its records."""

    def __init__(self, path: str) -> None:
        self.name = Path(path).name
        self.text = Path(path).read_text(encoding="utf-8-sig")

    def __str__(self) -> str:
        version = self._stated(r"^# (?:Version: |\w+-)(\d+\.\d+\.\d+)(?:\.txt)?$")
        return f"{self.name} {version}"

    def __iter__(self) -> Iterator[list[str]]:
        for line in self.text.splitlines():
            data = line.partition("#")[0]
            if data.strip():
                yield [field.strip() for field in data.split(";")]

    def total(self) -> int:
        """The number of records the file says it has."""
        return int(self._stated(r"^# total: (\d+)$"))

    def _stated(self, pattern: str) -> str:
        match = re.search(pattern, self.text, re.MULTILINE)
        if match is None:
            raise ValueError(f"{self.name} has no line matching {pattern!r}")
        return match[1]


def code_points(field: str) -> range:
    """The code points of `XXXX` or `XXXX..YYYY`."""
    first, _, last = field.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def confusable_rows(confusables: Source) -> list[str]:
    """`source prototype...`, as many as the file says it has."""
    rows = sorted((int(source, 16), prototype) for source, prototype, _ in confusables)
    if len(rows) != confusables.total():
        raise ValueError(f"{confusables.name}: {len(rows)} of {confusables.total()} mappings read")
    return [f"{source:04X} {prototype}" for source, prototype in rows]


def ignorable_rows(properties: Source) -> list[str]:
    """`first last` for each range of Default_Ignorable_Code_Point."""
    ignorable = {
        code
        for field, name, *_ in properties
        if name == "Default_Ignorable_Code_Point"
        for code in code_points(field)
    }
    runs = (list(run) for member, run in groupby(CODE_POINTS, ignorable.__contains__) if member)
    return [f"{run[0]:04X} {run[-1]:04X}" for run in runs]


def script_rows(scripts: Source, extensions: Source, aliases: Source) -> list[str]:
    """`first script...`: Script_Extensions from one code point up to the next row's (UAX 24)."""
    short = {names[1]: names[0] for kind, *names in aliases if kind == "sc"}
    # A code point that ScriptExtensions.txt does not list has its Script alone.
    values = {code: short[name] for field, name in scripts for code in code_points(field)}
    values |= {code: names for field, names in extensions for code in code_points(field)}
    runs = groupby(CODE_POINTS, lambda code: values.get(code, UNKNOWN))
    return [f"{next(run):04X} {names}" for names, run in runs]


def write(name: str, form: str, rows: Iterable[str], *sources: Source) -> None:
    """One data file: its sources and licence, the form of its rows, the rows."""
    made_from = ", ".join(map(str, sources))
    header = (
        f"# Unicode {made_from}; © Unicode, Inc., Unicode License V3 (UNICODE-LICENSE.txt)",
        f"# Written by tools/ts39.py: {form}",
    )
    (PACKAGE / name).write_text("\n".join((*header, *rows, "")), encoding="utf-8")


def main(paths: list[str]) -> None:
    confusables, scripts, extensions, aliases, properties = map(Source, paths)
    write("confusables.txt", "source prototype...", confusable_rows(confusables), confusables)
    write("ignorables.txt", "first last", ignorable_rows(properties), properties)
    write(
        "scripts.txt",
        "first script... (up to the next row's first)",
        script_rows(scripts, extensions, aliases),
        scripts,
        extensions,
        aliases,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
