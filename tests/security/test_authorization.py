"""Who may do what, at both doors: every operation of the registry, tried by every kind of caller.

What is expected comes from the wire contract's table alone; an operation, a door or a route that
let somebody in beyond it would show here.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

import anyio
import pytest

from app.domain.policy import Access
from app.rest.door import Route
from app.rest.openapi import ROUTES
from app.usecases.registry import OPERATIONS
from app.wire.inputs import input_form
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway

pytestmark = pytest.mark.anyio

IN, UNKNOWN, FORBIDDEN = "let in", "unauthenticated", "forbidden"
PROBLEM = "?errors=problem"
LIVE_TOKENS = {"user", "admin"}
LIVE_KEYS = {"user's key", "admin's key"}
ADMINS = {"admin", "admin's key"}
DEAD = {
    "nobody",
    "nonsense",
    "logged out user",
    "disabled user",
    "disabled user's key",
    "disabled admin's key",
    "expired key",
    "revoked key",
    "key with another secret",
}
ROLES = sorted(LIVE_TOKENS | LIVE_KEYS | DEAD)


PUBLIC = {"users.create", "users.auth", "users.check"}
FOR_TOKENS = {"users.logout", "users.refresh"}


def reach(name: str) -> Access:
    """How far an operation reaches by the wire contract: written down a second time."""
    if name.startswith("admin."):
        return Access.ADMIN
    if name in PUBLIC:
        return Access.ANYONE
    return Access.TOKEN if name in FOR_TOKENS else Access.HOLDER


def expected(access: Access, role: str) -> str:
    """What becomes of a call by `role`, likewise."""
    if access is Access.ANYONE:
        return IN
    if role in DEAD:
        return UNKNOWN
    allowed = {Access.HOLDER: LIVE_TOKENS | LIVE_KEYS, Access.TOKEN: LIVE_TOKENS}
    return IN if role in allowed.get(access, ADMINS) else FORBIDDEN


@dataclass(frozen=True)
class Cast:
    """A gateway with somebody of each kind."""

    gateway: Gateway
    credentials: dict[str, str | None]

    async def credential(self, role: str) -> str | None:
        """What `role` sends; a session of its own each time, since some calls end it."""
        if role in LIVE_TOKENS:
            return await self.gateway.log_in("alice" if role == "user" else "boss1")
        return self.credentials[role]


async def _key(gateway: Gateway, auth: str, **members: Any) -> str:
    made = await gateway.rpc("keys.create", {"name": "test", **members}, auth)
    return str(made["result"]["key"])


async def _disable(gateway: Gateway, username: str) -> None:
    path = f"/users/{await gateway.uuid_of(username)}"
    assert (await gateway.rest("DELETE", path, gateway.admin_key)).status_code == 204


async def _make_admin(gateway: Gateway, username: str) -> str:
    token = await gateway.user(username)
    path = f"/users/{await gateway.uuid_of(username)}"
    await gateway.rest("PUT", path, gateway.admin_key, json={"admin": 1})
    return token


async def _cast(gateway: Gateway) -> Cast:
    user, gone = await gateway.user("alice"), await gateway.user("gone")
    await _make_admin(gateway, "boss1")
    fallen = await _make_admin(gateway, "fallen")
    soon = (gateway.clock.now() + timedelta(seconds=1)).isoformat()
    credentials: dict[str, str | None] = {
        "nobody": None,
        "nonsense": "nonsense",
        "logged out user": await gateway.log_in("alice"),
        "disabled user": gone,
        "disabled user's key": await _key(gateway, gone),
        "disabled admin's key": await _key(gateway, fallen),
        "user's key": await _key(gateway, user),
        "admin's key": gateway.admin_key,
        "expired key": await _key(gateway, gateway.admin_key, expires_at=soon),
        "revoked key": await _key(gateway, gateway.admin_key),
        "key with another secret": gateway.admin_key[:-1] + "x",
    }
    await gateway.rpc("users.logout", auth=credentials["logged out user"])
    await gateway.rpc("keys.revoke", [str(credentials["revoked key"])[:8]], gateway.admin_key)
    await _disable(gateway, "gone")
    await _disable(gateway, "fallen")
    gateway.clock.turn(timedelta(seconds=1))
    return Cast(gateway, credentials)


@pytest.fixture(scope="module")
async def cast(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    database = tmp_path_factory.mktemp("cast") / migrated.name
    copyfile(migrated, database)
    async with open_gateway(database) as opened:
        yield await _cast(opened)


# -------------------------------------------------------------------------------- matrix


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_chat_door_lets_in_whom_the_operation_allows(cast: Cast, name: str) -> None:
    params = input_form(OPERATIONS[name].input).example()
    found = {}
    for role in ROLES:
        auth = await cast.credential(role)
        found[role] = _verdict(await cast.gateway.rpc(name, params, auth, query=PROBLEM))
    assert found == {role: expected(reach(name), role) for role in ROLES}


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_the_panel_door_lets_in_whom_the_operation_allows(
    cast: Cast, route: Route, prefix: str
) -> None:
    path, request = _request(route)
    found = {}
    for role in ROLES:
        credential = await cast.credential(role)
        answer = await cast.gateway.rest(route.method, prefix + path, credential, **request)
        body = answer.json() if answer.status_code in {401, 403} and answer.content else {}
        found[role] = body.get("code") if body.get("code") in {UNKNOWN, FORBIDDEN} else IN
    assert found == {role: expected(reach(route.operation.name), role) for role in ROLES}


def _verdict(reply: dict[str, Any]) -> str:
    code = reply.get("error", {}).get("data", {}).get("code", IN)
    return code if code in {UNKNOWN, FORBIDDEN} else IN


def _request(route: Route) -> tuple[str, dict[str, Any]]:
    """The route's path and body, filled with what the documents give as examples."""
    example = {name: param.doc.example for name, param in route.form.params.items()}
    path = route.path
    for name in route.path_names:
        path = path.replace(f"{{{name}}}", str(example.get(name, "demouser")))
    if not route.takes_body:
        return path, {}
    if route.path == "/users/@self/presence":
        return path, {"json": "ONLINE"}
    return path, {"json": route.form.example(without=route.elsewhere)}


