"""The OpenAPI document, from the routes' rows and the operations behind them."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

from app.domain import errors as e
from app.domain.policy import Access
from app.rest import audit, chat, forward_auth, outbox, panel, registry
from app.rest.answers import STALE
from app.rest.door import Answer, Route
from app.rest.idempotency import KEY_SCHEMA, REPLAYED, REPLAYED_TEXT
from app.rest.openapi_parts import PARTS, PROBLEM_EXAMPLES, SECURITY_SCHEMES, UUID_OR_NAME
from app.rest.system import PAGES, Page
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.idempotency import HEADER
from app.usecases.operation import Group
from app.usecases.registry import OPERATIONS
from app.wire.http import CACHE_STATUS, JSON, PROBLEM_JSON
from app.wire.inputs import call_example
from app.wire.problem import STATUS
from app.wire.schemas import Schemas, reference

ROUTES: tuple[Route, ...] = (
    *chat.door.routes,
    *panel.door.routes,
    *registry.door.routes,
    *audit.door.routes,
    *outbox.door.routes,
    *forward_auth.door.routes,
)

_Error = type[e.DomainError]

_OPERATOR = "operator"
_TAGS = {
    Group.ANYONE: "What takes no credential.",
    Group.CHAT_USER: "What somebody does with his own account.",
    Group.PANEL_ADMIN: "What an admin does with all accounts, servers and guilds.",
    Group.PROXY: "What a proxy asks in front of other services.",
    _OPERATOR: "Health, metrics and keys.",
}
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"accessToken": []}, {"login": []}]
_RATIONALE = """\
One user directory with two doors. What is below `/users`, `/servers`, `/guilds`, `/audit`,
`/outbox` and `/auth` also answers under `/api`.

