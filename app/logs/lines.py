"""Log events as JSON lines that a pipe takes atomically."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from app.logs.writer import LINE_MAX

# Without the line end.
_MAX = LINE_MAX - 1
_CUT = "…"


def json_line(event: Mapping[str, Any]) -> bytes:
    """Return the event as JSON below `LINE_MAX` bytes; `cut` names the members that were cut."""
    line = _encode(event)
    return line if len(line) <= _MAX else _shorten(dict(event))


def _shorten(event: dict[str, Any]) -> bytes:
    cut: list[str] = []
    while True:
        line = _encode({**event, "cut": cut})
        if len(line) <= _MAX or not event:
            return line
        name = max(event, key=lambda name: len(_encode(event[name])))
        if name not in cut:
            cut.append(name)
        half = _halve(event[name])
        if half == event[name]:
            del event[name]
        else:
            event[name] = half


def _halve(value: Any) -> Any:
    """Return about half of a value: the beginning of a text, the last items of a list."""
    if isinstance(value, str):
        # Cut a very long text at once instead of halving it many times.
        return value[: min((len(value) - 1) // 2, _MAX)] + _CUT
    if isinstance(value, list | tuple) and value:
        items = list(value)
        return items[(len(items) + 1) // 2 :] if len(items) > 1 else [_halve(items[0])]
    if isinstance(value, dict) and value:
        longest = max(value, key=lambda name: len(_encode(value[name])))
        return {**value, longest: _halve(value[longest])}
    return _CUT


def _encode(event: Any) -> bytes:
    try:
        return to_json(event, fallback=repr)
    except PydanticSerializationError:
        # For example a lone surrogate, which the standard library escapes.
        return json.dumps(event, default=repr).encode()