@pytest.mark.parametrize("role", ROLES)
async def test_from_elsewhere_admins_alone_see_the_metrics(cast: Cast, role: str) -> None:
    answer = await cast.gateway.rest("GET", "/metrics", await cast.credential(role))
    statuses = {IN: 200, UNKNOWN: 401, FORBIDDEN: 403}
    assert answer.status_code == statuses[expected(Access.ADMIN, role)]


# -------------------------------------------------------------------- which credential counts


async def test_the_envelopes_credential_counts_and_not_the_headers(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    call = {"jsonrpc": "2.0", "method": "admin.users.list", "id": 1, "auth": token}
    for auth in (token, "", "nonsense"):
        answer = await gateway.rest(
            "POST", "/rpc" + PROBLEM, gateway.admin_key, json={**call, "auth": auth}
        )
        assert _verdict(answer.json()) == (FORBIDDEN if auth == token else UNKNOWN)


async def test_each_call_of_a_batch_has_its_own_credential(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    call = {"jsonrpc": "2.0", "method": "admin.users.list"}
    auths = [gateway.admin_key, None, token, gateway.admin_key, ""]
    batch = [{**call, "id": n, "auth": auth} for n, auth in enumerate(auths)]
    replies = (await gateway.client.post("/rpc" + PROBLEM, json=batch)).json()
    assert [_verdict(r) for r in replies] == [IN, UNKNOWN, FORBIDDEN, IN, UNKNOWN]


OTHER_PLACES: dict[str, dict[str, Any]] = {
    "Basic": {"headers": {"Authorization": "Basic @"}},
    "Token": {"headers": {"Authorization": "Token @"}},
    "no scheme": {"headers": {"Authorization": "@"}},
    "a cookie": {"headers": {"Cookie": "X-Access-Token=@; token=@; session=@"}},
    "a proxy's header": {"headers": {"Proxy-Authorization": "Bearer @"}},
    "another header": {"headers": {"X-Auth-Token": "@", "X-Api-Key": "@"}},
}


@pytest.mark.parametrize("sent", OTHER_PLACES.values(), ids=OTHER_PLACES.keys())
async def test_a_credential_in_any_other_place_does_not_count(
    gateway: Gateway, sent: dict[str, Any]
) -> None:
    headers = {k: v.replace("@", gateway.admin_key) for k, v in sent["headers"].items()}
    answer = await gateway.rest("GET", "/users/@self", headers=headers)
    assert answer.status_code == 401


async def test_two_different_credentials_are_refused_everywhere(gateway: Gateway) -> None:
    headers = {"Authorization": "Bearer one", "X-Access-Token": gateway.admin_key}
    for path in ("/users", "/users/@self", "/rpc", "/health/live", "/nowhere"):
        answer = await gateway.rest("GET", path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


# ------------------------------------------------------------------------- mass assignment

SURPLUS: dict[str, Any] = {
    "admin": 1,
    "is_admin": True,
    "disabled": 0,
    "id": "1",
    "user_id": "1",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "number": 1,
    "version": 1,
    "email": "boss@example.com",
    "email_key": "boss@example.com",
    "password_hash": "$2y$04$x",
    "hash": "x",
    "skeleton": "admin",
    "trusted": True,
    "session_id": "x",
    "__class__": "x",
    "model_config": {},
}
SELF_SERVICE = {
    "users.create": {"username": "mallory", "password": PASSWORD},
    "users.update": {"display_name": "Mallory"},
    "users.auth": {"username": "alice", "password": PASSWORD},
    "users.password": {"current": PASSWORD, "new": "another password"},
    "keys.create": {"name": "test"},
}


@pytest.mark.parametrize("operation", SELF_SERVICE)
@pytest.mark.parametrize("member", SURPLUS)
async def test_nobody_sets_more_of_his_account_than_the_operation_takes(
    cast: Cast, operation: str, member: str
) -> None:
    params = {**SELF_SERVICE[operation], member: SURPLUS[member]}
    auth = await cast.credential("user")
    reply = await cast.gateway.rpc(operation, params, auth)
    assert reply["error"]["code"] == -32602
    path = {"users.create": ("POST", "/users/@self"), "users.update": ("PATCH", "/users/@self")}
    if operation in path:
        answer = await cast.gateway.rest(*path[operation], auth, json=params)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


@pytest.mark.parametrize("member", sorted(SURPLUS.keys() - {"admin", "disabled", "email"}))
async def test_not_even_an_admin_sets_what_the_operation_does_not_take(
    cast: Cast, member: str
) -> None:
    path = f"/users/{await cast.gateway.uuid_of('alice')}"
    key, surplus = cast.gateway.admin_key, {member: SURPLUS[member]}
    changed = await cast.gateway.rest("PUT", path, key, json={"admin": 0, **surplus})
    new = {"username": "mallory", "email": "m@example.com", **surplus}
    made = await cast.gateway.rest("POST", "/users", key, json=new)
    assert (changed.status_code, made.status_code) == (400, 400)


async def test_surplus_positions_set_nothing(cast: Cast) -> None:
    params = ["mallory", PASSWORD, "Mallory", True]
    reply = await cast.gateway.rpc("users.create", params)
    assert reply["error"]["code"] == -32602
    assert (await cast.gateway.rpc("users.check", ["mallory"]))["result"] is False


async def test_a_query_sets_nothing_of_a_body(cast: Cast) -> None:
    new = {"username": "mallory", "password": PASSWORD}
    answer = await cast.gateway.rest("POST", "/users/@self?admin=1", json=new)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


async def test_who_signs_up_is_no_admin(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    assert _verdict(await gateway.rpc("admin.users.list", auth=token, query=PROBLEM)) == FORBIDDEN
    listed = (await gateway.rest("GET", "/users?admin=1", gateway.admin_key)).json()
    assert [user["username"] for user in listed.values()] == ["admin"]


# ------------------------------------------------------------------------ what is another's


async def test_nobody_ends_anothers_session(gateway: Gateway) -> None:
    victim, mallory = await gateway.user("alice"), await gateway.user("mallory")
    session = (await gateway.rpc("sessions.list", auth=victim))["result"][0]["id"]
    assert (await gateway.rpc("sessions.revoke", [session], mallory))["result"] == 0
    answer = await gateway.rest("DELETE", f"/users/@self/sessions/{session}", mallory)
    assert answer.status_code == 404
    assert (await gateway.rpc("users.self", auth=victim))["result"]


async def test_nobody_revokes_anothers_key(gateway: Gateway) -> None:
    mallory = await gateway.user("mallory")
    for reply in (
        await gateway.rpc("keys.revoke", [gateway.admin_key[:8]], mallory, query=PROBLEM),
        await gateway.rpc("keys.revoke", ["AAAAAAAA"], mallory, query=PROBLEM),
    ):
        assert reply["error"]["data"]["code"] == "not-found"
    path = f"/users/@self/keys/{gateway.admin_key[:8]}"
    assert (await gateway.rest("DELETE", path, mallory)).status_code == 404
    assert (await gateway.rest("GET", "/users", gateway.admin_key)).status_code == 200


async def test_nobody_sees_sessions_or_keys_but_his_own(gateway: Gateway) -> None:
    await gateway.user("alice")
    mallory = await gateway.user("mallory")
    own = (await gateway.rpc("sessions.list", auth=mallory))["result"]
    assert [session["current"] for session in own] == [True]
    assert (await gateway.rpc("keys.list", auth=mallory))["result"] == []


async def test_an_admins_rights_end_with_his_office(gateway: Gateway) -> None:
    token = await _make_admin(gateway, "boss1")
    key = await _key(gateway, token)
    path = f"/users/{await gateway.uuid_of('boss1')}"
    await gateway.rest("PUT", path, gateway.admin_key, json={"admin": 0})
    for credential in (token, key):
        assert (await gateway.rest("GET", "/users", credential)).status_code == 403


@pytest.mark.parametrize("change", [{"admin": 0}, {"disabled": 1}, {"admin": 0, "disabled": 1}])
async def test_two_admins_who_remove_each_other_at_once_leave_one(
    gateway: Gateway, change: dict[str, int]
) -> None:
    await _make_admin(gateway, "boss1")
    key = await _key(gateway, await gateway.log_in("boss1"))
    uuids = [await gateway.uuid_of(name) for name in ("boss1", "admin")]
    statuses = []

    async def remove(uuid: str, credential: str) -> None:
        answer = await gateway.rest("PUT", f"/users/{uuid}", credential, json=change)
        statuses.append(answer.status_code)

    async with anyio.create_task_group() as group:
        group.start_soon(remove, uuids[0], gateway.admin_key)
        group.start_soon(remove, uuids[1], key)
    # The second is refused: no admin any more, no longer known, or the last one.
    assert statuses.count(204) == 1
    assert set(statuses) - {204} <= {401, 403, 409}
