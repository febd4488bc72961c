"""Write the data files of `app/domain/ts39` from the files of the Unicode Consortium.

    python tools/ts39.py confusables.txt Scripts.txt ScriptExtensions.txt \\
        PropertyValueAliases.txt DerivedCoreProperties.txt PropList.txt emoji-data.txt

`confusables.txt` is published under https://www.unicode.org/Public/18.0.0/security/, the others
under https://www.unicode.org/Public/18.0.0/ucd/. Each output names the versions of its
sources. The current ones were generated from

- confusables.txt and Scripts.txt 18.0.0, as published (SHA-256 6ed3ee96...5b92, 0071fd81...6a6a);
- ScriptExtensions.txt and the script names of PropertyValueAliases.txt 18.0.0, in the published
  format, from the values of `fontTools.unicodedata` (fonttools 4.68.0);
- DerivedCoreProperties.txt 15.0.0, as published. Its Default_Ignorable_Code_Point, 4174 code
  points in 17 ranges, is still the same in 18.0.0;
- Soft_Dotted of PropList.txt, and Emoji and Extended_Pictographic of emoji-data.txt 17.0.0, in the
  published format, from the values of `\\p{...}` in Node.js 20.20.2 (ICU, Unicode 17.0).
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Set
from itertools import groupby
from pathlib import Path
from unicodedata import normalize

PACKAGE = Path(__file__).parents[1] / "app" / "domain" / "ts39"
CODE_POINTS = range(0x110000)
UNKNOWN = "Zzzz"
# Emoji only together with the next character: digits, '#', '*' (keycaps), letters of flags.
COMBINING_EMOJI = {*map(ord, "0123456789#*"), *range(0x1F1E6, 0x1F200)}


class Source:
    """A published file: its name, version and records."""

    def __init__(self, path: str) -> None:
        self.name = Path(path).name
        self.text = Path(path).read_text(encoding="utf-8-sig")

    def __str__(self) -> str:
        version = self._find_declared(r"^# (?:Version: |\w+-)(\d+\.\d+\.\d+)(?:\.txt)?$")
        return f"{self.name} {version}"

    def __iter__(self) -> Iterator[list[str]]:
        for line in self.text.splitlines():
            data = line.partition("#")[0]
            if data.strip():
                yield [field.strip() for field in data.split(";")]

    def total(self) -> int:
        """Return the number of records that the file declares."""
        return int(self._find_declared(r"^# total: (\d+)$"))

    def _find_declared(self, pattern: str) -> str:
        match = re.search(pattern, self.text, re.MULTILINE)
        if match is None:
            raise ValueError(f"{self.name} has no line matching {pattern!r}")
        return match[1]


def code_points(field: str) -> range:
    """Return the code points of `XXXX` or `XXXX..YYYY`."""
    first, _, last = field.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)


def confusable_rows(confusables: Source) -> list[str]:
    """Return the rows of a JSON object with the prototype of each character, in NFD."""
    prototypes = {
        chr(int(source, 16)): normalize("NFD", "".join(chr(int(c, 16)) for c in prototype.split()))
        for source, prototype, _ in confusables
    }
    if len(prototypes) != confusables.total():
        count = f"{len(prototypes)} of {confusables.total()}"
        raise ValueError(f"{confusables.name}: {count} mappings read")
    return [json.dumps(prototypes, sort_keys=True, indent=0)]


def property_rows(properties: Source, *names: str, without: Set[int] = frozenset()) -> list[str]:
    """Return the rows `first last`: ranges of code points that have one of the properties."""
    members = {
        code
        for field, name, *_ in properties
        if name in names
        for code in code_points(field)
        if code not in without
    }
    runs = (list(run) for member, run in groupby(CODE_POINTS, members.__contains__) if member)
    return [f"{run[0]:04X} {run[-1]:04X}" for run in runs]


def script_rows(scripts: Source, extensions: Source, aliases: Source) -> list[str]:
    """Return the rows `first script...`: Script_Extensions up to the next row (UAX 24)."""
    short = {names[1]: names[0] for kind, *names in aliases if kind == "sc"}
    # A code point that ScriptExtensions.txt does not list has only its Script.
    values = {code: short[name] for field, name in scripts for code in code_points(field)}
    values |= {code: names for field, names in extensions for code in code_points(field)}
    runs = groupby(CODE_POINTS, lambda code: values.get(code, UNKNOWN))
    return [f"{next(run):04X} {names}" for names, run in runs]


def write(name: str, form: str, rows: Iterable[str], *sources: Source) -> None:
    """Write a data file: sources, licence, form of the rows, and rows."""
    versions = ", ".join(map(str, sources))
    header = (
        f"# Unicode {versions}; © Unicode, Inc., Unicode License V3 (UNICODE-LICENSE.txt)",
        f"# Written by tools/ts39.py: {form}",
    )
    (PACKAGE / name).write_text("\n".join((*header, *rows, "")), encoding="utf-8")


def main(paths: list[str]) -> None:
    confusables, scripts, extensions, aliases, properties, others, emoji = map(Source, paths)
    write("confusables.txt", "JSON, source: prototype", confusable_rows(confusables), confusables)
    ignorable = property_rows(properties, "Default_Ignorable_Code_Point")
    write("ignorables.txt", "first last", ignorable, properties)
    write("soft_dotted.txt", "first last", property_rows(others, "Soft_Dotted"), others)
    pictures = property_rows(emoji, "Emoji", "Extended_Pictographic", without=COMBINING_EMOJI)
    write("emoji.txt", "first last", pictures, emoji)
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
