"""Errors: one form, exact statuses, no needless detail."""

import json
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import CATALOGUE, CredentialFault, Overloaded
from app.domain.policy import Access
from app.domain.ports.services import PasswordCheck
from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from tests.fakes.memory import MemoryStore
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import UNKNOWN, flaws_of, problem_of

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
SECRET = "the secret of /var/lib/gatehouse"
PLACES = {"uuid": UNKNOWN, "id": "71395574100676610", "user": UNKNOWN}


class BrokenHasher:
    """Fails as nothing should."""

    async def hash(self, password: str) -> str:
        raise RuntimeError(SECRET)

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        raise ZeroDivisionError(SECRET)


class BusyStore(MemoryStore):
    """Is locked whenever a test says so."""

    is_busy = False

    async def read(self, work: Any) -> Any:
        if self.is_busy:
            raise Overloaded
        return await super().read(work)


def path_of(route: OperationRoute) -> str:
    return route.path.format(**PLACES)


def body_of(route: OperationRoute) -> dict[str, Any]:
    """A body with every member that the route takes; None where it takes none."""
    docs = {name: route.params[name].doc for name in set(route.params) - route.elsewhere}
    return {name: "x" if doc.example is None else doc.example for name, doc in docs.items()}


def named(routes: Any) -> Any:
    return [pytest.param(route, id=f"{route.method} {route.path}") for route in routes]


def with_body(routes: Any) -> Any:
    return [route for route in routes if route.has_body]


# ------------------------------------------------------------------ what is not there


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/user", "/Users", "/USERS/@self", "/api", "/api/", "/users.json"),
        *("/users/@self/nothing", "/users/a/b/c/d", "/servers/a/b", "/guilds/1/members"),
        *("/errors", "/errors/", "/.well-known", "/health", "/api/health/live", "/api/metrics"),
        *("/api/api/users", "/users/@SELF/guilds", "/..%2Fusers", "/%00"),
    ],
)
async def test_an_unknown_address_is_a_problem(shared_gateway: Gateway, path: str) -> None:
    response = await shared_gateway.rest("GET", path, shared_gateway.admin_key)
    assert problem_of(response, 404, "not-found")["title"] == "Not found"


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_an_unknown_address_is_not_found_with_every_verb(
    shared_gateway: Gateway, verb: str
) -> None:
    assert (await shared_gateway.rest(verb, "/nothing")).status_code == 404


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("route", named(ROUTES))
async def test_a_trailing_slash_is_not_found_and_nothing_redirects(
    shared_gateway: Gateway, route: OperationRoute, prefix: str
) -> None:
    response = await shared_gateway.rest(
        route.method, f"{prefix}{path_of(route)}/", shared_gateway.admin_key
    )
    assert response.status_code == 404
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/users", "GET, HEAD, POST"),
        ("/users/auth", "POST"),
        ("/users/@self", "GET, HEAD, PATCH, POST"),
        ("/users/@self/token", "POST"),
        ("/users/@self/guilds", "GET, HEAD"),
        ("/users/@self/presence", "GET, HEAD, PATCH"),
        ("/users/@self/password", "PUT"),
        ("/users/@self/sessions", "DELETE, GET, HEAD"),
        ("/users/@self/sessions/@current", "DELETE"),
        ("/users/@self/sessions/x", "DELETE"),
        ("/users/@self/keys", "GET, HEAD, POST"),
        ("/users/@self/keys/x", "DELETE"),
        (f"/users/{UNKNOWN}", "DELETE, GET, HEAD, PUT"),
        ("/users/somebody", "DELETE, GET, HEAD, PUT"),
        (f"/users/{UNKNOWN}/sessions", "DELETE, GET, HEAD"),
        (f"/users/{UNKNOWN}/sessions/x", "DELETE"),
        (f"/users/{UNKNOWN}/keys", "DELETE, GET, HEAD"),
        (f"/users/{UNKNOWN}/keys/x", "DELETE"),
        ("/servers", "GET, HEAD"),
        (f"/servers/{UNKNOWN}", "DELETE, PUT"),
        ("/guilds", "GET, HEAD"),
        ("/guilds/1", "DELETE, PUT"),
        ("/guilds/1/members/2", "DELETE, PUT"),
        ("/health/live", "GET, HEAD"),
        ("/health/ready", "GET, HEAD"),
        ("/.well-known/jwks.json", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/errors/not-found", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_gets_the_allowed_ones(
    shared_gateway: Gateway, path: str, allow: str
) -> None:
    for verb in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - {*allow.split(", ")}:
        response = await shared_gateway.rest(verb, path, shared_gateway.admin_key)
        problem_of(response, 405, "method-not-allowed")
        assert response.headers["allow"] == allow


