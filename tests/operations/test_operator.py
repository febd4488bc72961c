"""Operations of the command line: the first admin, accounts and keys by name, signing keys."""

from datetime import timedelta
from functools import partial

import pytest

from app.domain.errors import (
    AccountDisabled,
    InvalidEmail,
    InvalidInput,
    LastAdmin,
    NotFound,
    Unauthenticated,
    UsernameTaken,
    UserNotFound,
)
from app.domain.ports.store import Transaction
from app.domain.signing_keys import PublicKey
from app.operations import operator
from app.operations.admin_users import AdminCreateUser
from app.operations.credentials import CreateKey
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.ports import START, FakeClock
from tests.fakes.services import PASSWORD, account, do, log_in, sign_up, with_key

pytestmark = pytest.mark.anyio

KEY = "ABCDEFGH-0000-1111-2222-33334444"
OTHER_KEY = "ZZZZZZZZ-0000-1111-2222-33334444"


async def is_alive(services: Services, caller: Caller) -> bool:
    try:
        await do(services, "users.self", caller)
    except Unauthenticated:
        return False
    return True


# ------------------------------------------------------------------------------ lookups


async def test_an_account_is_found_by_all_that_names_it(services: Services) -> None:
    """In the form in which it is stored, however it was typed."""
    command = AdminCreateUser("éclair", "Anna@münchen.example.de", PASSWORD)
    made = await operator.create_account(services, command)
    for named in (
        *("éclair", "E\u0301CLAIR", "ｅ\u0301clair", made["uuid"], made["uuid"].upper()),
        *(made["user_id"], "anna@münchen.example.de", "ANNA@xn--mnchen-3ya.example.de"),
    ):
        key = await operator.create_key_for(services, named, CreateKey("key"))
        assert key["id"] in {key["id"] for key in await operator.list_keys_of(services, named)}


@pytest.mark.parametrize(
    "named", ["nobody1", "", "a b", "@", "anna@example.com", "x" * 100_000, "1" * 5000, "\x00"]
)
async def test_an_invalid_name_of_an_account_is_reported(services: Services, named: str) -> None:
    await sign_up(services, "alice")
    with pytest.raises(UserNotFound):
        await operator.list_keys_of(services, named)


# ------------------------------------------------------------------------- the first admin


async def test_the_first_admin_is_made_with_the_key_that_was_given(services: Services) -> None:
    assert await operator.needs_first_admin(services)
    assert await operator.create_first_admin(services, KEY)
    view = await do(services, "users.self", Caller(credential=KEY))
    assert (view["username"], view["display_name"]) == ("admin", "admin")
    user = await account(services, "admin")
    assert user.is_active_admin
    assert (user.email, user.password_hash) == (None, None)


async def test_there_is_one_first_admin(services: Services) -> None:
    assert await operator.create_first_admin(services, KEY)
    assert not await operator.needs_first_admin(services)
    assert not await operator.create_first_admin(services, OTHER_KEY)
    assert not await is_alive(services, Caller(credential=OTHER_KEY))
    assert await is_alive(services, Caller(credential=KEY))


async def test_users_alone_need_a_first_admin(services: Services) -> None:
    await sign_up(services, "alice")
    assert await operator.needs_first_admin(services)
    assert await operator.create_first_admin(services, KEY)


async def test_no_first_admin_is_created_beside_another(services: Services) -> None:
    command = AdminCreateUser("chief", None, password=PASSWORD, admin=True)
    await operator.create_account(services, command)
    assert not await operator.needs_first_admin(services)
    assert not await operator.create_first_admin(services, KEY)


async def test_no_second_first_admin_is_created_after_a_rename(
    services: Services, admin: Caller
) -> None:
    await do(services, "users.update", admin, username="chief")
    assert not await operator.create_first_admin(services, KEY)


async def test_a_user_called_admin_is_made_no_admin(services: Services) -> None:
    await operator.create_account(services, AdminCreateUser("admin", None, password=PASSWORD))
    with pytest.raises(UsernameTaken):
        await operator.create_first_admin(services, KEY)
    assert not (await account(services, "admin")).admin


# -------------------------------------------------------------------------------- accounts


async def test_an_account_is_created_without_an_address(services: Services) -> None:
    command = AdminCreateUser("support", None, display_name="Help")
    view = await operator.create_account(services, command)
    assert (view["username"], view["email"], view["admin"]) == ("support", None, 0)
    password = view["password"]
    assert password is not None
    assert await is_alive(services, await log_in(services, "support", password))


