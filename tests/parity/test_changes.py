"""The limit of an account's changes: 60 a minute and 120 at once, by both APIs together."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.policy import Access, Principal
from app.domain.rate_limits import CHANGES, FAILURES_BEFORE_LOCK, LOGINS, PASSWORD_USES, Limit
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller
from app.settings import Settings
from tests.fakes.services import PASSWORD, account, do, make_services, sign_up
from tests.gateway import CLIENT, Gateway, open_gateway
from tests.parity.apis import Api, RestApi, RpcApi

pytestmark = pytest.mark.anyio

LIMITED = "rate-limited"

# What leaves nothing in the audit trail, what only ends credentials, and what takes the password.
UNLIMITED = {
    "users.password",
    "users.presence",
    "users.logout",
    "sessions.revoke",
    "keys.revoke",
    "admin.sessions.revoke",
    "admin.keys.revoke",
}


@pytest.fixture(params=[RestApi, RpcApi])
def api(request: pytest.FixtureRequest, gateway: Gateway) -> Api:
    opened: Api = request.param(gateway)
    return opened


async def change(api: Api, credential: str, number: int) -> str | None:
    """A change that is one; what became of it."""
    name = f"Name {number}"
    return (await api("users.update", credential, display_name=name)).slug


async def changes(api: Api, credential: str, times: int) -> list[str | None]:
    return [await change(api, credential, number) for number in range(times)]


async def leave(gateway: Gateway, username: str, calls: int, limit: Limit = CHANGES) -> None:
    """Use up what the account has but for so many: each change of a test's own takes its time."""
    user = await account(gateway.services, username)
    used = limit.calls - calls
    assert await gateway.services.rate_limiter.count_many(limit, str(user.id), used) == (used, 0)


async def entries(gateway: Gateway, action: str) -> int:
    """Return the number of audit entries with this action."""
    query = f"/audit?action={action}&limit=1000"
    return len((await gateway.rest("GET", query, gateway.admin_key)).json())


def test_every_change_of_an_account_counts_but_for_these() -> None:
    changing = {
        operation.name
        for operation in OPERATIONS.values()
        if operation.changes is not False and operation.access is not Access.ANYONE
    }
    assert {name for name in changing if not OPERATIONS[name].counts} == UNLIMITED


async def test_an_account_has_two_minutes_changes_at_once_and_then_one_a_second(
    api: Api, gateway: Gateway
) -> None:
    assert (CHANGES.calls, CHANGES.seconds, CHANGES.refills) == (120, 120, True)
    token = await gateway.user("alice")
    await leave(gateway, "alice", 3)
    assert await changes(api, token, 5) == [None] * 3 + [LIMITED] * 2
    assert await entries(gateway, "users.update") == 3
    gateway.clock.turn(timedelta(seconds=2))
    assert await changes(api, token, 3) == [None] * 2 + [LIMITED]
    assert await change(api, await gateway.user("bobby"), 1) is None


