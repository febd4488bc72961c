"""The OpenAPI document: valid, complete, and true of what the routes answer."""

import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from starlette.routing import Route

from app.domain.errors import CATALOGUE
from app.main import create_app
from app.operations.catalog import OPERATIONS
from app.rest.openapi import DOCUMENTED_PATHS, openapi_document
from app.settings import Settings
from tests.fakes.services import PASSWORD, make_services
from tests.gateway import Gateway
from tests.rest.wire import UNKNOWN, create

pytestmark = pytest.mark.anyio

VERBS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
PROBLEM_JSON = "application/problem+json"
APP = create_app(Settings(), make_services())
DOCUMENT: dict[str, Any] = APP.openapi()
OPERATION_OBJECTS: list[dict[str, Any]] = [
    operation for item in DOCUMENT["paths"].values() for operation in item.values()
]


def by_id(operations: Iterable[dict[str, Any]]) -> Any:
    return [pytest.param(operation, id=operation["operationId"]) for operation in operations]


CALLS = by_id(OPERATION_OBJECTS)
OPEN_PAGES = [
    path
    for path, item in DOCUMENT["paths"].items()
    if "{" not in path and item.get("get", {}).get("security") == []
]
SECURED = by_id(o for o in OPERATION_OBJECTS if o["security"] and o["operationId"] not in {"rpc"})


def check(schema: dict[str, Any], value: object) -> None:
    """Return true if `value` is valid under `schema`; references lead into the document."""
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def contents_of(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], object]]:
    """Each schema of a body with an example of it."""
    parts = [operation.get("requestBody", {}), *operation["responses"].values()]
    for part in parts:
        for content in part.get("content", {}).values():
            if "example" in content:
                yield content["schema"], content["example"]
            for name, example in content.get("examples", {}).items():
                kept = DOCUMENT["components"]["examples"].get(name)
                yield content["schema"], (kept if "$ref" in example else example)["value"]


def schemas_in(part: object) -> Iterator[dict[str, Any]]:
    """Every schema with examples, however deep."""
    if isinstance(part, dict):
        if isinstance(part.get("examples"), list):
            yield part
        for inner in part.values():
            yield from schemas_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from schemas_in(inner)


def bodies(part: object) -> Iterator[dict[str, Any]]:
    """Every schema, however deep; examples are none."""
    if isinstance(part, list):
        for inner in part:
            yield from bodies(inner)
    elif isinstance(part, dict):
        if isinstance(part.get("type"), str | list) and "in" not in part:
            yield part
        for name, inner in part.items():
            if name not in {"example", "examples", "default", "enum", "securitySchemes"}:
                yield from bodies(inner)


# They have as many items as there are guilds, signing keys or servers of an account.
UNBOUNDED = ("Guilds", "JwkSet", "UuidList")
# Headers of every response, which say nothing about the operation.
GENERAL = {
    *("cache-control", "content-length", "content-security-policy", "content-type", "vary"),
    *("referrer-policy", "x-content-type-options"),
}


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


