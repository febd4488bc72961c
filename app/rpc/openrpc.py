"""OpenRPC document (https://spec.open-rpc.org), generated from the catalog of operations."""

from functools import cache
from typing import Any

from app.domain import errors as e
from app.domain.policy import Access
from app.http.params import InputSchema, call_example, input_schema, result_type
from app.http.schemas import Schemas, reference
from app.operations.catalog import OPERATIONS
from app.operations.examples import RESULT_EXAMPLES
from app.operations.framework.operation import GROUPS, Group, Operation
from app.rpc.envelope import DISCOVER, INVALID_PARAMS
from app.rpc.error_codes import CHAT_MESSAGE
from app.version import VERSION

OPENRPC = "1.3.2"

NEEDS = {
    Access.ANYONE: "none",
    Access.HOLDER: "token or access key",
    Access.TOKEN: "token",
    Access.ADMIN: "token or access key of an admin",
}
_TEXT = f"""\
JSON-RPC 2.0 over `POST /rpc`.

A request has an additional member, `auth`: null, absent, or a token or access key. An error of the
domain has the code -32603, the message `{CHAT_MESSAGE}` and its sentence as `data`; at
`/rpc?errors=problem` it has the code listed here and a problem object (RFC 9457) as `data`.

With the header `Idempotency-Key`, the same body can be sent again: calls that create something are
performed once.
"""


def openrpc_document(base_url: str, introduction: str = "") -> dict[str, Any]:
    """Return the document in OpenRPC 1.3; tools accept only an absolute URL of the server.

    `introduction` describes the server that the document is from.
    """
    document = _document()
    info = {**document["info"], "description": f"{_TEXT}\n{introduction}".strip()}
    servers = [{"name": "gatehouse", "url": f"{base_url}/rpc"}]
    return {**document, "info": info, "servers": servers}


# Validators of draft 7 of JSON Schema refuse a format that they do not know.
_FORMATS = {"date-time", "uri", "uuid"}
_DOCUMENT = {"title": "OpenrpcDocument", "description": "This document.", "type": "object"}


@cache
def _document() -> dict[str, Any]:
    schemas = Schemas()
    methods = [_method(operation, schemas) for operation in OPERATIONS.values()]
    definitions = {name: _titled(it, name) for name, it in schemas.definitions.items()}
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": "Gatehouse",
            "version": VERSION,
            "license": {"name": "Apache License 2.0"},
        },
        "methods": [*methods, _discover()],
        "components": {"schemas": {**definitions, "OpenrpcDocument": _DOCUMENT}},
    }


def _method(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    inputs = input_schema(operation.input)
    result = {"name": "result", "schema": _titled(schemas.of(result_type(operation.result)))}
    return {
        "name": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [{"name": operation.group, "description": GROUPS[operation.group]}],
        "paramStructure": "either",
        "params": [_param(inputs, name, schemas) for name in inputs.names],
        "result": result,
        "errors": _errors(operation),
        "examples": [_example(operation)],
        "x-credential": NEEDS[operation.access],
        **({} if operation.deprecation is None else {"deprecated": True}),
    }


def _param(inputs: InputSchema, name: str, schemas: Schemas) -> dict[str, Any]:
    param = inputs.params[name]
    # The description belongs to the parameter; types with one title should not differ by it.
    schema = {n: it for n, it in param.schema(schemas).items() if n != "description"}
    return {
        "name": name,
        "description": param.doc.description,
        "required": param.required,
        "schema": _titled(schema),
    }


def _titled(schema: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """Return a schema with a title in every part, after which generators name their types."""
    if "$ref" in schema:
        return schema
    titled = {**schema, "title": name or _title(schema)}
    if schema.get("format") not in _FORMATS:
        titled.pop("format", None)
    if "description" in schema:
        # A generator writes one comment line.
        titled["description"] = " ".join(schema["description"].split())
    if "anyOf" in schema:
        titled["anyOf"] = [_titled(part) for part in schema["anyOf"]]
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            titled[inner] = _titled(schema[inner])
    if "properties" in schema:
        titled["properties"] = {n: _titled(part) for n, part in schema["properties"].items()}
    return titled


def _title(schema: dict[str, Any]) -> str:
    """Return the title of a schema without a name: `StringOrNull`, for example."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return "Or".join(map(_title, schema["anyOf"]))
    return str(schema["type"]).capitalize()


def _errors(operation: Operation) -> list[dict[str, Any]]:
    possible: list[type[e.DomainError]] = [*operation.errors, e.Overloaded]
    if operation.access is not Access.ANYONE:
        possible += [e.Unauthenticated, e.Forbidden, e.RateLimited]
    if operation.takes_key:
        possible += [e.InvalidInput, e.RequestInFlight]
    named = [
        {"code": error.rpc_code, "message": error.title, "data": {"code": error.slug}}
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
        "description": "The service discovery method of OpenRPC.",
        "tags": [{"name": Group.ANYONE, "description": GROUPS[Group.ANYONE]}],
        "paramStructure": "either",
        "params": [],
        "result": {"name": "result", "schema": reference("OpenrpcDocument")},
        "errors": [{"code": INVALID_PARAMS, "message": "Invalid params"}],
        "x-credential": NEEDS[Access.ANYONE],
    }
