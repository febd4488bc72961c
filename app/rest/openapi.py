"""The OpenAPI document: FastAPI's own, with the additions that the contract needs.

FastAPI generates paths, parameters, bodies, responses and their schemas from the path operations.
Added here: security, the problems that an operation may return, examples, headers of all responses
of a kind, and `POST /rpc`, which is not a path operation.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fastapi.openapi.utils import get_openapi

from app.domain import errors as e
from app.domain.policy import Access
from app.http.idempotency import KEY_SCHEMA, REPLAYED
from app.http.params import call_example
from app.http.public_url import base_path_of
from app.http.request import CACHE_STATUS, JSON, PROBLEM_JSON
from app.http.schemas import plain, plain_name, reference
from app.operations.catalog import OPERATIONS
from app.operations.examples import RESULT_EXAMPLES
from app.operations.framework.idempotency import HEADER
from app.operations.framework.operation import GROUPS, Group, Operation
from app.rest.openapi_parts import (
    HEADERS,
    PARTS,
    REQUEST_BODIES,
    problem_examples,
    security_schemes,
)
from app.rest.operation_route import IF_MATCH, OperationRoute, StrictRoute
from app.rest.router import PAGES, ROUTES
from app.version import VERSION

_Error = type[e.DomainError]

_TAGS = [*GROUPS.items(), ("operator", "Health, metrics and keys.")]
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"accessToken": []}, {"login": []}]
_RATIONALE = """\
The REST API of one user directory. Everything below `/users`, `/profiles`, `/servers`, `/guilds`,
`/audit`, `/outbox` and `/auth` is also available below `/api`.

