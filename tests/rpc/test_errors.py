"""Errors of the domain and faults of ours, in both dialects."""

from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import CATALOGUE, Overloaded
from app.domain.ports.services import PasswordCheck
from app.settings import Settings
from tests.fakes.memory import MemoryStore
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rpc.wire import (
    CHAT_MESSAGE,
    INVALID_REQUEST,
    PARSE_ERROR,
    call,
    error,
    notification,
    post,
    refusal,
    result,
    send,
    without_sentence,
)

pytestmark = pytest.mark.anyio

SECRET = "the secret of /var/lib/gatehouse"
NEW = {"username": "carol", "password": PASSWORD}
UNKNOWN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ADMIN_UUID = "00000000-0000-4000-8000-000000000001"
LOGIN = {"username": "nobody", "password": PASSWORD}

# One refusal at both APIs: slug, then method and params, then verb, path and body.
Refused = tuple[str, str, dict[str, Any], str, str, dict[str, Any] | None]
ANYONES: list[Refused] = [
    (
        *("username-taken", "users.create", {**NEW, "username": "ALICE"}),
        *("POST", "/users/@self", {**NEW, "username": "ALICE"}),
    ),
    (
        *("invalid-username", "users.create", {**NEW, "username": "a b"}),
        *("POST", "/users/@self", {**NEW, "username": "a b"}),
    ),
    (
        *("weak-password", "users.create", {**NEW, "password": "carol"}),
        *("POST", "/users/@self", {**NEW, "password": "carol"}),
    ),
    ("invalid-credentials", "users.auth", LOGIN, "POST", "/users/auth", LOGIN),
    ("unauthenticated", "users.self", {}, "GET", "/users/@self", None),
]
ADMINS: list[Refused] = [
    (
        *("wrong-password", "users.password", {"current": "x", "password": "another password"}),
        *("PUT", "/users/@self/password", {"current": "x", "password": "another password"}),
    ),
    ("forbidden", "users.refresh", {}, "POST", "/users/@self/token", None),
    (
        *("invalid-presence", "users.presence", {"presence": "AWAY"}),
        *("PATCH", "/users/@self/presence", {"presence": "AWAY"}),
    ),
    ("not-found", "keys.revoke", {"id": "ABCDEFGH"}, "DELETE", "/users/@self/keys/ABCDEFGH", None),
    ("user-not-found", "admin.users.get", {"uuid": UNKNOWN}, "GET", f"/users/{UNKNOWN}", None),
    (
        *("last-admin", "admin.users.update", {"uuid": ADMIN_UUID, "admin": 0}),
        *("PUT", f"/users/{ADMIN_UUID}", {"admin": 0}),
    ),
    (
        *("invalid-email", "admin.users.create", {"username": "carol", "email": "nowhere"}),
        *("POST", "/users", {"username": "carol", "email": "nowhere"}),
    ),
    (
        *("invalid-input", "keys.create", {"name": ""}),
        *("POST", "/users/@self/keys", {"name": ""}),
    ),
]
SAME = [(False, *refused) for refused in ANYONES] + [(True, *refused) for refused in ADMINS]


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


async def test_the_chats_dialect_is_the_default(shared_gateway: Gateway) -> None:
    reply = await shared_gateway.rpc("users.create", {**NEW, "username": "alice"})
    assert reply == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {
            "code": -32603,
            "message": "内部错误",
            "data": "User with username alice already exists",
        },
    }


