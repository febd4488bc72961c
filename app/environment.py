"""Strict reader of the settings in the environment and `.env`.

Anything in `.env` that cannot be read stops the start: a skipped line would leave a setting at its
default, for example registration open.
"""

import io
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

from app.domain.text import Pattern

PREFIX = "GATEHOUSE_"
FILE = Path(".env")

# Variables that Kubernetes adds to every pod next to a Service whose name begins with 'gatehouse',
# and Docker to a container with such a link: patterns of names and of values.
_INJECTED = tuple(
    (Pattern(rf"(\w+_)?{name}", max_length=256), Pattern(value, max_length=1024))
    for name, value in (
        ("SERVICE_HOST", r"[0-9a-fA-F.:]+|None"),
        (r"SERVICE_PORT(_\w+)?", r"[0-9]+"),
        ("PORT", r"(tcp|udp|sctp)://\S+"),
        (r"PORT_[0-9]+_(TCP|UDP|SCTP)", r"(tcp|udp|sctp)://\S+"),
        (r"PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO", "tcp|udp|sctp"),
        (r"PORT_[0-9]+_(TCP|UDP|SCTP)_PORT", r"[0-9]+"),
        (r"PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR", r"[0-9a-fA-F.:]+"),
        ("NAME", r"/[\w.-]+/[\w.-]+"),
    )
)


class SettingsError(ValueError):
    """An invalid setting; the message names it and the reason."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A setting in `.env`."""

    number: int
    name: str
    value: str


def read_settings(fields: Collection[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each field that is set; the environment takes precedence over `.env`.

    An empty value counts as not set. Raises SettingsError for a name that is not among `fields`,
    and for anything in `.env` that cannot be read.
    """
    lines = list(_read_lines())
    known = {f"{PREFIX}{field}".upper() for field in fields}
    unknown = [
        *(name for name, value in environ.items() if _is_unknown(name, value, known)),
        *(
            f"{e.name} ({_location(e.number)})"
            for e in lines
            if _is_unknown(e.name, e.value, known)
        ),
    ]
    if unknown:
        raise SettingsError(f"There is no setting {', '.join(sorted(unknown))}.")
    values: dict[str, str] = {}
    for name, value in [*((e.name, e.value) for e in lines), *environ.items()]:
        if value and not _is_injected(name, value):
            values[name.upper()] = value
    named = {field: f"{PREFIX}{field}".upper() for field in fields}
    return {field: values[name] for field, name in named.items() if values.get(name)}


def _is_unknown(name: str, value: str, known: Collection[str]) -> bool:
    is_ours = name.upper().startswith(PREFIX) and not _is_injected(name, value)
    return is_ours and name.upper() not in known


def _is_injected(name: str, value: str) -> bool:
    """Return whether Kubernetes or Docker added the variable."""
    rest = name[len(PREFIX) :]
    return any(names.fullmatch(rest) and values.fullmatch(value) for names, values in _INJECTED)


def _read_lines() -> Iterator[_Line]:
    """Yield the settings of `.env`, each name once. Raises SettingsError."""
    numbers: dict[str, int] = {}
    variables: dict[str, str] = dict(os.environ)
    for binding in parse_stream(io.StringIO(_read_file())):
        number = _line_number(binding)
        _require_valid(binding, number)
        if binding.key is None or binding.value is None:
            continue
        name, is_ours = binding.key, binding.key.upper().startswith(PREFIX)
        value = variables[name] = _resolve(binding.value, variables, number if is_ours else None)
        if is_ours:
            first = numbers.setdefault(name.upper(), number)
            if first != number:
                raise SettingsError(f"{_location(number)}: {name} is already set in line {first}.")
            yield _Line(number, name, value)


def _read_file() -> str:
    if not os.path.lexists(FILE):
        return ""
    if FILE.is_dir():
        raise SettingsError(f"{FILE} is a directory.")
    if FILE.exists() and not FILE.is_file():
        # Reading a FIFO would block.
        raise SettingsError(f"{FILE} is not a file.")
    try:
        text = FILE.read_text("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"The file {FILE} is not in UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"The file {FILE} cannot be read: {error.strerror}.") from None
    # Probably UTF-16 without a byte order mark.
    if "\0" in text:
        raise SettingsError(f"The file {FILE} is not in UTF-8.")
    return text


def _line_number(binding: Binding) -> int:
    """Return the number of the first line of a binding."""
    text = binding.original.string
    before = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(before.splitlines())


def _require_valid(binding: Binding, number: int) -> None:
    text = binding.original.string.strip()
    if binding.error:
        raise SettingsError(f"{_location(number)}: the line cannot be parsed; write NAME=VALUE.")
    if binding.key is None:
        return
    name = binding.key
    if binding.value is None and name.upper().startswith(PREFIX):
        raise SettingsError(f"{_location(number)}: '=' is missing after {name}.")
    if _is_misspelled(name):
        raise SettingsError(f"{_location(number)}: the name {name!r} is misspelled.")
    if PREFIX in text.upper()[len(name) :] and len(text.splitlines()) > 1:
        raise SettingsError(
            f"{_location(number)}: the quotes of {name} are not closed on this line."
        )
    if another := _find_setting(binding.value or ""):
        raise SettingsError(f"{_location(number)}: {another} must be on a line of its own.")


def _find_setting(value: str) -> str | None:
    """Return the name of a setting within the value of another variable."""
    words = value.replace('"', " ").replace("'", " ").split()
    names = (word.partition("=")[0] for word in words if "=" in word)
    return next((name for name in names if name.upper().startswith(PREFIX)), None)


def _is_misspelled(name: str) -> bool:
    """Return whether a name only resembles a setting.

    It has quotes or invisible characters before the prefix, or another character in place of its
    underscore (`GATEHOUSE-PORT`).
    """
    name, stem = name.upper(), PREFIX.removesuffix("_")
    before, prefix, _ = name.partition(PREFIX)
    if prefix and before:
        return not _is_name_character(before[-1])
    return name.startswith(stem) and not all(map(_is_name_character, name[len(stem) :][:1]))


def _is_name_character(char: str) -> bool:
    return char.isalnum() or char == "_"


def _resolve(value: str, variables: Mapping[str, str], number: int | None) -> str:
    """Return the value with `${NAME}` replaced. Given a line number, undefined names are errors."""
    atoms = list(parse_variables(value))
    bare = [a.name for a in atoms if isinstance(a, Variable) and a.default is None]
    missing = [name for name in bare if name not in variables]
    if missing and number is not None:
        raise SettingsError(f"{_location(number)}: the variable {missing[0]} is not defined.")
    return "".join(atom.resolve(variables) for atom in atoms)


def _location(number: int) -> str:
    return f"{FILE}, line {number}"