A token (from `POST /users/auth`) or an access key goes into `Authorization: Bearer …` or
`X-Access-Token: …`; both headers take both. Errors are `application/problem+json` (RFC 9457);
match on `code`. The JSON-RPC API is `POST /rpc`; see [/rpc/docs]({}/rpc/docs).
"""
_RPC_TEXT = """\
JSON-RPC 2.0 with one more request member, `auth`: null, absent, or a token or access key. A batch
has at most 100 calls. A response has HTTP status 200, or 204 if only notifications were sent.
Errors of the domain have the code -32603 and their sentence as `data`; with `?errors=problem` each
has a code of its own and the problem object as `data`.
"""
# The pages that require a credential.
_FOR_ADMINS = frozenset({"metrics"})
# The operations that GET performs for a username, by the one that it performs for a uuid.
ALSO = {"admin.users.get": OPERATIONS["users.check"]}
# The member of the result that the response shows.
_LISTED = {
    "admin.users.list": "users",
    "guilds.members": "members",
    "admin.audit.list": "entries",
    "admin.outbox.list": "messages",
}
_TAKING_KEY = ", ".join(f"`{name}`" for name, it in OPERATIONS.items() if it.takes_key)
# Paths that are documented with another name of their parameter: one that fits all methods.
DOCUMENTED_PATHS = {"/users/{uuid}": "/users/{user}"}
_HEADERS_OF = {
    401: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_SUCCESS = "Successful Response"
_DONE = {200: "As asked for.", 204: "Done; there is nothing to show."}


@cache
def openapi_document(public_url: str | None = None, introduction: str = "") -> dict[str, Any]:
    """Return the document, OpenAPI 3.1.

    `introduction` describes the server that the document is from.
    """
    url, base_path = public_url or "/", base_path_of(public_url)
    document = get_openapi(
        title="Gatehouse",
        version=VERSION,
        description=f"{_RATIONALE.format(base_path)}\n{introduction}".strip(),
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        servers=[{"url": url}],
        tags=[{"name": name, "description": text} for name, text in _TAGS],
        routes=[route.documented() for route in (*ROUTES, *PAGES)],
    )
    paths = plain(document["paths"])
    for route in filter(lambda route: route.include_in_schema, [*ROUTES, *PAGES]):
        _complete(paths[route.built.path_format][route.method.lower()], route)
    paths = {DOCUMENTED_PATHS.get(path, path): item for path, item in paths.items()}
    paths["/rpc"] = {"post": _rpc()}
    for operation in (operation for item in paths.values() for operation in item.values()):
        for response in operation["responses"].values():
            response["headers"] = {**response.get("headers", {}), **_headers("X-Request-ID")}
    schemas = plain(document["components"]["schemas"])
    of_fastapi = {"HTTPValidationError", "ValidationError"}
    components = {
        "schemas": {
            **{plain_name(name): it for name, it in schemas.items() if name not in of_fastapi},
            **PARTS,
        },
        "examples": problem_examples(base_path),
        "headers": HEADERS,
        "securitySchemes": security_schemes(base_path),
    }
    contact = {"name": "The operator of this gateway"}
    if public_url is not None:
        contact["url"] = public_url
    # FastAPI takes only an absolute URL.
    handbook = {
        "description": "The handbook of this version.",
        "url": f"{url.rstrip('/')}/handbook/",
    }
    return {
        **document,
        "info": {**document["info"], "contact": contact},
        "externalDocs": handbook,
        "paths": paths,
        "components": components,
    }


def _complete(documented: dict[str, Any], route: StrictRoute) -> None:
    """Add the parts that FastAPI does not know to one operation of the document."""
    operation = route.operation if isinstance(route, OperationRoute) else None
    documented["security"] = _security(route, operation)
    for parameter in documented.get("parameters", ()):
        if route.path in DOCUMENTED_PATHS and parameter["in"] == "path":
            parameter["name"] = "user"
        _complete_parameter(parameter, operation)
    if route.built.unique_id in REQUEST_BODIES:
        documented["requestBody"] = REQUEST_BODIES[route.built.unique_id]
    elif "requestBody" in documented and isinstance(route, OperationRoute):
        content = documented["requestBody"]["content"][JSON]
        content["example"] = call_example(route.operation, route.elsewhere)
    answers = documented["responses"]
    answers.pop("422", None)
    for status, answer in answers.items():
        if answer["description"] == _SUCCESS:
            answer["description"] = _DONE[int(status)] if operation else f"{route.built.summary}."
        if isinstance(route, OperationRoute):
            _complete_answer(answer, route)
    errors = _possible_errors(route, takes_body="requestBody" in documented)
    documented["responses"] = {**answers, **_failures(errors)}


def _security(route: StrictRoute, operation: Operation | None) -> list[dict[str, list[str]]]:
    if operation is None:
        return [{}, *_SECURITY] if route.built.unique_id in _FOR_ADMINS else []
    if operation.name == "users.auth":
        return [{}, {"basic": []}]
    if operation.access is Access.ANYONE:
        return []
    return [{}, *_SECURITY] if operation.name in ALSO else _SECURITY


def _complete_parameter(parameter: dict[str, Any], operation: Operation | None) -> None:
    if not parameter["required"]:
        del parameter["required"]
    if parameter["schema"].get("type") == "array":
        # The defaults, which some tools want to read.
        parameter |= {"style": "form", "explode": True}
    if operation is None:
        parameter["schema"] = reference("ProblemCode")
        return
    if "$ref" in parameter["schema"]:
        # Beside the schema is where most tools look for them; some ignore a reference with more.
        del parameter["schema"]["description"]
        for example in parameter["schema"].pop("examples", ()):
            parameter["example"] = example
    if parameter["in"] == "header":
        del parameter["schema"]["default"]
    elif operation.name == "admin.users.list" and parameter["name"] == "limit":
        # Without a limit it lists all of them.
        del parameter["schema"]["default"]


def _complete_answer(answer: dict[str, Any], route: OperationRoute) -> None:
    operation = route.operation
    headers = answer.get("headers", {})
    if JSON in answer.get("content", ()):
        # A login through REST also returns the expiry of the token, as a refresh does.
        name = "users.refresh" if operation.name == "users.auth" else operation.name
        example = RESULT_EXAMPLES[name]
        if operation.name in _LISTED:
            example = example[_LISTED[operation.name]]
        answer["content"][JSON]["example"] = example
        if e.UpstreamFailed in operation.errors:
            headers |= _headers(CACHE_STATUS)
    if HEADER in route.header_names:
        headers |= _headers(REPLAYED)
    if headers:
        answer["headers"] = headers


def _possible_errors(route: StrictRoute, *, takes_body: bool) -> Iterator[_Error]:
    yield e.InvalidInput
    if isinstance(route, OperationRoute):
        yield from _errors_of(route)
    elif route.built.unique_id in _FOR_ADMINS:
        yield from (e.Unauthenticated, e.Forbidden, e.RateLimited)
    elif "{" in route.path:
        yield e.NotFound
    if takes_body:
        yield from (e.PayloadTooLarge, e.UnsupportedMediaType)


def _errors_of(route: OperationRoute) -> Iterator[_Error]:
    operation = route.operation
    yield from operation.errors
    if operation.access is not Access.ANYONE:
        yield from (e.Unauthenticated, e.Forbidden, e.RateLimited)
    if operation.name == "users.check" or operation.name in ALSO:
        yield e.UserNotFound
    if operation.name.endswith("sessions.revoke") and "id" in route.path_names:
        yield e.NotFound
    if HEADER in route.header_names:
        yield e.RequestInFlight
    if IF_MATCH in route.header_names and route.method != "HEAD":
        yield e.PreconditionFailed


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _failures(errors: Iterable[_Error]) -> dict[str, Any]:
    possible: tuple[_Error, ...] = (*errors, e.Internal, e.Overloaded)
    by_status: dict[int, dict[str, None]] = {}
    for error in possible:
        by_status.setdefault(error.status, {})[error.slug] = None
    return {
        str(status): {
            "description": "; ".join(f"`{slug}`" for slug in slugs),
            "headers": _headers(*_HEADERS_OF.get(status, ())),
            "content": {
                PROBLEM_JSON: {
                    "schema": reference("Problem"),
                    "examples": {slug: {"$ref": f"#/components/examples/{slug}"} for slug in slugs},
                }
            },
        }
        for status, slugs in sorted(by_status.items())
    }


def _rpc() -> dict[str, Any]:
    failures: list[_Error] = [e.InvalidInput, e.PayloadTooLarge, e.UnsupportedMediaType]
    requests, replies = {}, {}
    for name, operation in OPERATIONS.items():
        call: dict[str, Any] = {"jsonrpc": "2.0", "method": name}
        call["auth"] = None if operation.access is Access.ANYONE else "********"
        call["params"] = call_example(operation)
        requests[name] = {"summary": operation.summary, "value": {**call, "id": 1}}
        reply = {"jsonrpc": "2.0", "id": 1, "result": RESULT_EXAMPLES[name]}
        replies[name] = {"value": reply}
    return {
        "operationId": "rpc",
        "summary": "The JSON-RPC 2.0 API",
        "description": _RPC_TEXT,
        "tags": [Group.CHAT_USER],
        "security": [{}, *_SECURITY],
        "parameters": [
            {
                "name": "errors",
                "in": "query",
                "description": "How errors of the domain are shown.",
                "schema": {
                    "type": "string",
                    "pattern": "^problem$",
                    "maxLength": 7,
                    "examples": ["problem"],
                },
            },
            {
                "name": HEADER,
                "in": "header",
                "description": f"For calls to {_TAKING_KEY}. {KEY_SCHEMA['description']}",
                "schema": KEY_SCHEMA,
            },
        ],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": reference("RpcCall"), "examples": requests}},
        },
        "responses": {
            "200": {
                "description": "The reply, or an array of replies to a batch.",
                "headers": _headers(CACHE_STATUS, REPLAYED),
                "content": {JSON: {"schema": reference("RpcReply"), "examples": replies}},
            },
            "204": {"description": "Nothing but notifications were sent."},
            **_failures(failures),
        },
    }