# ---------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data"])
@pytest.mark.parametrize("route", named(with_body(ROUTES)))
async def test_a_body_of_another_type_is_unsupported(
    shared_gateway: Gateway, route: OperationRoute, content_type: str
) -> None:
    request = {"content": b"{}", "headers": {"Content-Type": content_type}}
    response = await shared_gateway.rest(
        route.method, path_of(route), shared_gateway.admin_key, **request
    )
    problem_of(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("route", named(with_body(ROUTES)))
async def test_a_body_without_a_type_is_unsupported(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    response = await shared_gateway.rest(
        route.method, path_of(route), shared_gateway.admin_key, content=b"{}"
    )
    problem_of(response, 415, "unsupported-media-type")


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 65_536):
        yield b" " * min(65_536, size - start)


@pytest.mark.parametrize("route", named(with_body(ROUTES)))
async def test_a_body_over_one_mib_is_too_large_by_header_and_by_chunks(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (b" " * (MIB + 1), in_chunks(MIB + 1)):
        response = await shared_gateway.rest(
            route.method, path_of(route), shared_gateway.admin_key, content=content, headers=headers
        )
        problem_of(response, 413, "payload-too-large")


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "{'a': 1}", '{"a": 1,}', '{"a": NaN}', '{"a": 1e999}'),
        *('{"a": "\\ud800"}', "[" * 500 + "]" * 500, "[" + "9" * 5000 + "]", "{}\x00"),
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("path", ["/users", "/users/auth", "/users/@self"])
async def test_a_body_that_is_not_json_is_invalid_input(
    shared_gateway: Gateway, path: str, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = await shared_gateway.rest(
        "POST", path, shared_gateway.admin_key, content=body, headers=headers
    )
    detail = problem_of(response, 400, "invalid-input")["detail"]
    assert detail.startswith("The body is not JSON: ")
    assert " at line 1 column " in detail


@pytest.mark.parametrize("value", [[], [{}], "text", 1, True, None])
@pytest.mark.parametrize("route", named(r for r in ROUTES if r.has_body and r.method != "PATCH"))
async def test_a_body_that_is_no_object_is_invalid_input(
    shared_gateway: Gateway, route: OperationRoute, value: object
) -> None:
    response = await shared_gateway.rest(
        route.method,
        path_of(route),
        shared_gateway.admin_key,
        content=json.dumps(value),
        headers={"Content-Type": "application/json"},
    )
    detail = problem_of(response, 400, "invalid-input")["detail"]
    assert detail.startswith("The body must be a JSON object ({…}), not ")


@pytest.mark.parametrize("route", named(with_body(ROUTES)))
async def test_an_unknown_member_is_pointed_at(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    body = {**body_of(route), "surplus": 1}
    response = await shared_gateway.rest(
        route.method, path_of(route), shared_gateway.admin_key, json=body
    )
    assert flaws_of(response) == ["#/surplus"]


async def test_far_too_many_unknown_members_are_not_named(shared_gateway: Gateway) -> None:
    body = {f"surplus{number}": 1 for number in range(30)}
    response = await shared_gateway.rest(
        "POST", "/users/@self/keys", shared_gateway.admin_key, json=body
    )
    detail = problem_of(response, 400, "invalid-input")["detail"]
    assert detail.startswith("There are far too many members; known: name, ")
    assert flaws_of(response) == ["#/"]
    response = await shared_gateway.rest("GET", "/users", shared_gateway.admin_key, params=body)
    assert flaws_of(response, "query") == [""]


@pytest.mark.parametrize("route", named(r for r in with_body(ROUTES) if r.elsewhere))
async def test_a_member_sent_elsewhere_is_unknown_in_the_body(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    for name in route.elsewhere:
        body = {**body_of(route), name: PLACES.get(name, "x"), "surplus": 1}
        response = await shared_gateway.rest(
            route.method, path_of(route), shared_gateway.admin_key, json=body
        )
        assert flaws_of(response) == [f"#/{name}"]


@pytest.mark.parametrize("route", named(with_body(ROUTES)))
async def test_each_member_of_a_wrong_type_is_pointed_at(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    body: dict[str, Any] = {name: {} for name in body_of(route)}
    response = await shared_gateway.rest(
        route.method, path_of(route), shared_gateway.admin_key, json=body
    )
    assert sorted(flaws_of(response)) == sorted(f"#/{name}" for name in body)


async def test_all_invalid_members_are_reported_together(shared_gateway: Gateway) -> None:
    body = {"email": 1, "admin": "1", "a/b~c": None}
    response = await shared_gateway.rest("POST", "/users", shared_gateway.admin_key, json=body)
    assert problem_of(response, 400, "invalid-input")["errors"] == [
        {"pointer": "#/username", "detail": "is required"},
        {
            "pointer": "#/email",
            "detail": "must be a string, not a number; write it in double quotes",
        },
        {
            "pointer": "#/admin",
            "detail": "must be 0, 1, true or false, not a string; write it without quotes",
        },
        {
            "pointer": "#/a~1b~0c",
            "detail": "is not known here (known: username, email, password, admin, display_name)",
        },
    ]


async def test_a_member_without_a_name_is_pointed_at_by_an_empty_name(
    shared_gateway: Gateway,
) -> None:
    body = {"username": "demo", "email": "some@example.com", "": 1}
    assert flaws_of(
        await shared_gateway.rest("POST", "/users", shared_gateway.admin_key, json=body)
    ) == ["#/"]


@pytest.mark.parametrize(
    "detail_of",
    [
        ({"username": "a b", "email": "some@example.com"}, "invalid-username"),
        ({"username": "demo", "email": "nowhere"}, "invalid-email"),
        ({"username": "demo", "email": "some@example.com", "password": "demo"}, "weak-password"),
        ({"username": "alice", "email": "some@example.com"}, "username-taken"),
    ],
    ids=lambda row: row[1],
)
async def test_a_broken_rule_of_the_domain_has_its_own_code(
    shared_gateway: Gateway, detail_of: tuple[dict[str, Any], str]
) -> None:
    body, slug = detail_of
    problem = problem_of(
        await shared_gateway.rest("POST", "/users", shared_gateway.admin_key, json=body), 400, slug
    )
    assert "errors" not in problem


# ---------------------------------------------------------------------------- queries


@pytest.mark.parametrize("route", named(route for route in ROUTES if route.method != "HEAD"))
async def test_an_unknown_query_parameter_is_invalid_input(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    request: dict[str, Any] = {"json": body_of(route)} if route.has_body else {}
    path = f"{path_of(route)}?surplus=1"
    response = await shared_gateway.rest(route.method, path, shared_gateway.admin_key, **request)
    assert flaws_of(response, "query") == ["surplus"]


@pytest.mark.parametrize("path", ["/users/somebody", f"/users/{UNKNOWN}"])
async def test_an_unknown_query_parameter_of_a_head_is_invalid_input(
    shared_gateway: Gateway, path: str
) -> None:
    assert (
        await shared_gateway.rest("HEAD", f"{path}?surplus=1", shared_gateway.admin_key)
    ).status_code == 400


@pytest.mark.parametrize("query", ["limit=1&limit=1", "limit=1&limit=2", "q=&q=", "x=1&x=2"])
async def test_a_query_parameter_given_twice_is_invalid_input(
    shared_gateway: Gateway, query: str
) -> None:
    response = await shared_gateway.rest("GET", f"/users?{query}", shared_gateway.admin_key)
    assert flaws_of(response, "query") == [query[0] if query[0] != "l" else "limit"]


@pytest.mark.parametrize(
    "route", named(r for r in ROUTES if r.method in {"GET", "DELETE"} and r.elsewhere)
)
async def test_a_path_parameter_is_unknown_in_the_query(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    for name in route.elsewhere:
        path = f"{path_of(route)}?{name}={PLACES.get(name, 'x')}"
        response = await shared_gateway.rest(route.method, path, shared_gateway.admin_key)
        assert flaws_of(response, "query") == [name]


# ------------------------------------------------------------------------ credentials


@pytest.mark.parametrize(
    "route", named(r for r in ROUTES if r.operation.access is not Access.ANYONE)
)
async def test_without_a_valid_credential_a_route_answers_401_and_how_to_present_one(
    shared_gateway: Gateway, route: OperationRoute
) -> None:
    request: dict[str, Any] = {"json": body_of(route)} if route.has_body else {}
    faults = {
        None: CredentialFault.MISSING,
        "": CredentialFault.MISSING,
        "a.b.c": CredentialFault.INVALID,
        "ABCD1234-1-1-1-1": CredentialFault.NEITHER,
    }
    for credential, fault in faults.items():
        response = await shared_gateway.rest(route.method, path_of(route), credential, **request)
        problem = problem_of(response, 401, "unauthenticated")
        assert problem["detail"] == fault
        assert response.headers["www-authenticate"].startswith("Bearer ")


async def test_a_wrong_password_answers_401_and_how_to_present_a_credential(
    shared_gateway: Gateway,
) -> None:
    login = {"username": "alice", "password": "wrong password"}
    response = await shared_gateway.rest("POST", "/users/auth", json=login)
    assert problem_of(response, 401, "invalid-credentials")["detail"] == "invalid password"
    assert response.headers["www-authenticate"]


async def test_a_credential_that_does_not_reach_far_enough_answers_403(
    shared_gateway: Gateway,
) -> None:
    token = await shared_gateway.log_in("alice")
    response = await shared_gateway.rest("GET", "/users", token)
    problem_of(response, 403, "forbidden")
    assert "www-authenticate" not in response.headers


# --------------------------------------------------------------------- faults of ours


@pytest.mark.parametrize("path", ["/users/auth", "/users/@self"])
async def test_an_internal_error_shows_only_its_reference(database: Path, path: str) -> None:
    async with open_gateway(database, hasher=BrokenHasher()) as gateway:
        body = {"username": "alice", "password": PASSWORD}
        response = await gateway.rest("POST", path, json=body)
        problem = problem_of(response, 500, "internal")
        assert problem == {
            "type": "/errors/internal",
            "title": "Internal error",
            "status": 500,
            "detail": response.headers["x-request-id"],
            "code": "internal",
            "request_id": response.headers["x-request-id"],
        }


@pytest.mark.parametrize("path", ["/users", "/users/alice", "/health/ready"])
async def test_overload_answers_503_and_when_to_try_again(database: Path, path: str) -> None:
    store = BusyStore()
    async with open_gateway(database, store=store) as gateway:
        store.is_busy = True
        response = await gateway.rest("GET", path, gateway.admin_key)
        problem_of(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) >= 1


# ---------------------------------------------------------------------------- pages


@pytest.mark.parametrize("error", CATALOGUE, ids=lambda error: error.slug)
async def test_the_type_of_every_problem_leads_to_a_page(
    shared_gateway: Gateway, error: Any
) -> None:
    response = await shared_gateway.rest("GET", f"/errors/{error.slug}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert error.slug in response.text
    assert str(error.status) in response.text
    assert all(escape(sentence) in response.text for sentence in error.explanation())


@pytest.mark.parametrize("slug", ["nothing", "NOT-FOUND", "<script>", "not-found.html", "%00"])
async def test_there_is_no_page_for_an_unknown_error(shared_gateway: Gateway, slug: str) -> None:
    problem_of(await shared_gateway.rest("GET", f"/errors/{slug}"), 404, "not-found")


def test_no_error_is_a_422() -> None:
    assert 422 not in {error.status for error in CATALOGUE}


async def test_a_flaw_of_what_travels_in_the_path_is_placed_there(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("DELETE", "/servers/bad", shared_gateway.admin_key)
    assert flaws_of(response, "path") == ["uuid"]


async def test_a_route_that_reads_no_body_takes_none_but_an_empty_object(
    shared_gateway: Gateway,
) -> None:
    token = await shared_gateway.log_in("alice")
    refused = await shared_gateway.rest("POST", "/users/@self/token", token, json={"surplus": 1})
    assert problem_of(refused, 400, "invalid-input")
    assert (
        await shared_gateway.rest("POST", "/users/@self/token", token, json={})
    ).status_code == 200


async def test_a_member_of_the_route_alone_is_a_known_one(gateway: Gateway) -> None:
    response = await gateway.rest("GET", "/users?cuont=1", gateway.admin_key)
    assert response.json()["detail"] == "cuont: is not known here (the nearest is 'count')"
