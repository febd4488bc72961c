"""The parts of the OpenAPI document that no row tells."""

from typing import Any

from app.domain import errors as e

UUID_OR_NAME = {
    "type": "string",
    "description": "A uuid (36 characters), else a username.",
    "examples": ["demoaccount"],
}
_ID = {"type": ["string", "number", "null"]}
CALL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "method": {"type": "string", "examples": ["users.create"]},
        "auth": {"type": ["string", "null"], "description": "A token or an access key."},
        "params": {"type": ["object", "array", "null"]},
        "id": _ID,
    },
    "required": ["jsonrpc", "method"],
}
REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": _ID,
        "result": {},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "data": {},
            },
            "required": ["code", "message"],
        },
    },
    "required": ["jsonrpc", "id"],
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": [error.slug for error in e.CATALOGUE]},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What is wrong where, for `invalid-input`.",
            "items": {
                "type": "object",
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "description": "A member, as a JSON pointer."},
                    "query": {"type": "string", "description": "A query parameter."},
                    "path": {"type": "string", "description": "A part of the path."},
                    "header": {"type": "string", "description": "A header."},
                },
                "required": ["detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "examples": [
        {
            "type": "/errors/username-taken",
            "title": e.UsernameTaken.title,
            "status": 400,
            "detail": e.UsernameTaken("user").detail,
            "code": "username-taken",
            "request_id": "9f0c2b8e6d3a4c51",
        }
    ],
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
