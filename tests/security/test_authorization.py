"""Precedence of credentials, mass assignment, and access to other users' objects.

Permissions are in `matrix.py`.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import anyio
import pytest

from app.http.params import input_schema
from app.operations.catalog import OPERATIONS
from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.parity.apis import RestApi, RpcApi
from tests.security.cast import make_admin, make_key

pytestmark = pytest.mark.anyio

IN, UNKNOWN, FORBIDDEN = "let in", "unauthenticated", "forbidden"
PROBLEM = "?errors=problem"


@pytest.fixture(scope="module")
async def alices(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway where `alice` has signed up, for attacks that, foiled, leave no trace."""
    database = tmp_path_factory.mktemp("alices") / migrated.name
    copyfile(migrated, database)
    # More logins than one address has, while the clock does not move.
    async with open_gateway(database, Settings(rate_limits="off")) as opened:
        await opened.sign_up("alice")
        yield opened


@pytest.fixture(scope="module")
async def alice(alices: Gateway) -> str:
    """Her token."""
    return await alices.log_in("alice")


def _verdict(reply: dict[str, Any]) -> str:
    code = reply.get("error", {}).get("data", {}).get("code", IN)
    return code if code in {UNKNOWN, FORBIDDEN} else IN


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
    "scope": "admin",
    "networks": None,
    "secret_hash": "x",
    "key": "AAAAAAAA-aaaa-bbbb-cccc-ddddeeee",
    "owner": "admin",
}
SELF_SERVICE = {
    "users.create": {"username": "mallory", "password": PASSWORD},
    "users.update": {"display_name": "Mallory"},
    "users.auth": {"username": "alice", "password": PASSWORD},
    "users.password": {"current": PASSWORD, "password": "another password"},
    "keys.create": {"name": "test"},
}


MORE = [
    (operation, member)
    for operation in SELF_SERVICE
    for member in SURPLUS
    if member not in input_schema(OPERATIONS[operation].input).names
]


@pytest.mark.parametrize("api", [RpcApi, RestApi])
@pytest.mark.parametrize(("operation", "member"), MORE)
async def test_unknown_members_of_an_account_are_refused(
    alices: Gateway, alice: str, api: type[RpcApi | RestApi], operation: str, member: str
) -> None:
    params = {**SELF_SERVICE[operation], member: SURPLUS[member]}
    assert (await api(alices)(operation, alice, **params)).slug == "invalid-input"


@pytest.mark.parametrize("member", sorted(SURPLUS.keys() - {"admin", "disabled", "email"}))
async def test_not_even_an_admin_sets_what_the_operation_does_not_take(
    alices: Gateway, member: str
) -> None:
    path = f"/users/{await alices.uuid_of('alice')}"
    key, surplus = alices.admin_key, {member: SURPLUS[member]}
    changed = await alices.rest("PUT", path, key, json={"admin": 0, **surplus})
    new = {"username": "mallory", "email": "m@example.com", **surplus}
    made = await alices.rest("POST", "/users", key, json=new)
    assert (changed.status_code, made.status_code) == (400, 400)


async def test_surplus_positions_set_nothing(alices: Gateway) -> None:
    params = ["mallory", PASSWORD, "Mallory", True]
    reply = await alices.rpc("users.create", params)
    assert reply["error"]["code"] == -32602
    assert (await alices.rpc("users.check", ["mallory"]))["result"] is False


async def test_a_query_sets_nothing_of_a_body(alices: Gateway) -> None:
    new = {"username": "mallory", "password": PASSWORD}
    answer = await alices.rest("POST", "/users/@self?admin=1", json=new)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")


async def test_a_new_user_is_no_admin(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    assert _verdict(await gateway.rpc("admin.users.list", auth=token, query=PROBLEM)) == FORBIDDEN
    listed = (await gateway.rest("GET", "/users?admin=1", gateway.admin_key)).json()
    assert [user["username"] for user in listed.values()] == ["admin"]


# ------------------------------------------------------------------------ what is another's


async def test_no_user_ends_the_session_of_another(gateway: Gateway) -> None:
    victim, mallory = await gateway.user("alice"), await gateway.user("mallory")
    session = (await gateway.rpc("sessions.list", auth=victim))["result"][0]["id"]
    assert (await gateway.rpc("sessions.revoke", [session], mallory))["result"] == 0
    answer = await gateway.rest("DELETE", f"/users/@self/sessions/{session}", mallory)
    assert answer.status_code == 404
    assert (await gateway.rpc("users.self", auth=victim))["result"]


async def test_no_user_revokes_the_key_of_another(gateway: Gateway) -> None:
    mallory = await gateway.user("mallory")
    for reply in (
        await gateway.rpc("keys.revoke", [gateway.admin_key[:8]], mallory, query=PROBLEM),
        await gateway.rpc("keys.revoke", ["AAAAAAAA"], mallory, query=PROBLEM),
    ):
        assert reply["error"]["data"]["code"] == "not-found"
    path = f"/users/@self/keys/{gateway.admin_key[:8]}"
    assert (await gateway.rest("DELETE", path, mallory)).status_code == 404
    assert (await gateway.rest("GET", "/users", gateway.admin_key)).status_code == 200


async def test_users_see_only_their_own_sessions_and_keys(gateway: Gateway) -> None:
    await gateway.user("alice")
    mallory = await gateway.user("mallory")
    own = (await gateway.rpc("sessions.list", auth=mallory))["result"]
    assert [session["current"] for session in own] == [True]
    assert (await gateway.rpc("keys.list", auth=mallory))["result"] == []


async def test_privileges_end_with_a_demotion(gateway: Gateway) -> None:
    token = await make_admin(gateway, "boss1")
    key = await make_key(gateway, token)
    path = f"/users/{await gateway.uuid_of('boss1')}"
    await gateway.rest("PUT", path, gateway.admin_key, json={"admin": 0})
    for credential in (token, key):
        assert (await gateway.rest("GET", "/users", credential)).status_code == 403


@pytest.mark.parametrize("change", [{"admin": 0}, {"disabled": 1}, {"admin": 0, "disabled": 1}])
async def test_two_admins_who_remove_each_other_at_once_leave_one(
    gateway: Gateway, change: dict[str, int]
) -> None:
    await make_admin(gateway, "boss1")
    key = await make_key(gateway, await gateway.log_in("boss1"))
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
