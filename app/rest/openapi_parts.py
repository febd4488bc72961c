"""Constant parts of the OpenAPI document."""

from typing import Any

from app.domain import errors as e
from app.domain.credentials import TOKEN_MAX
from app.domain.errors import FIELD_ERRORS_MAX
from app.http.idempotency import REPLAYED, REPLAYED_TEXT
from app.http.params import input_schema, schema_of
from app.http.problem import problem_object
from app.http.request import CACHE_STATUS, JSON
from app.http.schemas import reference
from app.operations.accounts import SetPresence
from app.operations.formats import IDENTIFIER_MAX
from app.operations.login import Authenticate
from app.rest.login import FORM
from app.rest.responses import documented_headers
from app.rest.system import NOT_READY

_REQUEST_ID = e.Internal.example().detail

# Without a type, since generators have none for several.
_ID = {"description": "A string, a number or null, as in the request."}
_VERSION = {"type": "string", "pattern": r"^2\.0$", "maxLength": 3, "examples": ["2.0"]}
_TEXT = {"type": "string", "maxLength": 8192}
# Without a type, since a batch is an array.
_CALL: dict[str, Any] = {
    "description": "A request, or without `id` a notification. A batch is an array of them.",
    "properties": {
        "jsonrpc": _VERSION,
        "method": {"type": "string", "maxLength": IDENTIFIER_MAX, "examples": ["users.create"]},
        "auth": {
            "type": ["string", "null"],
            "description": "A token or an access key.",
            "maxLength": TOKEN_MAX,
        },
        "params": {"description": "An object or an array: by name or by position."},
        "id": _ID,
    },
    "required": ["jsonrpc", "method"],
}
_REPLY: dict[str, Any] = {
    "description": "Either a result or an error. The reply to a batch is an array of them.",
    "properties": {
        "jsonrpc": _VERSION,
        "id": _ID,
        "result": {"description": "The result of the method."},
        "error": reference("RpcError"),
    },
    "required": ["jsonrpc", "id"],
}
_RPC_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "The reason for refusing a call.",
    "properties": {
        "code": {"type": "integer", "format": "int32", "minimum": -32768, "maximum": -32000},
        "message": _TEXT,
        "data": {"description": "A sentence, or with `errors=problem` a problem object."},
    },
    "required": ["code", "message"],
}
_SECONDS = {"type": "integer", "format": "int32", "minimum": 0}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "The reason for refusing a request (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "maxLength": 256},
        "title": _TEXT,
        "status": {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "code": reference("ProblemCode"),
        "request_id": reference("RequestId"),
        "errors": {
            "type": "array",
            "maxItems": FIELD_ERRORS_MAX,
            "description": "Every flaw and its location, for `invalid-input`.",
            "items": reference("Flaw"),
        },
        "failing": {
            "type": "array",
            "description": "The parts that are not ready, at `/health/ready`.",
            "maxItems": len(NOT_READY),
            "items": {"type": "string", "enum": [*NOT_READY]},
        },
        "retry_after": {
            **_SECONDS,
            "description": "For `rate-limited`: the seconds to wait.",
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}
_PROBLEM_CODE = {
    "type": "string",
    "description": "The error; a code is never reused.",
    "enum": [error.slug for error in e.CATALOGUE],
}
_FLAW: dict[str, Any] = {
    "type": "object",
    "description": "A flaw, and its location in one of the other members.",
    "properties": {
        "detail": _TEXT,
        "pointer": {**_TEXT, "description": "A member, as a JSON pointer."},
        "query": {**_TEXT, "description": "A query parameter."},
        "path": {**_TEXT, "description": "A part of the path."},
        "header": {**_TEXT, "description": "A header."},
    },
    "required": ["detail"],
}
PARTS = {
    "Authenticate": schema_of(Authenticate),
    # A string is taken as well, but several generators send it without its quotes.
    "SetPresence": {**schema_of(SetPresence), "required": ["presence"]},
    "Problem": _PROBLEM,
    "ProblemCode": _PROBLEM_CODE,
    "Flaw": _FLAW,
    "RpcCall": _CALL,
    "RpcReply": _REPLY,
    "RpcError": _RPC_ERROR,
}
# The bodies that an endpoint reads itself, by the id of the route.
REQUEST_BODIES: dict[str, dict[str, Any]] = {
    # Optional, since HTTP Basic may replace it.
    "users_auth": {
        "required": False,
        "content": {
            JSON: {
                "schema": reference("Authenticate"),
                "example": input_schema(Authenticate).example(),
            },
            # OAuth2 clients also send members that are ignored (RFC 6749 section 4.3.2). The same
            # schema, since generators mix up those of several media types.
            FORM: {"schema": reference("Authenticate")},
        },
    },
    "users_presence_set": {
        "required": True,
        "content": {
            JSON: {"schema": reference("SetPresence"), "example": {"presence": "ONLINE"}},
        },
    },
}


# All but `method-not-allowed`, which nothing that the document describes is answered with.
def problem_examples(base_path: str) -> dict[str, Any]:
    """Return an example of each problem, as a server with this base path returns it."""
    return {
        error.slug: {
            "summary": error.title,
            "value": problem_object(error.example(), _REQUEST_ID, base_path),
        }
        for error in e.CATALOGUE
        if error is not e.MethodNotAllowed
    }


# Headers of many responses.
HEADERS: dict[str, Any] = {
    "X-Request-ID": {
        "description": "The id of the request, which the log has as well.",
        "schema": reference("RequestId"),
    },
    "Retry-After": {"description": "The seconds to wait.", "schema": _SECONDS},
    **documented_headers(
        {
            "WWW-Authenticate": 'RFC 6750; with `error="invalid_token"` if a credential was sent.',
            "Accept-Encoding": "`identity`, if the body had a content coding.",
            CACHE_STATUS: (
                "RFC 9211; only if the service that keeps the data did not answer and a stale "
                'answer is shown: `Gatehouse; hit; ttl=-120; key="users.guilds"; '
                "detail=stale-if-error`, with the seconds since it expired and the operation."
            ),
            REPLAYED: REPLAYED_TEXT,
        }
    ),
}
_SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token, or an access key.",
    },
    "accessToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Access-Token",
        "description": "An access key, or a token.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Username and password, at `POST /users/auth` alone.",
    },
}


def security_schemes(base_path: str) -> dict[str, Any]:
    """Return the ways to authenticate to a server with this base path."""
    login = {
        "type": "oauth2",
        "description": "Username and password, exchanged for a token.",
        "flows": {"password": {"tokenUrl": f"{base_path}/users/auth", "scopes": {}}},
    }
    return {**_SECURITY_SCHEMES, "login": login}