async def test_both_apis_batches_tokens_and_keys_have_one_count(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    key = (await gateway.rpc("keys.create", {"name": "bot"}, token))["result"]["key"]
    await leave(gateway, "alice", 5 + 1)
    assert await change(RestApi(gateway), token, 1) is None
    assert await change(RpcApi(gateway), key, 2) is None
    batch = [
        {
            "jsonrpc": "2.0",
            "method": "users.update",
            "auth": (token, key)[number % 2],
            "params": {"display_name": f"Batch {number}"},
            "id": number,
        }
        for number in range(6)
    ]
    replies = (await gateway.client.post("/rpc?errors=problem", json=batch)).json()
    assert ["result" in reply for reply in replies] == [True] * 3 + [False] * 3
    problem = replies[-1]["error"]["data"]
    assert (problem["code"], problem["retry_after"]) == (LIMITED, 1)
    new = {"display_name": "New"}
    refused = await gateway.rest("PATCH", "/users/@self", key, json=new)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


async def test_changes_at_once_are_no_way_past_the_limit(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    await leave(gateway, "alice", 3)
    api = RestApi(gateway)
    slugs = await asyncio.gather(*(change(api, token, number) for number in range(20)))
    assert slugs.count(None) == 3


async def test_an_admins_changes_of_others_count_for_the_admin(api: Api, gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    uuid = await gateway.uuid_of("alice")
    await leave(gateway, "admin", 1)
    slugs = [
        (await api("admin.users.update", gateway.admin_key, uuid=uuid, email=mail)).slug
        for mail in ("a@example.com", "b@example.com")
    ]
    assert slugs == [None, LIMITED]
    assert await change(api, await gateway.log_in("alice"), 1) is None


async def test_an_operation_without_a_change_does_not_count(api: Api, gateway: Gateway) -> None:
    token = await gateway.user("alice")
    await gateway.sign_up("bobby")
    await leave(gateway, "alice", 1)
    for _ in range(3):
        assert (await api("users.update", token, display_name="alice")).slug is None
        assert (await api("users.update", token, username="bobby")).slug == "username-taken"
    assert await changes(api, token, 2) == [None, LIMITED]


async def test_presence_and_the_end_of_credentials_are_not_limited(
    api: Api, gateway: Gateway
) -> None:
    token = await gateway.user("alice")
    other = await gateway.log_in("alice")
    key = (await gateway.rpc("keys.create", {"name": "key"}, token))["result"]
    await leave(gateway, "alice", 1 + 1)
    assert await changes(api, token, 2) == [None, LIMITED]
    for presence in ("ONLINE", "IDLE", "DND"):
        assert (await api("users.presence", token, presence=presence)).slug is None
    assert (await api("keys.revoke", token, id=key["id"])).slug is None
    assert (await api("sessions.revoke", token)).slug is None
    assert (await gateway.rest("GET", "/users/@self", other)).status_code == 401
    assert (await api("users.logout", token)).slug is None


async def test_used_up_changes_do_not_keep_the_owner_from_signing_in(
    api: Api, gateway: Gateway
) -> None:
    stolen = await gateway.user("alice")
    await leave(gateway, "alice", 0)
    assert await change(api, stolen, 1) == LIMITED
    fresh = await gateway.log_in("alice")
    assert (await api("sessions.revoke", fresh)).slug is None
    assert await change(api, stolen, 1) == "unauthenticated"
    gateway.clock.turn(timedelta(seconds=2))
    assert await change(api, fresh, 1) is None


async def test_used_up_changes_do_not_keep_the_owner_from_changing_the_password(
    api: Api, gateway: Gateway
) -> None:
    token = await gateway.user("alice")
    await leave(gateway, "alice", 0)
    assert await change(api, token, 1) == LIMITED
    # One was the login.
    await leave(gateway, "alice", 1 + 1, PASSWORD_USES)
    new = "another long password"
    slugs = [
        (await api("users.password", token, current=current, password=new)).slug
        for current in ("not hers", PASSWORD, new)
    ]
    assert slugs == ["wrong-password", None, LIMITED]
    # A right password that comes too often is no wrong one, which would lock the account.
    for _ in range(FAILURES_BEFORE_LOCK + 2):
        assert (await api("users.password", token, current=new, password=PASSWORD)).slug == LIMITED
    assert await entries(gateway, "users.password&outcome=done") == 1


async def test_a_credential_that_is_dead_counts_for_no_one(api: Api, gateway: Gateway) -> None:
    token = await gateway.user("alice")
    assert (await api("users.logout", token)).slug is None
    await leave(gateway, "alice", 1)
    assert await changes(api, token, 3) == ["unauthenticated"] * 3
    assert await changes(api, await gateway.log_in("alice"), 2) == [None, LIMITED]


async def test_sessions_that_an_account_opens_are_limited_wherever_it_comes_from(
    api: Api, gateway: Gateway
) -> None:
    await gateway.sign_up("alice")
    await leave(gateway, "alice", 1, PASSWORD_USES)
    slugs = [
        (await api("users.auth", username="alice", password=password)).slug
        for password in (PASSWORD, PASSWORD, "not hers", PASSWORD)
    ]
    assert slugs == [None, LIMITED, "invalid-credentials", LIMITED]
    # A right password that comes too often is no wrong one, which would lock the account.
    for _ in range(FAILURES_BEFORE_LOCK + 2):
        outcome = await api("users.auth", username="alice", password=PASSWORD)
        assert outcome.slug == LIMITED
    gateway.clock.turn(timedelta(seconds=1))
    await gateway.log_in("alice")


async def test_right_logins_do_not_count_against_an_address(api: Api, gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    used = LOGINS.calls - 1
    assert await gateway.services.rate_limiter.count_many(LOGINS, CLIENT[0], used) == (used, 0)
    for _ in range(3):
        assert (await api("users.auth", username="alice", password=PASSWORD)).slug is None
    slugs = [
        (await api("users.auth", username="alice", password="not hers")).slug for _ in range(2)
    ]
    assert slugs == ["invalid-credentials", LIMITED]


async def test_with_limits_off_and_for_the_operator_nothing_is_counted(database: Path) -> None:
    async with open_gateway(database, Settings(rate_limits="off")) as gateway:
        token = await gateway.user("alice")
        await leave(gateway, "alice", 0)
        assert await change(RpcApi(gateway), token, 1) is None
    limited = make_services()
    user = await sign_up(limited, "bobby")
    await limited.rate_limiter.count_many(CHANGES, str(user.id), CHANGES.calls)
    operator = Caller(trusted=Principal(user))
    await do(limited, "users.update", operator, display_name="Another")
