"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification), with one more request member: `auth`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

Id = str | int | float | None
_IDS = frozenset({str, int, float, type(None)})
_PARAMS = frozenset({dict, list, type(None)})
_AUTHS = frozenset({str, type(None)})


class RpcError(Exception):
    """An error object (section 5.1); `data` is left out where it is None.

    `slug` is what it is called where errors are counted.
    """

    def __init__(self, slug: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.slug = slug
        self.code = code
        self.message = message
        self.data = data


def parse_error() -> RpcError:
    """The body is not JSON."""
    return RpcError("parse-error", PARSE_ERROR, "Parse error")


def invalid_request(reason: str | None = None) -> RpcError:
    """The JSON is not a request."""
    return RpcError("invalid-request", INVALID_REQUEST, "Invalid Request", reason)


def method_not_found() -> RpcError:
    """There is no such method."""
    return RpcError("method-not-found", METHOD_NOT_FOUND, "Method not found")


def invalid_params(reason: str) -> RpcError:
    """The parameters are not those of the method."""
    return RpcError("invalid-params", INVALID_PARAMS, "Invalid params", reason)


class Request(NamedTuple):
    """A request object (section 4); a notification is one that was sent without an id."""

    method: str
    params: Mapping[str, Any] | Sequence[Any]
    id: Id
    is_notification: bool
    auth: str | None


def read_request(value: Any) -> Request:
    """The request in a JSON value. Raises RpcError where it is none."""
    if type(value) is not dict:
        raise invalid_request("A request must be an object.")
    if value.get("jsonrpc") != "2.0":
        raise invalid_request("'jsonrpc' must be \"2.0\".")
    method, params, auth = value.get("method"), value.get("params"), value.get("auth")
    if type(method) is not str:
        raise invalid_request("'method' must be a string.")
    if type(params) not in _PARAMS:
        raise invalid_request("'params' must be an object or an array.")
    if type(value.get("id")) not in _IDS:
        raise invalid_request("'id' must be a string, a number or null.")
    if type(auth) not in _AUTHS:
        raise invalid_request("'auth' must be a string or null.")
    return Request(
        method=method,
        params={} if params is None else params,
        id=value.get("id"),
        is_notification="id" not in value,
        auth=auth,
    )


def success(request_id: Id, result: bytes) -> bytes:
    """A response object (section 5) with a result that is JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (to_json(request_id), result)


def failure(request_id: Id, error: RpcError) -> bytes:
    """A response object with an error (section 5)."""
    members: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        members["data"] = error.data
    return to_json({"jsonrpc": "2.0", "id": request_id, "error": members})


def batch(replies: Sequence[bytes]) -> bytes:
    """The array of response objects (section 6)."""
    return b"[%b]" % b",".join(replies)
