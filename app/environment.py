"""Strict reader of the settings in the environment and `.env`.

Anything in `.env` that cannot be read stops the start: a skipped line would leave a setting at its
default, for example registration open.
"""

import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

from app.domain.text import Pattern, closest_match

PREFIX = "GATEHOUSE_"
FILE = Path(".env")
_FILE_SUFFIX = "_FILE"
_DOTENV_MAX = 1024 * 1024
# Longer than any URL of a database that is read.
_SECRET_MAX = 256 * 1024
# Longer than any name of ours.
_NAME_MAX = 64

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
    """Invalid settings; the message names each, and the reason."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A setting in `.env`."""

    number: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """The value of each field that is set, what is wrong, and the fields with an unusable file."""

    values: Mapping[str, str]
    faults: Sequence[str]
    unread: Collection[str]


def find_settings(
    fields: Iterable[str], secrets: Iterable[str], environ: Mapping[str, str]
) -> Found:
    """Find the settings in `environ`, which takes precedence, and in `.env`.

    An empty value counts as not set. Each of the fields `secrets` may also be in a file, which the
    setting with `_FILE` after its name names. Faults are names that are not among `fields`,
    anything in `.env` that cannot be read, and files that cannot be read.
    """
    faults: list[str] = []
    lines = list(_read_lines(faults))
    named = {f"{PREFIX}{field}".upper(): field for field in fields}
    files = {f"{PREFIX}{field}{_FILE_SUFFIX}".upper(): field for field in secrets}
    known = {*named, *files}
    unknown = [(name, "") for name, value in environ.items() if _is_unknown(name, value, known)]
    unknown += [
        (line.name, f" ({_location(line.number)})")
        for line in lines
        if _is_unknown(line.name, line.value, known)
    ]
    faults += [_describe_unknown(name, place, known) for name, place in sorted(unknown)]
    given: dict[str, str] = {}
    for name, value in [*((line.name, line.value) for line in lines), *environ.items()]:
        if value and not _is_injected(name, value):
            given[name.upper()] = value
    values = {field: given[name] for name, field in named.items() if name in given}
    unread = set()
    for name, field in files.items():
        try:
            if name in given:
                values[field] = _read_secret(name, given)
        except SettingsError as error:
            faults.append(str(error))
            unread.add(field)
    return Found(values, faults, unread)


def _describe_unknown(name: str, place: str, known: Collection[str]) -> str:
    nearest = closest_match(
        name[len(PREFIX) :], [one.removeprefix(PREFIX) for one in known], _NAME_MAX
    )
    hint = "" if nearest is None else f" The nearest is {PREFIX}{nearest}."
    direct = name.upper().removesuffix(_FILE_SUFFIX)
    if direct in known:
        hint = f" Only secrets can be in a file; set {direct}."
    return f"There is no setting {name[:_NAME_MAX]}{place}.{hint}"


def _read_secret(name: str, given: Mapping[str, str]) -> str:
    """Return the text of the file that a setting names, without line breaks at its end.

    Raises SettingsError.
    """
    path, direct = Path(given[name]), name.removesuffix(_FILE_SUFFIX)
    if direct in given:
        raise SettingsError(f"{direct} and {name} are both set; remove one of them.")
    try:
        path.lstat()
    except OSError as error:
        # It may be the secret itself.
        raise SettingsError(
            f"{name}: the file cannot be read: {error.strerror}. Write the path of a file, not the "
            "secret."
        ) from None
    text = _read_text(path, f"{name}: the file {path}", _SECRET_MAX).rstrip("\r\n")
    if not text:
        raise SettingsError(f"{name}: the file {path} is empty.")
    return text


def _is_unknown(name: str, value: str, known: Collection[str]) -> bool:
    is_ours = name.upper().startswith(PREFIX) and not _is_injected(name, value)
    return is_ours and name.upper() not in known


def _is_injected(name: str, value: str) -> bool:
    """Return whether Kubernetes or Docker added the variable."""
    rest = name[len(PREFIX) :]
    return any(names.fullmatch(rest) and values.fullmatch(value) for names, values in _INJECTED)


def _read_lines(faults: list[str]) -> Iterator[_Line]:
    """Yield the settings of `.env`, each name once, and add the faults of other lines."""
    numbers: dict[str, int] = {}
    variables: dict[str, str] = dict(os.environ)
    try:
        text = _read_text(FILE, f"The file {FILE}", _DOTENV_MAX) if os.path.lexists(FILE) else ""
    except SettingsError as error:
        faults.append(str(error))
        return
    for binding in parse_stream(io.StringIO(text, newline=None)):
        try:
            line = _read_line(binding, variables, numbers)
        except SettingsError as error:
            faults.append(str(error))
            continue
        if line is not None:
            yield line


def _read_line(
    binding: Binding, variables: dict[str, str], numbers: dict[str, int]
) -> _Line | None:
    """Return the setting, if it is one of ours; add its value and line to those of earlier lines.

    Raises SettingsError.
    """
    number = _line_number(binding)
    _require_valid(binding, number)
    if binding.key is None or binding.value is None:
        return None
    name, is_ours = binding.key, binding.key.upper().startswith(PREFIX)
    value = variables[name] = _resolve(binding.value, variables, number if is_ours else None)
    if not is_ours:
        return None
    first = numbers.setdefault(name.upper(), number)
    if first != number:
        raise SettingsError(f"{_location(number)}: {name} is already set in line {first}.")
    return _Line(number, name, value)


def _read_text(path: Path, subject: str, limit: int) -> str:
    """Return the text of a file of at most `limit` bytes. Raises SettingsError."""
    try:
        if path.is_dir():
            raise SettingsError(f"{subject} is a directory.")
        # Reading a FIFO would block.
        if path.exists() and not path.is_file():
            raise SettingsError(f"{subject} is not a file.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise SettingsError(
            f"{subject} cannot be read: {error.strerror}. The user of this process needs access to "
            "it: 'ls -ln' shows the owner."
        ) from None
    if len(content) > limit:
        raise SettingsError(f"{subject} has more than {limit // 1024} KiB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    # With NUL it is probably UTF-16 without a byte order mark.
    if "\0" in text:
        raise SettingsError(f"{subject} is not in UTF-8.")
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