async def test_an_account_is_created_with_an_address(services: Services) -> None:
    command = AdminCreateUser("demo1", "Demo@Example.com", password=PASSWORD, admin=True)
    view = await operator.create_account(services, command)
    assert (view["email"], view["admin"]) == ("Demo@example.com", 1)
    assert "password" not in view
    with pytest.raises(InvalidEmail):
        await operator.create_account(services, AdminCreateUser("demo2", "nobody"))


async def test_an_account_is_disabled_and_enabled_by_name(
    services: Services, alice: Caller
) -> None:
    key = await with_key(services, alice)
    await operator.set_disabled(services, "ＡＬＩＣＥ", True)
    for caller in (alice, key):
        assert not await is_alive(services, caller)
    with pytest.raises(AccountDisabled):
        await log_in(services, "alice")
    await operator.set_disabled(services, "alice", False)
    assert await is_alive(services, await log_in(services, "alice"))


@pytest.mark.usefixtures("admin")
async def test_the_last_admin_is_not_disabled_at_the_command_line_either(
    services: Services,
) -> None:
    with pytest.raises(LastAdmin):
        await operator.set_disabled(services, "admin", True)


@pytest.mark.parametrize("username", ["nobody", "a1ice", "", "no", "\x00"])
async def test_an_unknown_name_is_not_found(services: Services, username: str) -> None:
    await sign_up(services, "alice")
    with pytest.raises(UserNotFound):
        await operator.set_disabled(services, username, True)
    with pytest.raises(UserNotFound):
        await operator.create_key_for(services, username, CreateKey("key"))
    with pytest.raises(UserNotFound):
        await operator.list_keys_of(services, username)


async def test_the_command_line_lists_accounts_as_an_admin_does(services: Services) -> None:
    user = await sign_up(services, "alice")
    listed = await do(services, "admin.users.list", OPERATOR_CALLER)
    assert list(listed["users"]) == [user.uuid]


async def test_of_two_first_starts_only_the_winners_key_is_kept(services: Services) -> None:
    kept: list[str] = []
    keys = [services.randomness.new_access_key() for _ in range(2)]
    made = [await operator.create_first_admin(services, k, partial(kept.append, k)) for k in keys]
    assert made == [True, False]
    assert kept == keys[:1]


async def test_no_first_admin_is_made_whose_key_cannot_be_kept(services: Services) -> None:
    def fail() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await operator.create_first_admin(services, services.randomness.new_access_key(), fail)
    assert await operator.needs_first_admin(services)


# ------------------------------------------------------------------------------------ keys


async def test_a_key_is_made_for_an_account_by_name(services: Services) -> None:
    await sign_up(services, "alice")
    created = await operator.create_key_for(services, "ALICE", CreateKey("cli"))
    caller = Caller(credential=created["key"])
    assert (await do(services, "users.self", caller))["username"] == "alice"
    listed = await operator.list_keys_of(services, "alice")
    assert [(key["id"], key["name"]) for key in listed] == [(created["id"], "cli")]
    assert str(created["key"]).startswith(created["id"])


@pytest.mark.parametrize("command", [CreateKey(""), CreateKey("key", "yesterday")])
async def test_a_key_that_is_not_well_formed_is_not_made(
    services: Services, command: CreateKey
) -> None:
    await sign_up(services, "alice")
    with pytest.raises(InvalidInput):
        await operator.create_key_for(services, "alice", command)
    assert await operator.list_keys_of(services, "alice") == []


async def test_a_key_is_revoked_whosever_it_is(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    key, his = await with_key(services, alice), await with_key(services, bobby)
    await operator.revoke_key(services, str(key.credential)[:8])
    assert not await is_alive(services, key)
    assert await is_alive(services, his)
    for key_id in (str(key.credential)[:8], "", "nothing"):
        with pytest.raises(NotFound):
            await operator.revoke_key(services, key_id)


# ---------------------------------------------------------------------------- signing keys


async def test_a_retired_key_is_published_as_long_as_a_session_may_last(
    services: Services, clock: FakeClock
) -> None:
    def publish(tx: Transaction) -> None:
        for kid in ("old", "new"):
            tx.signing_keys.publish(PublicKey(kid, "{}", START, None, START, START))
        tx.signing_keys.retire("old", START)

    async def published() -> set[str]:
        return {key.kid for key in await operator.list_published_keys(services)}

    await services.store.write(publish)
    clock.turn(timedelta(days=90) - timedelta(seconds=1))
    assert await published() == {"old", "new"}
    clock.turn(timedelta(seconds=2))
    assert await published() == {"new"}