@pytest.mark.parametrize(
    ("is_admin", "slug", "method", "params", "verb", "path", "body"),
    SAME,
    ids=[row[1] for row in SAME],
)
async def test_the_other_dialect_shows_the_problem_that_rest_sends(
    shared_gateway: Gateway,
    is_admin: bool,
    slug: str,
    method: str,
    params: dict[str, Any],
    verb: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    credential = shared_gateway.admin_key if is_admin else None
    problem = (await shared_gateway.rest(verb, path, credential, json=body)).json()
    error = (await shared_gateway.rpc(method, params, credential, query="?errors=problem"))["error"]
    own_codes = {entry.slug: entry.rpc_code for entry in CATALOGUE}
    assert (error["code"], error["message"]) == (own_codes[slug], problem["title"])
    del problem["request_id"], error["data"]["request_id"]
    assert error["data"] == problem
    assert problem["code"] == slug


@pytest.mark.parametrize(
    ("is_admin", "method", "params", "verb", "path", "body"),
    [(row[0], *row[2:]) for row in SAME],
    ids=[row[1] for row in SAME],
)
async def test_the_chats_dialect_says_the_sentence_that_rest_says(
    shared_gateway: Gateway,
    is_admin: bool,
    method: str,
    params: dict[str, Any],
    verb: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    credential = shared_gateway.admin_key if is_admin else None
    detail = (await shared_gateway.rest(verb, path, credential, json=body)).json()["detail"]
    assert await shared_gateway.rpc(method, params, credential) == refusal(detail)


async def test_closed_registration_has_a_code_of_its_own(database: Path) -> None:
    async with open_gateway(database, Settings(registration="closed")) as gateway:
        reply = await gateway.rpc("users.create", NEW, query="?errors=problem")
        assert (reply["error"]["code"], reply["error"]["data"]["status"]) == (-32012, 403)


async def test_a_problem_names_the_request(shared_gateway: Gateway) -> None:
    response = await shared_gateway.client.post("/rpc?errors=problem", json=call("users.self"))
    request_id = response.json()["error"]["data"]["request_id"]
    assert request_id == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "expected", "status", "slug"),
    [
        ("{", PARSE_ERROR, 400, "invalid-input"),
        ("[]", INVALID_REQUEST, 400, "invalid-input"),
        ('{"jsonrpc":"2.0","method":"a","id":7,"id":7}', INVALID_REQUEST, 400, "invalid-input"),
        (
            '{"jsonrpc": "2.0", "method": "foobar", "id": 1}',
            error(-32601, "Method not found"),
            404,
            "not-found",
        ),
    ],
)
async def test_errors_of_the_protocol_carry_a_problem_in_the_other_dialect(
    shared_gateway: Gateway, body: str, expected: object, status: int, slug: str
) -> None:
    default = (await post(shared_gateway, body)).json()
    assert without_sentence(default) == expected
    response = await post(shared_gateway, body, query="?errors=problem")
    assert response.status_code == 200
    shown = response.json()
    problem = shown["error"].pop("data")
    assert (problem["code"], problem["status"]) == (slug, status)
    assert problem["detail"] == default["error"].pop("data")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert shown == default


async def test_wrong_parameters_are_the_protocols_in_both_dialects(shared_gateway: Gateway) -> None:
    request = call("users.check", {"username": 1})
    default = await send(shared_gateway, request)
    problem = (await shared_gateway.client.post("/rpc?errors=problem", json=request)).json()
    assert (default["error"]["code"], problem["error"]["code"]) == (-32602, -32602)
    assert default["error"]["message"] == problem["error"]["message"]
    assert problem["error"]["data"]["detail"] == default["error"]["data"]
    assert problem["error"]["data"]["code"] == "invalid-input"


@pytest.mark.parametrize(
    "query",
    [
        *("?errors=", "?errors", "?errors=chat", "?errors=Problem", "?Errors=problem"),
        *("?errors=problem&errors=problem", "?errors=problem&x=1", "?debug=1"),
    ],
)
async def test_any_other_query_is_a_problem_of_the_request(
    shared_gateway: Gateway, query: str
) -> None:
    response = await shared_gateway.client.post(f"/rpc{query}", json=call("users.check", ["alice"]))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "invalid-input"


async def test_two_different_credentials_are_a_problem_of_the_request(
    shared_gateway: Gateway,
) -> None:
    headers = {"X-Access-Token": shared_gateway.admin_key, "Authorization": "Bearer another"}
    request = call("users.check", ["alice"], auth=shared_gateway.admin_key)
    response = await shared_gateway.client.post("/rpc", json=request, headers=headers)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid-input"


# ------------------------------------------------------------------- faults of ours


@pytest.mark.parametrize("method", ["users.create", "users.auth"])
async def test_an_internal_error_shows_only_its_reference(database: Path, method: str) -> None:
    async with open_gateway(database, hasher=BrokenHasher()) as gateway:
        response = await gateway.client.post("/rpc", json=call(method, NEW))
        assert response.status_code == 200
        assert response.json() == refusal(response.headers["x-request-id"])


async def test_a_fault_of_ours_as_a_problem_tells_no_more(database: Path) -> None:
    async with open_gateway(database, hasher=BrokenHasher()) as gateway:
        response = await gateway.client.post("/rpc?errors=problem", json=call("users.auth", NEW))
        reference = response.headers["x-request-id"]
        error = response.json()["error"]
        assert (error["code"], error["message"]) == (-32603, "Internal error")
        assert error["data"] == {
            "type": "/errors/internal",
            "title": "Internal error",
            "status": 500,
            "detail": reference,
            "code": "internal",
            "request_id": reference,
        }


async def test_a_fault_of_ours_does_not_stop_the_batch(database: Path) -> None:
    async with open_gateway(database, hasher=BrokenHasher()) as gateway:
        batch = [
            notification("users.auth", NEW),
            call("users.auth", NEW, id=1),
            call("users.check", ["carol"], id=2),
        ]
        broken, checked = await send(gateway, batch)
        assert (broken["id"], broken["error"]["message"]) == (1, CHAT_MESSAGE)
        assert checked == result(False, 2)


async def test_overload_is_an_error_of_the_call(database: Path) -> None:
    store = BusyStore()
    async with open_gateway(database, store=store) as gateway:
        store.is_busy = True
        response = await gateway.client.post("/rpc", json=call("users.check", ["alice"]))
        assert response.status_code == 200
        assert response.json() == refusal("The directory is busy; try again shortly.")
