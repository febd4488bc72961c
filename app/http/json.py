"""Strict JSON: RFC 8259 without extensions or duplicate members (RFC 7493 section 2.3)."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from app.domain.text import Pattern
from app.http.json_faults import hint

# More than any request needs, and few enough that building them delays no other request. The parser
# does not release the interpreter's lock, so a thread would block the event loop just as long.
CONTAINERS_MAX = 20_000
VALUES_MAX = 20_000
ESCAPES_MAX = 50_000
# RFC 8259 section 8.1 lets a parser ignore one.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Above the size of every text: bodies have at most 1 MiB, responses of upstream services a few.
_TEXT_MAX = 16 * 1024 * 1024
_QUOTED = rb'"(?:[^"\\]++|\\.)*+"'
_STRING = Pattern(_QUOTED, _TEXT_MAX)
_STRING_OR_NUMBER = Pattern(_QUOTED + rb"|-?[0-9][-+.0-9eE]*", _TEXT_MAX)

TOO_LARGE = "Send less at once"
dump = to_json


class TooManyValues(ValueError):
    """The text has more values or escapes than any request needs, and was not parsed."""


class DuplicateMember(ValueError):
    """An object of the text has two members with the same name.

    `value` is the parsed text, with a `Duplicated` in place of each such object.
    """

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(f"the member {name[:64]!r} is given twice")
        self.name = name
        self.value = value


class Duplicated:
    """An object with the duplicate member `name`; not a dict, so it is never read as one."""

    def __init__(self, name: str, members: Sequence[tuple[str, Any]]) -> None:
        self.name = name
        self.members = members

    def get(self, name: str) -> Any:
        """Return the value of a member that occurs once, or None."""
        values = [value for found, value in self.members if found == name]
        return values[0] if len(values) == 1 else None


def parse(body: bytes) -> Any:
    """Parse a JSON text in UTF-8, ignoring a byte order mark. Raises ValueError.

    Also rejected are NaN and infinities (1e999 included), lone surrogates, more
    than 200 levels, integers of more than 4,300 digits, more than 20,000 arrays and objects.
    Raises TooManyValues for a text with more than 20,000 commas or 50,000 escapes, DuplicateMember
    for an object with two members with the same name.
    """
    text = body.removeprefix(BYTE_ORDER_MARK)
    # A shorter text cannot exceed the bounds.
    if len(text) > CONTAINERS_MAX:
        _check_bounds(text)
    value = from_json(text, allow_inf_nan=False)
    members = _count_members(value)
    if members < 0:
        raise ValueError(f"a number is too large{_place_of_infinity(text)}")
    # Each member has one colon; strings may have more.
    if text.count(b":") != members and _STRING.sub(b"", text).count(b":") != members:
        marked = json.loads(text, object_pairs_hook=_object)
        raise DuplicateMember(find_duplicate(marked) or "", marked)
    return value


def sentence(body: bytes, error: ValueError) -> str:
    """Return what is wrong with a text that `parse` rejects, with line and column, and what to
    do."""
    text = body.removeprefix(BYTE_ORDER_MARK)
    return f"The body is not JSON: {error}. {hint(text, error)}"


def find_duplicate(value: Any) -> str | None:
    """Return the name of the first duplicate member in a `DuplicateMember.value`, or None."""
    found = [value]
    for item in found:
        if type(item) is Duplicated:
            return item.name
        if type(item) is dict:
            found += item.values()
        elif type(item) is list:
            found += item
    return None


def _check_bounds(text: bytes) -> None:
    if text.count(b"[") + text.count(b"{") > CONTAINERS_MAX:
        raise ValueError("there are too many arrays and objects")
    if text.count(b",") > VALUES_MAX:
        raise TooManyValues("there are too many values")
    if text.count(b"\\") > ESCAPES_MAX:
        raise TooManyValues("there are too many escapes")


def _count_members(value: Any) -> int:
    """Return the number of members of all objects, or -1 if a number is infinite."""
    count = 0
    found = [value]
    for item in found:
        kind = type(item)
        if kind is dict:
            count += len(item)
            found += item.values()
        elif kind is list:
            found += item
        elif kind is float and math.isinf(item):
            return -1
    return count


def _place_of_infinity(text: bytes) -> str:
    for token in _STRING_OR_NUMBER.finditer(text):
        if not token[0].startswith(b'"') and math.isinf(float(token[0])):
            line = text.count(b"\n", 0, token.start()) + 1
            column = token.start() - text.rfind(b"\n", 0, token.start())
            return f" at line {line} column {column}"
    return ""


def _object(members: list[tuple[str, Any]]) -> Mapping[str, Any] | Duplicated:
    value: dict[str, Any] = {}
    for name, item in members:
        if name in value:
            return Duplicated(name, members)
        value[name] = item
    return value
