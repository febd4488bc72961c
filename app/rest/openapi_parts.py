"""The parts of the OpenAPI document that no row tells."""

from typing import Any

from app.domain import errors as e
from app.domain.policy import Access
from app.rest.system import NOT_READY
from app.wire.http import BODY_MAX, JSON
from app.wire.problem import problem_object
from app.wire.schemas import reference

_REQUEST_ID = "9f0c2b8e6d3a4c51"

UUID_OR_NAME = {
    "type": "string",
    "description": "A uuid (36 characters), else a username.",
    "examples": ["demoaccount"],
}
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
    "description": "Why a call was refused.",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {}},
    "required": ["code", "message"],
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": reference("ProblemCode"),
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What is wrong where, for `invalid-input`.",
            "items": reference("Flaw"),
        },
        "failing": {
            "type": "array",
            "description": "Which part is not ready, at `/health/ready`.",
            "items": {"type": "string", "enum": [*NOT_READY]},
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}
_PROBLEM_CODE = {
    "type": "string",
    "description": "Which error it is; never used again for another.",
    "enum": [error.slug for error in e.CATALOGUE],
}
_FLAW: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong, and one of the places where.",
    "properties": {
        "detail": {"type": "string"},
        "pointer": {"type": "string", "description": "A member, as a JSON pointer."},
        "query": {"type": "string", "description": "A query parameter."},
        "path": {"type": "string", "description": "A part of the path."},
        "header": {"type": "string", "description": "A header."},
    },
    "required": ["detail"],
}
PARTS = {
    "Problem": _PROBLEM,
    "ProblemCode": _PROBLEM_CODE,
    "Flaw": _FLAW,
    "RpcCall": _CALL,
    "RpcReply": _REPLY,
    "RpcError": _RPC_ERROR,
}
# All but `method-not-allowed`, which nothing that the document describes is answered with.
PROBLEM_EXAMPLES: dict[str, Any] = {
    error.slug: {"summary": error.title, "value": problem_object(error, _REQUEST_ID)}
    for error in (
        e.InvalidInput.of(e.Flaw("username", "is required")),
        e.InvalidUsername("The username admin is reserved"),
        e.InvalidEmail("The e-mail address is invalid: it must have an @-sign."),
        e.InvalidPresence("A presence must be one of ONLINE, IDLE, DND, INVISIBLE, OFFLINE"),
        e.WeakPassword("This password is too common"),
        e.UsernameTaken("user"),
        e.EmailTaken("new@example.com"),
        e.InvalidCredentials(),
        e.Unauthenticated(),
        e.AccountDisabled(),
        e.Forbidden(Access.ADMIN.refusal),
        e.RegistrationClosed(),
        e.UserNotFound(),
        e.NotFound("There is no such access key."),
        e.LastAdmin(),
        e.RequestInFlight(),
        e.PreconditionFailed(),
        e.PayloadTooLarge(BODY_MAX),
        e.UnsupportedMediaType([JSON]),
        e.RateLimited(30),
        e.Internal(_REQUEST_ID),
        e.Overloaded(),
        e.UpstreamFailed("chat service"),
        e.UpstreamTimeout("panel"),
    )
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