async def test_the_document_is_served_as_it_is(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("GET", "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


async def test_documents_are_built_in_a_thread_while_other_requests_are_served(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def build(*_: str | None) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {}

    monkeypatch.setattr("app.rest.openapi.openapi_document", build)
    monkeypatch.setattr("app.rpc.openrpc.openrpc_document", build)
    assert (await gateway.rest("GET", "/openapi.json")).json() == {}
    assert (await gateway.rest("GET", "/rpc/openrpc.json")).json() == {}
    assert (await gateway.rpc("rpc.discover"))["result"] == {}
    assert len(threads) == 2
    gateway.client.headers["Host"] = "other.example"
    assert (await gateway.rpc("rpc.discover"))["result"] == {}
    assert len(threads) == 3
    assert threading.current_thread() not in threads


async def test_every_mounted_route_is_documented_with_its_verbs_and_no_other(
    shared_gateway: Gateway,
) -> None:
    mounted: dict[str, set[str]] = {}
    for route in APP.routes:
        assert isinstance(route, Route)
        path = re.sub(r"\{\w+\}", UNKNOWN, route.path)
        allow = (await shared_gateway.client.options(path)).headers["allow"]
        mounted[DOCUMENTED_PATHS.get(route.path, route.path)] = set(allow.lower().split(", ")) - {
            "head",
            "options",
        }
    documented = {path: set(item) - {"head"} for path, item in DOCUMENT["paths"].items()}
    handbook = {path for path in mounted if path.startswith("/handbook")}
    for path in {"/docs/{asset}", "/favicon.ico", "/robots.txt", *handbook}:
        assert mounted.pop(path) == {"get"}
    assert {path: verbs for path, verbs in mounted.items() if path[:5] != "/api/"} == documented


def test_every_route_has_an_alias_that_the_document_omits() -> None:
    paths = {route.path for route in APP.routes if isinstance(route, Route)}
    aliased = {path.removeprefix("/api") for path in paths if path.startswith("/api/")}
    assert aliased == {
        p
        for p in paths
        if p.startswith(
            ("/users", "/profiles", "/servers", "/guilds", "/audit", "/outbox", "/auth/")
        )
    }
    assert not [path for path in DOCUMENT["paths"] if path.startswith("/api")]


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATION_OBJECTS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("operation", CALLS)
def test_an_operation_is_described_and_has_its_place(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert len(operation["tags"]) == 1


def test_summaries_are_unique() -> None:
    summaries = [operation["summary"] for operation in OPERATION_OBJECTS]
    assert len(set(summaries)) == len(summaries)


def test_every_object_has_a_name_for_generated_clients() -> None:
    objects = [schema for schema in bodies(DOCUMENT) if schema["type"] == "object"]
    schemas = DOCUMENT["components"]["schemas"].values()
    assert objects
    assert not [schema for schema in objects if schema not in schemas]
    assert "'properties'" not in repr(DOCUMENT["paths"])


def test_every_string_number_and_array_has_its_bounds() -> None:
    components = DOCUMENT["components"]
    components = {
        **components,
        "schemas": {n: it for n, it in components["schemas"].items() if n not in UNBOUNDED},
    }
    # Pages, metrics and preferences are texts of any length.
    contents = [
        content
        for operation in OPERATION_OBJECTS
        for response in operation["responses"].values()
        for media_type, content in response.get("content", {}).items()
        if media_type in {"text/html", "text/plain"}
    ]
    headers = [p for o in OPERATION_OBJECTS for p in o.get("parameters", ())]
    texts = [it["schema"] for it in (*contents, *headers) if it.get("name", "Prefer") == "Prefer"]
    assert [
        schema
        for schema in bodies([components, DOCUMENT["paths"]])
        if not _is_bounded(schema) and not any(schema is text for text in texts)
    ] == []


def _is_bounded(schema: dict[str, Any]) -> bool:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    bounds = {
        "string": bool({"maxLength", "enum"} & set(schema)) or schema.get("format") == "date-time",
        "integer": "minimum" in schema,
        "number": False,
        "array": "maxItems" in schema,
    }
    return all(bounds.get(kind, True) for kind in kinds)


def test_no_enumeration_has_one_value() -> None:
    enums = [schema["enum"] for schema in bodies(DOCUMENT) if "enum" in schema]
    assert enums
    assert not [values for values in enums if len(values) == 1]
    assert "'const'" not in repr(DOCUMENT)


def test_no_schema_has_a_choice_of_types_but_null() -> None:
    for schema in (*DOCUMENT["components"]["schemas"].values(), DOCUMENT["paths"]):
        for choice in re.findall(r"'(?:anyOf|oneOf)': (\[.*?\])", repr(schema)):
            assert choice.endswith("{'type': 'null'}]")
            assert choice.count("{") == 2


def test_the_document_names_a_contact_and_the_handbook() -> None:
    assert DOCUMENT["info"]["contact"]["name"]
    assert DOCUMENT["externalDocs"]["url"] == "/handbook/"
    public = openapi_document("https://gate.example")
    assert public["info"]["contact"]["url"] == "https://gate.example"
    assert public["externalDocs"]["url"] == "https://gate.example/handbook/"


@pytest.mark.parametrize("operation", CALLS)
def test_every_refusal_of_an_operation_is_a_problem(operation: dict[str, Any]) -> None:
    failures = {status: r for status, r in operation["responses"].items() if status >= "400"}
    assert {"400", "500", "503"} <= set(failures)
    for response in failures.values():
        assert list(response["content"]) == [PROBLEM_JSON]
        assert response["content"][PROBLEM_JSON]["schema"] == {
            "$ref": "#/components/schemas/Problem"
        }


@pytest.mark.parametrize("operation", CALLS)
def test_no_operation_answers_422(operation: dict[str, Any]) -> None:
    assert "422" not in operation["responses"]
    assert [status for status in operation["responses"] if status < "400"]


@pytest.mark.parametrize("operation", SECURED)
def test_routes_with_a_credential_document_401_and_403(operation: dict[str, Any]) -> None:
    assert {"401", "403"} <= set(operation["responses"])


@pytest.mark.parametrize("operation", CALLS)
def test_routes_with_a_body_document_413_and_415(operation: dict[str, Any]) -> None:
    has_both = {"413", "415"} <= set(operation["responses"])
    assert has_both is ("requestBody" in operation)


@pytest.mark.parametrize("operation", CALLS)
def test_every_example_is_what_its_schema_says(operation: dict[str, Any]) -> None:
    for schema, example in contents_of(operation):
        check(schema, example)
    for schema in schemas_in(operation):
        for example in schema["examples"]:
            check(schema, example)


def test_the_examples_of_the_components_are_what_their_schemas_say() -> None:
    found = list(schemas_in(DOCUMENT["components"]))
    assert found
    for schema in found:
        for example in schema["examples"]:
            check(schema, example)


@pytest.mark.parametrize("operation", CALLS)
def test_the_examples_of_a_refusal_are_of_the_errors_that_it_names(
    operation: dict[str, Any],
) -> None:
    for status, response in operation["responses"].items():
        if status >= "400":
            examples = response["content"][PROBLEM_JSON]["examples"]
            assert [f"`{slug}`" for slug in examples] == response["description"].split("; ")
            for slug, example in examples.items():
                problem = DOCUMENT["components"]["examples"][slug]["value"]
                assert example == {"$ref": f"#/components/examples/{slug}"}
                assert (problem["code"], problem["status"]) == (slug, int(status))


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        (
            "post",
            "/users",
            {
                "username": "someusername",
                "email": "new@example.com",
                "password": "rawPassword1",
                "admin": 0,
            },
        ),
        ("put", "/users/{user}", {"email": "new@example.com", "admin": 0}),
        ("post", "/users/@self", {"username": "user", "password": "********"}),
        ("post", "/users/auth", {"username": "user", "password": "********"}),
        ("patch", "/users/@self/presence", {"presence": "ONLINE"}),
    ],
)
def test_the_bodies_of_the_two_old_documents_are_the_examples(
    verb: str, path: str, body: object
) -> None:
    content = DOCUMENT["paths"][path][verb]["requestBody"]["content"]
    assert content["application/json"]["example"] == body


def test_path_parameters_have_examples() -> None:
    parameters = [part for o in OPERATION_OBJECTS for part in o.get("parameters", [])]
    typed = [p for p in parameters if p["in"] == "path" and p["name"] != "slug"]
    assert typed
    for parameter in typed:
        check(parameter["schema"], parameter["example"])


def test_every_view_that_is_answered_has_an_example() -> None:
    views = [operation for operation in OPERATION_OBJECTS if operation["tags"] != ["operator"]]
    for operation in views:
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                if status < "300":
                    assert "example" in content or "examples" in content


def test_the_codes_of_a_problem_are_the_catalogue() -> None:
    schemas, slugs = DOCUMENT["components"]["schemas"], [error.slug for error in CATALOGUE]
    assert schemas["Problem"]["properties"]["code"] == {"$ref": "#/components/schemas/ProblemCode"}
    assert schemas["ProblemCode"]["enum"] == slugs
    without = set(slugs) - set(DOCUMENT["components"]["examples"])
    assert without == {"method-not-allowed"}


def test_rpc_has_an_example_of_every_method() -> None:
    operation = DOCUMENT["paths"]["/rpc"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == set(OPERATIONS)


@pytest.mark.parametrize("operation", CALLS)
def test_every_parameter_is_described(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        described = parameter.get("description") or parameter["schema"].get("enum")
        assert described, parameter["name"]


def test_every_name_of_a_schema_is_used_and_none_speaks_of_the_code() -> None:
    names = set(DOCUMENT["components"]["schemas"])
    used = set(re.findall(r"'#/components/schemas/(\w+)'", repr(DOCUMENT)))
    assert used == names
    assert not [name for name in names if name.endswith("View")]


def test_no_string_is_documented_as_nullable() -> None:
    texts = [p for o in OPERATION_OBJECTS for p in o.get("parameters", [])]
    assert texts
    for parameter in texts:
        assert "null" not in repr(parameter["schema"]), parameter["name"]


def test_the_list_has_no_default_limit_as_without_one_it_shows_everybody() -> None:
    parameters = DOCUMENT["paths"]["/users"]["get"]["parameters"]
    defaults = {p["name"]: p["schema"]["default"] for p in parameters if "default" in p["schema"]}
    assert defaults == {"status": "active", "sort": "id", "count": False}


def test_a_login_needs_a_body_only_where_it_is_not_http_basic() -> None:
    bodies = {o["operationId"]: o["requestBody"] for o in OPERATION_OBJECTS if "requestBody" in o}
    optional = [operation for operation, body in bodies.items() if not body["required"]]
    assert optional == ["users_auth"]
    assert {"basic": []} in DOCUMENT["paths"]["/users/auth"]["post"]["security"]


@pytest.mark.parametrize(("public_url", "server"), [("https://gate.example", None), (None, "/")])
def test_the_document_says_where_the_gateway_is(public_url: str | None, server: str | None) -> None:
    document = create_app(Settings(public_url=public_url), make_services()).openapi()
    assert document["servers"] == [{"url": server or public_url}]


# ------------------------------------------------------------- what is really answered


def answer(verb: str, path: str, status: int) -> dict[str, Any]:
    response: dict[str, Any] = DOCUMENT["paths"][path][verb.lower()]["responses"][str(status)]
    return response


def answer_schema(verb: str, path: str, status: int) -> dict[str, Any]:
    content: dict[str, Any] = answer(verb, path, status).get("content", {})
    if not content:
        return {"const": None}
    (body,) = content.values()
    schema: dict[str, Any] = body.get("schema", {})
    return schema


@pytest.mark.parametrize("path", OPEN_PAGES)
async def test_a_page_for_anyone_answers_what_the_document_says(
    shared_gateway: Gateway, path: str
) -> None:
    response = await shared_gateway.rest("GET", path)
    (media_type,) = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]
    assert response.headers["content-type"].partition(";")[0] == media_type
    shown = response.json() if media_type.endswith("json") else response.text
    check(answer_schema("GET", path, 200), shown)


def requests(key: str, token: str, demo: dict[str, Any]) -> list[tuple[str, str, str, str, Any]]:
    """Verb, template, path, credential and body: something for each view there is."""
    uuid = demo["uuid"]
    guild = {"name": "Builders", "owner_id": demo["user_id"]}
    server = {"owner": uuid, "name": "Survival"}
    login = {"username": "demoaccount", "password": PASSWORD}
    member = f"/guilds/7/members/{uuid}"
    return [
        ("PUT", "/servers/{uuid}", f"/servers/{UNKNOWN}", key, server),
        ("PUT", "/guilds/{id}", "/guilds/7", key, guild),
        ("PUT", "/guilds/{id}/members/{user}", member, key, None),
        ("GET", "/users", "/users", key, None),
        ("GET", "/users", "/users?limit=1", key, None),
        ("GET", "/users/{user}", f"/users/{uuid}", key, None),
        ("GET", "/users/{user}", "/users/demoaccount", key, None),
        ("GET", "/users/{user}", "/users/nobody", key, None),
        ("POST", "/users/auth", "/users/auth", "", login),
        ("POST", "/users/@self", "/users/@self", "", {**login, "username": "another"}),
        ("POST", "/users/@self", "/users/@self", "", login),
        ("GET", "/users/@self", "/users/@self", token, None),
        ("PATCH", "/users/@self", "/users/@self", token, {"display_name": "Demo"}),
        ("GET", "/users/@self/presence", "/users/@self/presence", token, None),
        ("PATCH", "/users/@self/presence", "/users/@self/presence", token, "ONLINE"),
        ("GET", "/users/@self/guilds", "/users/@self/guilds", token, None),
        ("GET", "/users/@self/sessions", "/users/@self/sessions", token, None),
        ("POST", "/users/@self/keys", "/users/@self/keys", token, {"name": "panel"}),
        ("GET", "/users/@self/keys", "/users/@self/keys", token, None),
        ("POST", "/users/@self/token", "/users/@self/token", token, None),
        ("GET", "/users/{uuid}/sessions", f"/users/{uuid}/sessions", key, None),
        ("GET", "/users/{uuid}/keys", f"/users/{uuid}/keys", token, None),
        ("GET", "/servers", "/servers", key, None),
        ("GET", "/guilds", "/guilds", key, None),
        ("DELETE", "/users/{user}", f"/users/{uuid}", key, None),
        ("GET", "/users", "/users?status=disabled", key, None),
        ("GET", "/users/{user}", f"/users/{uuid}", key, None),
        ("GET", "/users/@self", "/users/@self", token, None),
    ]


async def test_responses_are_as_documented(gateway: Gateway) -> None:
    demo = await create(gateway, "demoaccount", password=PASSWORD)
    token = await gateway.log_in("demoaccount")
    for verb, template, path, credential, body in requests(gateway.admin_key, token, demo):
        response = await gateway.rest(verb, path, credential or None, json=body)
        headers = answer(verb, template, response.status_code)["headers"]
        assert set(response.headers) - GENERAL <= {name.lower() for name in headers}
        schema = answer_schema(verb, template, response.status_code)
        check(schema, response.json() if response.content else None)
