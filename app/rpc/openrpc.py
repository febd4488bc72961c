"""The OpenRPC document (https://spec.open-rpc.org), from the registry of operations."""

from functools import cache
from importlib.metadata import version
from typing import Any

from app.domain import errors as e
from app.domain.policy import Access
from app.rpc.envelope import INVALID_PARAMS
from app.rpc.errors import CHAT_MESSAGE, PROBLEM_CODES
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.operation import Group, Operation
from app.usecases.registry import OPERATIONS
from app.wire.inputs import InputForm, call_example, input_form, result_type
from app.wire.schemas import Schemas

DISCOVER = "rpc.discover"
OPENRPC = "1.3.2"

_TAGS = {
    Group.ANYONE: "What takes no credential.",
    Group.CHAT_USER: "What somebody does with his own account.",
    Group.PANEL_ADMIN: "What an admin does with all accounts, servers and guilds.",
}
NEEDS = {
    Access.ANYONE: "none",
    Access.HOLDER: "token or access key",
    Access.TOKEN: "token",
    Access.ADMIN: "token or access key of an admin",
}
_TEXT = f"""\
The chat's door of one user directory: JSON-RPC 2.0 over `POST /rpc`.

A request has one more member, `auth`: null, absent, or a token or access key. An error of the
domain has the code -32603, the message `{CHAT_MESSAGE}` and its sentence as `data`; at
`/rpc?errors=problem` it has the code that stands here and a problem object (RFC 9457) as `data`.
"""


@cache
def openrpc_document(public_url: str | None = None) -> dict[str, Any]:
    """The document, OpenRPC 1.3."""
    schemas = Schemas()
    methods = [_method(operation, schemas) for operation in OPERATIONS.values()]
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "Gatehouse",
            "version": version("gatehouse"),
            "description": _TEXT,
            "license": {"name": "Apache License 2.0"},
        },
        "servers": [{"name": "gatehouse", "url": f"{public_url or ''}/rpc"}],
        "methods": [*methods, _discover()],
        "components": {"schemas": schemas.definitions},
    }


def _method(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    form = input_form(operation.input)
    result = {"name": "result", "schema": schemas.of(result_type(operation.result))}
    return {
        "name": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [{"name": operation.group, "description": _TAGS[operation.group]}],
        "paramStructure": "either",
        "params": [_param(form, name, schemas) for name in form.names],
        "result": result,
        "errors": _errors(operation),
        "examples": [_example(operation)],
        "x-credential": NEEDS[operation.access],
    }


def _param(form: InputForm, name: str, schemas: Schemas) -> dict[str, Any]:
    param = form.params[name]
    return {
        "name": name,
        "description": param.doc.description,
        "required": param.required,
        "schema": param.schema(schemas),
    }


def _errors(operation: Operation) -> list[dict[str, Any]]:
    possible: list[type[e.DomainError]] = [*operation.errors, e.Overloaded]
    if operation.access is not Access.ANYONE:
        possible += [e.Unauthenticated, e.Forbidden, e.RateLimited]
    named = [
        {"code": PROBLEM_CODES[error], "message": error.title, "data": {"code": error.slug}}
        for error in dict.fromkeys(possible)
    ]
    return [{"code": INVALID_PARAMS, "message": "Invalid params"}, *named]


def _example(operation: Operation) -> dict[str, Any]:
    params = call_example(operation)
    return {
        "name": operation.name,
        "summary": operation.summary,
        "params": [{"name": name, "value": value} for name, value in params.items()],
        "result": {"name": "result", "value": RESULT_EXAMPLES[operation.name]},
    }


def _discover() -> dict[str, Any]:
    return {
        "name": DISCOVER,
        "summary": "Returns this document",
        "description": "Anyone may. The OpenRPC service discovery method.",
        "tags": [{"name": Group.ANYONE, "description": _TAGS[Group.ANYONE]}],
        "paramStructure": "either",
        "params": [],
        "result": {"name": "OpenRPC Schema", "schema": {"type": "object"}},
        "errors": [{"code": INVALID_PARAMS, "message": "Invalid params"}],
        "x-credential": NEEDS[Access.ANYONE],
    }
