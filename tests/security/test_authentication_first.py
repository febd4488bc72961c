"""Without a valid credential, every operation that needs one answers `unauthenticated`.

That is so whatever else is wrong with the request: the matrix of all operations at both APIs and
of all that can be wrong with their input.
"""

from typing import Any

import pytest

from app.domain.policy import Access
from app.http.request import BODY_MAX
from app.operations.catalog import OPERATIONS
from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from tests.gateway import Gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio

PLACES = {"uuid": "x" * 36, "user": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "id": "x"}
CREDENTIALS = [None, "nonsense", "ABCD1234-1234-1234-1234-12345678"]
NEED_ONE = [route for route in ROUTES if route.operation.access is not Access.ANYONE]
METHODS = [name for name, it in OPERATIONS.items() if it.access is not Access.ANYONE]
JSON = {"Content-Type": "application/json"}
BODIES: dict[str, dict[str, Any]] = {
    "no JSON": {"content": b"{", "headers": JSON},
    "no object": {"content": b"[]", "headers": JSON},
    "a duplicate": {"content": b'{"a":1,"a":2}', "headers": JSON},
    "an unknown member": {"json": {"surplus": 1}},
    "far too many members": {"json": {f"m{n}": n for n in range(500)}},
    "wrong types": {"json": {"username": [], "password": [], "name": [], "current": []}},
    "another content type": {"content": b"a=b", "headers": {"Content-Type": "text/plain"}},
    "a content coding": {"content": b"x", "headers": {**JSON, "Content-Encoding": "gzip"}},
    "too large": {"content": b" " * (BODY_MAX + 1), "headers": JSON},
    "no body": {},
    "an unknown query": {"params": {"surplus": "1"}, "json": {}},
    "a query twice": {"params": [("limit", "1"), ("limit", "1")]},
    "a query of wrong types": {"params": {"limit": "x", "after": "-1", "admin": "2"}},
    "a long Idempotency-Key": {"json": {}, "headers": {"Idempotency-Key": "x" * 999}},
    "a malformed If-Match": {"json": {}, "headers": {"If-Match": "x"}},
}
PARAMS: dict[str, Any] = {
    "unknown": {"surplus": 1},
    "too many": list(range(20)),
    "far too many": {f"m{n}": n for n in range(500)},
    "wrong types by position": [[], {}, 1.5],
    "wrong values": {"after": -1, "cursor": "x", "limit": 0},
    "none": None,
}


def path_of(route: OperationRoute) -> str:
    # A segment that is no uuid would be a username there, whose check is public.
    user = PLACES["user"]
    places = {**PLACES, "uuid": user} if route.path == "/users/{uuid}" else PLACES
    return route.path.format(**places)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("route", NEED_ONE, ids=lambda route: f"{route.method} {route.path}")
async def test_a_route_asks_for_a_credential_before_it_looks_at_the_rest(
    shared_gateway: Gateway, route: OperationRoute, body: dict[str, Any]
) -> None:
    for credential in CREDENTIALS:
        response = await shared_gateway.rest(route.method, path_of(route), credential, **body)
        problem_of(response, 401, "unauthenticated")


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS.keys())
@pytest.mark.parametrize("method", METHODS)
async def test_a_method_asks_for_a_credential_before_it_looks_at_its_parameters(
    shared_gateway: Gateway, method: str, params: Any
) -> None:
    for credential in CREDENTIALS:
        reply = await shared_gateway.rpc(method, params, credential, query="?errors=problem")
        assert reply["error"]["data"]["code"] == "unauthenticated"
        assert reply["error"]["code"] == -32009


async def test_a_body_in_which_no_method_can_be_read_is_a_protocol_error(
    shared_gateway: Gateway,
) -> None:
    """The credential would have been in it."""
    for body, status in ((b"{", 200), (b"[]", 200), (b" " * (BODY_MAX + 1), 413)):
        response = await shared_gateway.client.post("/rpc", content=body, headers=JSON)
        assert response.status_code == status
        assert "unauthenticated" not in response.text
    reply = await shared_gateway.rpc("users.slef", [], "nonsense")
    assert reply["error"]["code"] == -32601


async def test_public_operations_validate_without_a_credential(shared_gateway: Gateway) -> None:
    for credential in CREDENTIALS:
        for method, path in (("POST", "/users/@self"), ("POST", "/users/auth")):
            response = await shared_gateway.rest(method, path, credential, json={"surplus": 1})
            problem_of(response, 400, "invalid-input")
        for method in ("GET", "HEAD"):
            response = await shared_gateway.rest(method, "/users/alice?surplus=1", credential)
            assert response.status_code == 400
        reply = await shared_gateway.rpc("users.create", {"surplus": 1}, credential)
        assert reply["error"]["code"] == -32602


async def test_only_the_credential_comes_before_validation(shared_gateway: Gateway) -> None:
    token = await shared_gateway.log_in("alice")
    for method, path in (("POST", "/users"), ("PATCH", "/users/@self")):
        response = await shared_gateway.rest(method, path, token, json={"surplus": 1})
        problem_of(response, 400, "invalid-input")
    for name in ("admin.users.create", "users.update"):
        reply = await shared_gateway.rpc(name, {"surplus": 1}, token)
        assert reply["error"]["code"] == -32602


async def test_wrong_keys_count_as_guesses_whatever_comes_with_them(gateway: Gateway) -> None:
    """A request that cannot be read must not make guessing cheaper."""
    found = set()
    for number in range(200):
        key = f"ABCD{number:04}-1234-1234-1234-12345678"
        response = await gateway.rest("PATCH", "/users/@self", key, json={"surplus": 1})
        reply = await gateway.rpc("users.update", {"surplus": 1}, key, query="?errors=problem")
        found = {response.json()["code"], reply["error"]["data"]["code"]}
        if found == {"rate-limited"}:
            return
    assert found == {"rate-limited"}