A token (from `POST /users/auth`) or an access key goes into `Authorization: Bearer …` or
`X-Access-Token: …`; both headers take both. Errors are `application/problem+json` (RFC 9457);
`code` is what to match on. The chat's JSON-RPC door is `POST /rpc`; see [/rpc/docs](/rpc/docs).
"""
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
_RPC_TEXT = """\
JSON-RPC 2.0 with one more request member, `auth`: null, absent, or a token or access key. Batches
have at most 100 calls. A reply has HTTP status 200, none (only notifications) 204. Errors of the
domain have the code -32603 and their sentence as `data`; with `?errors=problem` each has a code
of its own and the problem object as `data`.
"""


@cache
def openapi_document(public_url: str | None = None) -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    paths["/rpc"] = {"post": _rpc()}
    for page in filter(lambda page: page.documented, PAGES):
        paths[page.path] = {"get": _page(page, schemas)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gatehouse",
            "version": version("gatehouse"),
            "description": _RATIONALE,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {**schemas.definitions, **PARTS},
            "examples": PROBLEM_EXAMPLES,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    operation = route.operation
    document: dict[str, Any] = {
        "operationId": route.id,
        "summary": operation.summary,
        "description": _description(route),
        "tags": [operation.group],
        "security": _security(route),
        "parameters": _parameters(route, schemas),
        "responses": {
            **{
                str(status): _answer(answer, schemas, once=route.once)
                for status, answer in route.answers.items()
            },
            **_failures(_possible_errors(route)),
        },
    }
    if (body := _body(route, schemas)) is not None:
        document["requestBody"] = {"required": not _takes_basic(route), "content": body}
    return document


def _description(route: Route) -> str:
    if route.also is None:
        return route.operation.description
    other = f"{route.also.summary}. {route.also.description}"
    return f"For a uuid: {route.operation.description}\n\nFor a username: {other}"


def _security(route: Route) -> list[dict[str, list[str]]]:
    if _takes_basic(route):
        return [{}, {"basic": []}]
    if route.operation.access is Access.ANYONE:
        return []
    is_open_too = route.also is not None and route.also.access is Access.ANYONE
    return [{}, *_SECURITY] if is_open_too else _SECURITY


def _takes_basic(route: Route) -> bool:
    """Whether HTTP Basic may stand in the place of a body."""
    return route.operation.name == "users.auth"


def _parameters(route: Route, schemas: Schemas) -> list[dict[str, Any]]:
    params = route.form.params
    found: list[dict[str, Any]] = []
    for name in route.path_names:
        is_shared = route.also is not None or name not in params
        schema = UUID_OR_NAME if is_shared else params[name].text_schema(schemas)
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for header, name in route.headers.items():
        schema = params[name].text_schema(schemas)
        found.append({"name": header.title(), "in": "header", "schema": schema})
    for header, text in route.heeds.items():
        schema = {"type": "string", "description": text}
        found.append({"name": header, "in": "header", "schema": schema})
    if route.once:
        found.append({"name": HEADER, "in": "header", "schema": dict(KEY_SCHEMA)})
    if route.method in {"GET", "DELETE"}:
        for name in route.form.names:
            if name not in route.elsewhere:
                schema = params[name].text_schema(schemas)
                if name in route.no_default:
                    del schema["default"]
                found.append({"name": name, "in": "query", "schema": schema})
    for parameter in found:
        # Beside the schema is where most tools look for it.
        parameter["description"] = parameter["schema"].get("description", "")
        if parameter["in"] == "path":
            (parameter["example"],) = parameter["schema"]["examples"]
    return found


def _body(route: Route, schemas: Schemas) -> dict[str, Any] | None:
    if route.body is not None:
        return route.body(schemas)
    if not route.takes_body:
        return None
    form, name = route.form, route.operation.input.__name__
    schema = schemas.named(name, form.schema(schemas, route.elsewhere))
    return {JSON: {"schema": schema, "example": call_example(route.operation, route.elsewhere)}}


def _answer(answer: Answer, schemas: Schemas, *, once: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {"description": answer.description}
    if answer.body is not None:
        content = {"schema": schemas.of(answer.body)}
        if answer.example is not None:
            content["example"] = answer.example
        document["content"] = {answer.media_type: content}
    headers = {**answer.headers, **({REPLAYED: REPLAYED_TEXT} if once else {})}
    if headers:
        document["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return document


def _possible_errors(route: Route) -> Iterator[_Error]:
    yield e.InvalidInput
    yield from route.operation.errors
    if route.operation.access is not Access.ANYONE:
        yield e.Unauthenticated
        yield e.Forbidden
        yield e.RateLimited
    if "users.check" in {route.operation.name, route.also and route.also.name}:
        yield e.UserNotFound
    if route.operation.name.endswith("sessions.revoke") and "id" in route.path_names:
        yield e.NotFound
    if route.once:
        yield e.RequestInFlight
    if route.takes_body:
        yield e.PayloadTooLarge
        yield e.UnsupportedMediaType


def _failures(errors: Iterable[_Error]) -> dict[str, Any]:
    possible: tuple[_Error, ...] = (*errors, e.Internal, e.Overloaded)
    by_status: dict[int, dict[str, None]] = {}
    for error in possible:
        by_status.setdefault(STATUS[error.kind], {})[error.slug] = None
    return {
        str(status): {
            "description": "; ".join(f"`{slug}`" for slug in slugs),
            **({"headers": {"Retry-After": _RETRY_AFTER}} if status in {429, 503} else {}),
            "content": {
                PROBLEM_JSON: {
                    "schema": reference("Problem"),
                    "examples": {slug: {"$ref": f"#/components/examples/{slug}"} for slug in slugs},
                }
            },
        }
        for status, slugs in sorted(by_status.items())
    }


def _page(page: Page, schemas: Schemas) -> dict[str, Any]:
    errors: list[_Error] = [e.InvalidInput]
    if page.for_admins:
        errors += [e.Unauthenticated, e.Forbidden, e.RateLimited]
    answer = Answer(f"{page.summary}.", page.body, media_type=page.media_type)
    document: dict[str, Any] = {
        "operationId": page.id,
        "summary": page.summary,
        "description": page.description,
        "tags": [_OPERATOR],
        "security": [{}, *_SECURITY] if page.for_admins else [],
        "responses": {
            "200": _answer(answer, schemas),
            **_failures([*errors, e.NotFound] if "{" in page.path else errors),
        },
    }
    if "{" in page.path:
        slug = {"name": "slug", "in": "path", "required": True, "schema": reference("ProblemCode")}
        document["parameters"] = [{**slug, "description": "The `code` of a problem."}]
    return document


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
        "summary": "The chat's door: JSON-RPC 2.0",
        "description": _RPC_TEXT,
        "tags": [Group.CHAT_USER],
        "security": [{}, *_SECURITY],
        "parameters": [
            {
                "name": "errors",
                "in": "query",
                "description": "How errors of the domain are shown.",
                "schema": {"type": "string", "enum": ["problem"]},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": _one_or_many(reference("RpcCall")), "examples": requests}},
        },
        "responses": {
            "200": {
                "description": "The reply, or an array of replies to a batch.",
                "headers": {
                    CACHE_STATUS: {"description": STALE, "schema": {"type": "string"}},
                },
                "content": {
                    JSON: {"schema": _one_or_many(reference("RpcReply")), "examples": replies}
                },
            },
            "204": {"description": "Nothing but notifications were sent."},
            **_failures(failures),
        },
    }


def _one_or_many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "array", "items": schema, "minItems": 1, "maxItems": 100}]}
