"""What must hold of the envelope parser for any bytes whatever. Needs pydantic_core and no more."""

import json
import math
import re
from pathlib import Path
from typing import Any

from app.rpc.envelope import INVALID_REQUEST, RpcError, failure, read_request, success
from app.wire.json import parse

ENVELOPES = Path(__file__).parent / "envelopes"
# Where ours may refuse what the standard library takes: sizes, depth, surrogates, infinities.
_BEYOND = re.compile(rb"[0-9]{200}|[eE]|\\u[dD]|NaN|Infinity")
DEPTH = 150


def seeds() -> list[bytes]:
    """The corpus to begin with."""
    return [path.read_bytes() for path in sorted(ENVELOPES.iterdir())]


def check(body: bytes) -> None:
    """Parse, hold it to the standard library, read each request, and answer it."""
    try:
        value = parse(body)
    except ValueError:
        assert not _is_plain(body)
        return
    assert _same(value, json.loads(body))
    for item in value if type(value) is list else [value]:
        _check_request(item)


def _check_request(item: Any) -> None:
    try:
        request = read_request(item)
    except RpcError as error:
        refusal = json.loads(failure(None, error))
        assert (refusal["id"], refusal["error"]["code"]) == (None, INVALID_REQUEST)
        return
    assert (item["jsonrpc"], item["method"]) == ("2.0", request.method)
    assert type(request.params) in {dict, list}
    assert request.is_notification == ("id" not in item)
    assert request.auth is None or type(request.auth) is str
    for reply in (success(request.id, b"true"), failure(request.id, RpcError("any", -32603, "x"))):
        echoed = json.loads(reply)["id"]
        assert type(echoed) is type(item.get("id"))
        assert _same(echoed, item.get("id"))


def _is_plain(body: bytes) -> bool:
    """Whether any parser of JSON should take it: nothing large, deep or peculiar is in it."""
    if _BEYOND.search(body) or body.count(b"[") + body.count(b"{") > DEPTH:
        return False
    try:
        json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _same(ours: Any, theirs: Any) -> bool:
    if type(ours) is not type(theirs):
        return False
    match ours:
        case dict():
            return ours.keys() == theirs.keys() and all(_same(ours[k], theirs[k]) for k in ours)
        case list():
            return len(ours) == len(theirs) and all(map(_same, ours, theirs))
        case float():
            return math.copysign(1, ours) == math.copysign(1, theirs) and ours == theirs
        case _:
            return bool(ours == theirs)
