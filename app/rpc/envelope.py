"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification), with the additional member `auth`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pydantic_core import to_json

from app.domain.errors import FieldError
from app.domain.idempotency import IdempotencyKey
from app.domain.quoting import QUOTED_MAX, quote
from app.domain.text import closest_match, only_letters
from app.http.credentials import misplaced_name
from app.http.json import Duplicated
from app.http.json_faults import kind_of, not_an_object

DISCOVER = "rpc.discover"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# The codes of JSON-RPC itself; the errors of the domain use INTERNAL_ERROR.
PROTOCOL_ERRORS = frozenset({PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS})

Id = str | int | float | None
_IDS = frozenset({str, int, float, type(None)})
_PARAMS = frozenset({dict, list, type(None)})
_AUTHS = frozenset({str, type(None)})
_MEMBERS = ("jsonrpc", "method", "params", "id", "auth")
# Other names for the parameters, without case and separators.
_PARAMS_ELSEWHERE = frozenset(
    {"args", "arguments", "body", "data", "input", "parameters", "payload"}
)
# How many members of a request are looked at for a hint.
_LOOKED_AT = 8


class RpcError(Exception):
    """An error object (section 5.1); `data` is omitted if it is None.

    `slug` names the error in metrics. `request_id` is the id of an invalid request, if it could be
    read (section 5).
    """

    def __init__(
        self, slug: str, code: int, message: str, data: Any = None, request_id: Id = None
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.slug = slug
        self.code = code
        self.message = message
        self.data = data
        self.field_errors: Sequence[FieldError] = ()


def parse_error(reason: str) -> RpcError:
    """Return the error for a body that is not JSON."""
    return RpcError("parse-error", PARSE_ERROR, "Parse error", reason)


def invalid_request(reason: str | None = None, request_id: Id = None) -> RpcError:
    """Return the error for JSON that is not a request."""
    return RpcError("invalid-request", INVALID_REQUEST, "Invalid Request", reason, request_id)


def duplicate_member(name: str, value: Any) -> RpcError:
    """Return the error for a request with an object that has two members called `name`."""
    sent_id = value.get("id") if type(value) in {dict, Duplicated} else None
    request_id = sent_id if type(sent_id) in _IDS else None
    return invalid_request(f"The member {quote(name)} is given twice. Send it once.", request_id)


def method_not_found(name: str, nearest: str | None) -> RpcError:
    """Return the error for an unknown method, with the most similar name if there is one."""
    reason = f"There is no method {quote(name)}."
    if nearest is None:
        reason += f" Call {DISCOVER!r} for all methods."
    else:
        reason += f" The nearest is {nearest!r}."
    return RpcError("method-not-found", METHOD_NOT_FOUND, "Method not found", reason)


def invalid_params(reason: str, field_errors: Sequence[FieldError] = ()) -> RpcError:
    """Return the error for parameters that the method does not accept."""
    error = RpcError("invalid-params", INVALID_PARAMS, "Invalid params", reason)
    error.field_errors = field_errors
    return error


class Request(NamedTuple):
    """A request object (section 4); without an id it is a notification."""

    method: str
    params: dict[str, Any] | list[Any]
    id: Id
    is_notification: bool
    auth: str | None
    idempotency_key: IdempotencyKey | None = None
    # The members as they were sent.
    sent: Mapping[str, Any] = {}


def read_request(value: Any) -> Request:
    """Return the request in a JSON value. Raises RpcError if it is not a request."""
    if type(value) is not dict:
        raise invalid_request(not_an_object("A request", value))
    request_id = value.get("id")
    if type(request_id) not in _IDS:
        reason = f"'id' must be a string, a number or null, not {kind_of(request_id)}."
        raise invalid_request(reason)
    if value.get("jsonrpc") != "2.0":
        reason = 'A request needs the member "jsonrpc": "2.0".'
        raise invalid_request(reason + misspelling(value, "jsonrpc"), request_id)
    method, params, auth = value.get("method"), value.get("params"), value.get("auth")
    if type(method) is not str:
        reason = "'method' must be a string, the name of a method."
        raise invalid_request(reason + misspelling(value, "method"), request_id)
    if type(params) not in _PARAMS:
        reason = f"'params' must be an object or an array, not {kind_of(params)}."
        raise invalid_request(reason, request_id)
    if type(auth) not in _AUTHS:
        reason = f"'auth' must be a string or null, not {kind_of(auth)}. Send the token itself."
        raise invalid_request(reason, request_id)
    return Request(
        method=method,
        params={} if params is None else params,
        id=request_id,
        is_notification="id" not in value,
        auth=auth,
        sent=value,
    )


def misspelling(sent: Mapping[str, Any], name: str) -> str:
    """Return a sentence about the member of a request that seems to be `name`, or ''."""
    for other in _unknown(sent):
        is_params = name == "params" and only_letters(other[:QUOTED_MAX]) in _PARAMS_ELSEWHERE
        if is_params or closest_match(other, _MEMBERS, QUOTED_MAX) == name:
            return f" The request has the member {quote(other)} instead of {name!r}."
    return ""


def outside_params(sent: Mapping[str, Any], names: Collection[str]) -> str:
    """Return a sentence about a parameter that was sent beside 'params', or ''."""
    name = next((name for name in _unknown(sent) if name in names), None)
    return "" if name is None else f" The member {name!r} belongs into 'params'."


def misplaced_credential(request: Request) -> str | None:
    """Return where a request without a credential seems to have one."""
    if (name := misplaced_name(_unknown(request.sent))) is not None:
        return f"The member {quote(name)} of the request"
    if isinstance(request.params, Mapping):
        names = islice(request.params, _LOOKED_AT)
        if (name := misplaced_name(names)) is not None:
            return f"The parameter {quote(name)}"
    return None


def _unknown(sent: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in islice(sent, _LOOKED_AT) if name not in _MEMBERS)


def success(request_id: Id, result: bytes) -> bytes:
    """Return a response object (section 5) with a result that is encoded already."""
    return b"%b%b}" % (_success_head(request_id), result)


def result_of(request_id: Id, response: bytes) -> bytes:
    """Return the result in a response object that `success` made."""
    return response[len(_success_head(request_id)) : -1]


def _success_head(request_id: Id) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":' % to_json(request_id)


def failure(request_id: Id, error: RpcError) -> bytes:
    """Return a response object with an error (section 5)."""
    members: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        members["data"] = error.data
    return to_json({"jsonrpc": "2.0", "id": request_id, "error": members})


def batch(replies: Sequence[bytes]) -> bytes:
    """Return the array of response objects (section 6)."""
    return b"[%b]" % b",".join(replies)
