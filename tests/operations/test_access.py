"""Permissions and ended credentials, on fakes.

`tests/security/test_matrix.py` tries each operation by each kind of caller.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import (
    CredentialFault,
    Forbidden,
    MisplacedCredential,
    Unauthenticated,
)
from app.domain.policy import Access
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.ports import FakeClock
from tests.fakes.services import (
    NOBODY,
    PASSWORD,
    account,
    as_user,
    do,
    log_in,
    with_key,
)

pytestmark = pytest.mark.anyio

SOMEBODY = "11111111-1111-4111-8111-111111111111"
SERVER = {"uuid": SOMEBODY, "owner": SOMEBODY, "name": "Server"}
GUILD = {"id": "5", "name": "Guild", "owner_id": SOMEBODY}
MEMBER = {"id": "5", "user": SOMEBODY}
# A well-formed input for each operation.
INPUTS: dict[str, dict[str, Any]] = {
    "users.create": {"username": "newcomer", "password": PASSWORD},
    "users.auth": {"username": "alice", "password": PASSWORD},
    "users.check": {"username": "alice"},
    "users.self": {},
    "users.guilds": {},
    "users.profile": {"user": "alice"},
    "users.profiles": {"users": ["alice"]},
    "guilds.members": {"id": "5"},
    "users.presence": {"presence": "ONLINE"},
    "users.update": {"display_name": "Alice"},
    "users.password": {"current": PASSWORD, "password": "another password"},
    "users.logout": {},
    "users.refresh": {},
    "sessions.list": {},
    "sessions.revoke": {},
    "keys.list": {},
    "keys.create": {"name": "key"},
    "keys.revoke": {"id": "ABCDEFGH"},
    "admin.users.list": {},
    "admin.users.get": {"uuid": SOMEBODY},
    "admin.users.create": {"username": "newcomer", "email": "new@example.com"},
    "admin.users.update": {"uuid": SOMEBODY, "password": "another password"},
    "admin.users.disable": {"uuid": SOMEBODY},
    "admin.users.unlock": {"uuid": SOMEBODY},
    "admin.sessions.list": {"uuid": SOMEBODY},
    "admin.sessions.revoke": {"uuid": SOMEBODY},
    "admin.keys.list": {"uuid": SOMEBODY},
    "admin.keys.revoke": {"uuid": SOMEBODY},
    "admin.audit.list": {},
    "admin.outbox.list": {},
    "admin.servers.list": {},
    "admin.servers.put": SERVER,
    "admin.servers.delete": {"uuid": SOMEBODY},
    "admin.guilds.list": {},
    "admin.guilds.put": GUILD,
    "admin.guilds.delete": {"id": "5"},
    "admin.guilds.members.put": MEMBER,
    "admin.guilds.members.delete": MEMBER,
}
PUBLIC = [name for name, op in OPERATIONS.items() if op.access is Access.ANYONE]
FOR_TOKENS = [name for name, op in OPERATIONS.items() if op.access is Access.TOKEN]
FOR_HOLDERS = [name for name, op in OPERATIONS.items() if op.access is Access.HOLDER]
FOR_ADMINS = [name for name, op in OPERATIONS.items() if op.access is Access.ADMIN]


async def ask(services: Services, name: str, caller: Caller) -> Any:
    return await do(services, name, caller, **INPUTS[name])


def test_every_operation_is_tried_here() -> None:
    assert INPUTS.keys() == OPERATIONS.keys()


def test_each_operation_reaches_as_far_as_the_contract_says() -> None:
    assert set(PUBLIC) == {"users.create", "users.auth", "users.check"}
    assert set(FOR_TOKENS) == {"users.logout", "users.refresh"}
    assert {name for name in OPERATIONS if name.startswith("admin.")} == set(FOR_ADMINS)


# -------------------------------------------------------------------- without a credential


@pytest.mark.usefixtures("alice", "admin")
@pytest.mark.parametrize(
    "credential",
    [
        None,
        "",
        "null",
        "a.b.c",
        "alice",
        PASSWORD,
        "FAKE0001-0000-0000-0000-00000000",
        "ZZZZ9999-abcd-1234-EFGH-00000001",
        "ABCDEFGH-1234-5678-0000-abcdefgh",
        "\ud800",
        "x" * 9999,
    ],
    ids=lambda credential: ascii(credential)[:40],
)
async def test_an_invalid_credential_is_refused(services: Services, credential: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await do(services, "users.self", Caller(credential=credential))


async def fault_of(services: Services, caller: Caller) -> CredentialFault:
    with pytest.raises(Unauthenticated) as refusal:
        await do(services, "users.self", caller)
    return refusal.value.fault


async def a_logged_out_token(services: Services, clock: FakeClock) -> Caller:
    caller = await as_user(services, "mallory")
    await do(services, "users.logout", caller)
    return caller


async def an_expired_token(services: Services, clock: FakeClock) -> Caller:
    caller = await as_user(services, "mallory")
    clock.turn(timedelta(days=7))
    return caller


async def a_token_of_a_disabled_account(services: Services, clock: FakeClock) -> Caller:
    caller = await as_user(services, "mallory")
    await disable(services, "mallory")
    return caller


async def a_revoked_key(services: Services, clock: FakeClock) -> Caller:
    owner = await as_user(services, "mallory")
    caller = await with_key(services, owner)
    await do(services, "keys.revoke", owner, id=str(caller.credential)[:8])
    return caller


async def an_expired_key(services: Services, clock: FakeClock) -> Caller:
    owner = await as_user(services, "mallory")
    caller = await with_key(services, owner, expires_at="2026-01-02T00:00:00Z")
    clock.turn(timedelta(days=1))
    return caller


async def a_key_of_a_disabled_account(services: Services, clock: FakeClock) -> Caller:
    caller = await with_key(services, await as_user(services, "mallory"))
    await disable(services, "mallory")
    return caller


async def a_token_of_an_account_enabled_again(services: Services, clock: FakeClock) -> Caller:
    caller = await a_token_of_a_disabled_account(services, clock)
    await enable(services, "mallory")
    return caller


async def a_key_of_an_account_enabled_again(services: Services, clock: FakeClock) -> Caller:
    caller = await a_key_of_a_disabled_account(services, clock)
    await enable(services, "mallory")
    return caller


async def disable(services: Services, username: str) -> None:
    uuid = (await account(services, username)).uuid
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=uuid)


async def enable(services: Services, username: str) -> None:
    uuid = (await account(services, username)).uuid
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, disabled=False)


@pytest.mark.parametrize(
    "make",
    [
        a_logged_out_token,
        an_expired_token,
        a_token_of_a_disabled_account,
        a_token_of_an_account_enabled_again,
        a_revoked_key,
        an_expired_key,
        a_key_of_a_disabled_account,
        a_key_of_an_account_enabled_again,
    ],
)
async def test_an_ended_credential_gets_the_refusal_of_an_unknown_one(
    services: Services, clock: FakeClock, make: Any
) -> None:
    assert await fault_of(services, Caller("a.b.c")) is CredentialFault.INVALID
    expected = CredentialFault.EXPIRED if make is an_expired_token else CredentialFault.INVALID
    assert await fault_of(services, await make(services, clock)) is expected


async def test_a_missing_credential_is_called_missing(services: Services) -> None:
    assert await fault_of(services, NOBODY) is CredentialFault.MISSING
    assert await fault_of(services, Caller("")) is CredentialFault.MISSING
    misplaced = MisplacedCredential(CredentialFault.NO_BEARER)
    elsewhere = Caller(find_misplaced=lambda: misplaced)
    assert await fault_of(services, elsewhere) is CredentialFault.NO_BEARER


# --------------------------------------------------------------------- with one that is not enough


async def test_a_user_is_refused_an_admin_operation(services: Services, alice: Caller) -> None:
    for caller in (alice, await with_key(services, alice)):
        with pytest.raises(Forbidden, match="Admin"):
            await do(services, "admin.users.list", caller)


async def test_an_access_key_is_refused_an_operation_on_a_session(
    services: Services, alice: Caller, admin: Caller
) -> None:
    for caller in (await with_key(services, alice), admin):
        with pytest.raises(Forbidden, match="token"):
            await do(services, "users.logout", caller)


@pytest.mark.parametrize("name", [*FOR_HOLDERS, *FOR_TOKENS])
async def test_the_command_line_has_no_account(services: Services, name: str) -> None:
    with pytest.raises(Forbidden):
        await ask(services, name, OPERATOR_CALLER)


async def test_a_former_admin_is_none(services: Services, admin: Caller) -> None:
    await do(services, "admin.users.create", admin, username="second", email="s@example.com",
             password=PASSWORD, admin=True)  # fmt: skip
    second = await log_in(services, "second")
    await do(services, "admin.users.list", second)
    uuid = (await account(services, "second")).uuid
    await do(services, "admin.users.update", admin, uuid=uuid, admin=False)
    with pytest.raises(Forbidden):
        await do(services, "admin.users.list", second)


# ------------------------------------------------------------------------- with one that is


@pytest.mark.parametrize("name", [*PUBLIC, *FOR_ADMINS])
async def test_the_command_line_may_use_an_admin_operation(services: Services, name: str) -> None:
    with suppress(*OPERATIONS[name].errors):
        await ask(services, name, OPERATOR_CALLER)


@pytest.mark.parametrize("forged", [{"user_id": 1}, {"session_id": SOMEBODY}])
async def test_a_token_lets_in_only_the_owner_of_its_session(
    services: Services, alice: Caller, forged: dict[str, Any]
) -> None:
    claims = await services.tokens.verify(str(alice.credential))
    assert claims is not None
    token = services.tokens.issue(replace(claims, token_id="forged", **forged))
    with pytest.raises(Unauthenticated):
        await do(services, "users.self", Caller(credential=token))


async def test_a_token_that_outlives_its_session_opens_nothing(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    claims = await services.tokens.verify(str(alice.credential))
    assert claims is not None
    later = replace(claims, token_id="later", expires_at=claims.expires_at + timedelta(days=1))
    token = services.tokens.issue(later)
    await do(services, "users.self", Caller(credential=token))
    clock.turn(timedelta(days=7))
    with pytest.raises(Unauthenticated):
        await do(services, "users.self", Caller(credential=token))


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_refuses_only_with_what_it_declares(
    services: Services, admin: Caller, name: str
) -> None:
    """Each with a well-formed input that names nothing there is."""
    declared = OPERATIONS[name].errors
    with suppress(Forbidden, *declared):
        await ask(services, name, admin)


@pytest.mark.parametrize("with_key_too", [False, True])
async def test_a_credential_that_outlived_its_owners_end_opens_nothing(
    services: Services, with_key_too: bool
) -> None:
    """Disabling ends them all; this holds even where one was left."""
    caller = await as_user(services, "alice")
    if with_key_too:
        caller = await with_key(services, caller)
    user = await account(services, "alice")
    await services.store.write(lambda tx: tx.users.save(replace(user, disabled=True)))
    with pytest.raises(Unauthenticated):
        await do(services, "users.self", caller)
