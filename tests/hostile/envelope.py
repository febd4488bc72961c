"""Properties of the envelope parser for any bytes. Needs pydantic_core and no more."""

import json
import math
import re
from pathlib import Path
from typing import Any

from app.http.json import (
    ESCAPES_MAX,
    VALUES_MAX,
    DuplicateMember,
    TooManyValues,
    find_duplicate,
    parse,
)
from app.rpc.envelope import INVALID_REQUEST, RpcError, failure, read_request, success

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
    except DuplicateMember as error:
        _check_duplicate(error, body)
        return
    except TooManyValues:
        assert body.count(b",") > VALUES_MAX or body.count(b"\\") > ESCAPES_MAX
        return
    except ValueError:
        assert not _is_plain(body)
        return
    body = body.removeprefix(b"\xef\xbb\xbf")
    assert not _has_duplicate(body)
    assert _same(value, json.loads(body))
    for item in value if type(value) is list else [value]:
        _check_request(item)


def _check_request(item: Any) -> None:
    try:
        request = read_request(item)
    except RpcError as error:
        refusal = json.loads(failure(error.request_id, error))
        assert refusal["error"]["code"] == INVALID_REQUEST
        sent = item.get("id") if type(item) is dict else None
        assert _same(refusal["id"], None if type(sent) in {bool, list, dict} else sent)
        return
    assert (item["jsonrpc"], item["method"]) == ("2.0", request.method)
    assert type(request.params) in {dict, list}
    assert request.is_notification == ("id" not in item)
    assert request.auth is None or type(request.auth) is str
    for reply in (success(request.id, b"true"), failure(request.id, RpcError("any", -32603, "x"))):
        echoed = json.loads(reply)["id"]
        assert type(echoed) is type(item.get("id"))
        assert _same(echoed, item.get("id"))


def _check_duplicate(error: DuplicateMember, body: bytes) -> None:
    assert find_duplicate(error.value) == error.name
    assert _has_duplicate(body)


def _has_duplicate(body: bytes) -> bool:
    counts: list[bool] = []

    def note(members: list[tuple[str, Any]]) -> None:
        counts.append(len(dict(members)) < len(members))

    json.loads(body.removeprefix(b"\xef\xbb\xbf"), object_pairs_hook=note)
    return any(counts)


def _is_plain(body: bytes) -> bool:
    """Return true for JSON that every parser should accept: not large, deep or peculiar."""
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
