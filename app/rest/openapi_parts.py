"""Constant parts of the OpenAPI document."""

from typing import Any

from app.domain import errors as e
from app.http.params import input_schema, schema_of
from app.http.problem import problem_object
from app.http.request import JSON
from app.http.schemas import reference
from app.operations.accounts import SetPresence
from app.operations.login import Authenticate
from app.rest.login import FORM, LOGIN_FORM
from app.rest.system import NOT_READY

_REQUEST_ID = e.Internal.example().detail

STALE = (
    "RFC 9211; only if the service that keeps the data did not answer and a stale answer is shown: "
    '`Gatehouse; hit; ttl=-120; key="users.guilds"; detail=stale-if-error`, with the seconds since '
    "it expired and the operation."
)
_ID = {"type": ["string", "number", "null"]}
_CALL: dict[str, Any] = {
    "type": "object",
    "description": "A request, or without `id` a notification.",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "method": {"type": "string", "examples": ["users.create"]},
        "auth": {"type": ["string", "null"], "description": "A token or an access key."},
        "params": {
            "type": ["object", "array", "null"],
            "description": "By name or by position.",
            "additionalProperties": True,
            "items": {},
        },
        "id": _ID,
    },
    "required": ["jsonrpc", "method"],
}
_REPLY: dict[str, Any] = {
    "type": "object",
    "description": "Either a result or an error.",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": _ID,
        "result": {},
        "error": reference("RpcError"),
    },
    "required": ["jsonrpc", "id"],
}
_RPC_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "The reason for refusing a call.",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {}},
    "required": ["code", "message"],
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "The reason for refusing a request (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": reference("ProblemCode"),
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Every flaw and its location, for `invalid-input`.",
            "items": reference("Flaw"),
        },
        "failing": {
            "type": "array",
            "description": "The parts that are not ready, at `/health/ready`.",
            "items": {"type": "string", "enum": [*NOT_READY]},
        },
        "retry_after": {
            "type": "integer",
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
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "A member, as a JSON pointer."},
        "query": {"type": "string", "description": "A query parameter."},
        "path": {"type": "string", "description": "A part of the path."},
        "header": {"type": "string", "description": "A header."},
    },
    "required": ["detail"],
}
_SET_PRESENCE: dict[str, Any] = {**schema_of(SetPresence), "required": ["presence"]}
PARTS = {
    "Authenticate": schema_of(Authenticate),
    "LoginForm": LOGIN_FORM,
    "SetPresence": _SET_PRESENCE,
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
            FORM: {"schema": reference("LoginForm")},
        },
    },
    "users_presence_set": {
        "required": True,
        "content": {
            JSON: {
                "schema": {"oneOf": [reference("Presence"), reference("SetPresence")]},
                "example": "ONLINE",
            }
        },
    },
}
# All but `method-not-allowed`, which nothing that the document describes is answered with.
PROBLEM_EXAMPLES: dict[str, Any] = {
    error.slug: {"summary": error.title, "value": problem_object(error.example(), _REQUEST_ID)}
    for error in e.CATALOGUE
    if error is not e.MethodNotAllowed
}
SECURITY_SCHEMES: dict[str, Any] = {
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
    "login": {
        "type": "oauth2",
        "description": "Username and password, exchanged for a token.",
        "flows": {"password": {"tokenUrl": "/users/auth", "scopes": {}}},
    },
}
