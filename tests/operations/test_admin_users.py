"""Operations of admins on accounts: create, read, update, disable."""

from typing import Any

import pytest

from app.domain.errors import (
    AccountDisabled,
    EmailTaken,
    InvalidEmail,
    InvalidInput,
    InvalidUsername,
    LastAdmin,
    PreconditionFailed,
    Unauthenticated,
    UsernameTaken,
    UserNotFound,
    WeakPassword,
)
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from tests.fakes.services import PASSWORD, account, as_user, do, log_in, sign_up, with_key

pytestmark = pytest.mark.anyio

NEW = "another password"
UNKNOWN = "11111111-1111-4111-8111-111111111111"
SERVERS = [f"7c9e6679-7425-40de-944b-e07fc1f90a{n:02}" for n in range(3)]


async def create(services: Services, admin: Caller, /, **members: Any) -> Any:
    plain = {"username": "demoaccount", "email": "new@example.com"}
    return await do(services, "admin.users.create", admin, **{**plain, **members})


async def update(services: Services, admin: Caller, whose: str, /, **members: Any) -> None:
    uuid = (await account(services, whose)).uuid
    assert await do(services, "admin.users.update", admin, uuid=uuid, **members) is True


async def disable(services: Services, admin: Caller, whose: str) -> None:
    uuid = (await account(services, whose)).uuid
    assert await do(services, "admin.users.disable", admin, uuid=uuid) is True


async def get(services: Services, admin: Caller, whose: str) -> Any:
    uuid = (await account(services, whose)).uuid
    return await do(services, "admin.users.get", admin, uuid=uuid)


async def etag(services: Services, admin: Caller, whose: str) -> str:
    tag: str = (await get(services, admin, whose)).etag
    return tag


async def put_server(
    services: Services, admin: Caller, uuid: str, owner: str, **members: Any
) -> Any:
    ref = (await account(services, owner)).uuid
    members = {"uuid": uuid, "owner": ref, "name": "Server", **members}
    return await do(services, "admin.servers.put", admin, **members)


async def active_servers(services: Services, admin: Caller) -> set[str]:
    servers = await do(services, "admin.servers.list", admin)
    return {uuid for uuid, server in servers.items() if server["active"]}


async def is_alive(services: Services, caller: Caller) -> bool:
    try:
        await do(services, "users.self", caller)
    except Unauthenticated:
        return False
    return True


# --------------------------------------------------------------------------------- create


async def test_a_created_account_is_shown_with_all_its_names(
    services: Services, admin: Caller
) -> None:
    view = await create(services, admin, username="ＤｅｍｏAccount", password="rawPassword1")
    user = await account(services, "demoaccount")
    assert view == {
        "id": user.number,
        "uuid": user.uuid,
        "user_id": str(user.id),
        "username": "demoaccount",
        "email": "new@example.com",
        "admin": 0,
    }
    assert user.display_name == "DemoAccount"
    assert await is_alive(services, await log_in(services, "demoaccount", "rawPassword1"))


async def test_a_password_is_generated_where_none_is_sent(
    services: Services, admin: Caller
) -> None:
    view = await create(services, admin)
    assert await is_alive(services, await log_in(services, "demoaccount", view["password"]))


async def test_an_admin_makes_admins(services: Services, admin: Caller) -> None:
    view = await create(services, admin, password=PASSWORD, admin=True)
    assert view["admin"] == 1
    second = await log_in(services, "demoaccount")
    assert (await create(services, second, username="third", email="t@example.com"))["id"] == 3


async def test_a_display_name_may_be_chosen(services: Services, admin: Caller) -> None:
    await create(services, admin, display_name=" The  Demo ")
    assert (await account(services, "demoaccount")).display_name == "The Demo"


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"username": "no"}, InvalidUsername),
        ({"username": "alice"}, UsernameTaken),
        ({"username": "a1ice"}, UsernameTaken),
        ({"email": ""}, InvalidEmail),
        ({"email": "nobody"}, InvalidEmail),
        ({"email": "ALICE@example.com"}, EmailTaken),
        ({"password": "short"}, WeakPassword),
        ({"password": "demoAccount"}, WeakPassword),
        ({"password": "New@Example.com"}, WeakPassword),
        ({"display_name": ""}, InvalidInput),
    ],
)
async def test_an_invalid_member_creates_no_account(
    services: Services, admin: Caller, members: dict[str, Any], error: type[Exception]
) -> None:
    await sign_up(services, "alice")
    await update(services, admin, "alice", email="alice@example.com")
    with pytest.raises(error):
        await create(services, admin, **members)
    listed = await do(services, "admin.users.list", admin, status="all")
    assert len(listed["users"]) == 2


# ------------------------------------------------------------------------------------ get


async def test_an_account_is_shown_with_its_servers(services: Services, admin: Caller) -> None:
    user = await sign_up(services, "alice")
    await put_server(services, admin, SERVERS[1], "alice")
    await put_server(services, admin, SERVERS[0], "alice")
    await put_server(services, admin, SERVERS[2], "admin")
    shown = await get(services, admin, "alice")
    assert shown.view == {
        "id": user.number,
        "username": "alice",
        "email": None,
        "admin": 0,
        "servers": [SERVERS[1], SERVERS[0]],
    }


async def test_a_disabled_account_is_shown_as_such(services: Services, admin: Caller) -> None:
    await sign_up(services, "alice")
    await disable(services, admin, "alice")
    assert (await get(services, admin, "alice")).view["disabled"] == 1


async def test_an_account_is_found_by_uuid_in_any_case(services: Services, admin: Caller) -> None:
    user = await sign_up(services, "alice")
    for name in (user.uuid, user.uuid.upper()):
        shown = await do(services, "admin.users.get", admin, uuid=name)
        assert shown.view["username"] == "alice"


async def test_a_snowflake_is_no_uuid(services: Services, admin: Caller) -> None:
    user = await sign_up(services, "alice")
    for operation in ("admin.users.get", "admin.users.disable", "admin.keys.list"):
        with pytest.raises(UserNotFound):
            await do(services, operation, admin, uuid=str(user.id))


@pytest.mark.parametrize("uuid", [UNKNOWN, "", "alice", "1", "0", "x" * 36, "\x00", "9" * 30])
@pytest.mark.parametrize(
    "name",
    [
        "admin.users.get",
        "admin.users.update",
        "admin.users.disable",
        "admin.sessions.list",
        "admin.sessions.revoke",
        "admin.keys.list",
        "admin.keys.revoke",
    ],
)
async def test_an_account_that_is_not_there_is_not_found(
    services: Services, admin: Caller, name: str, uuid: str
) -> None:
    await sign_up(services, "alice")
    with pytest.raises(UserNotFound):
        await do(services, name, admin, uuid=uuid)


# --------------------------------------------------------------------------------- update


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({}, {}),
        ({"username": "ＡＬＩＣＩＡ"}, {"username": "alicia"}),
        ({"email": "Alice@Example.com"}, {"email": "Alice@example.com"}),
        ({"email": None}, {"email": None}),
        ({"admin": True}, {"admin": 1}),
        ({"disabled": True}, {"disabled": 1}),
        ({"disabled": False}, {}),
        (
            {"username": "alicia", "email": "other@example.com", "admin": True, "disabled": True},
            {"username": "alicia", "email": "other@example.com", "admin": 1, "disabled": 1},
        ),
    ],
)
async def test_any_subset_is_changed_and_the_rest_stays(
    services: Services, admin: Caller, members: dict[str, Any], shown: dict[str, Any]
) -> None:
    await sign_up(services, "alice")
    await update(services, admin, "alice", email="first@example.com")
    before = (await get(services, admin, "alice")).view
    await update(services, admin, "alice", **members)
    after = (await get(services, admin, shown.get("username", "alice"))).view
    assert after == {**before, **shown}


async def test_a_display_name_is_changed(services: Services, admin: Caller, alice: Caller) -> None:
    await update(services, admin, "alice", display_name=" The  Alice ")
    assert (await do(services, "users.self", alice))["display_name"] == "The Alice"


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"username": "no"}, InvalidUsername),
        ({"username": "bobby"}, UsernameTaken),
        ({"email": "nobody"}, InvalidEmail),
        ({"email": ""}, InvalidEmail),
        ({"email": "BOBBY@example.com"}, EmailTaken),
        ({"password": "short"}, WeakPassword),
        ({"password": "password1"}, WeakPassword),
        ({"display_name": ""}, InvalidInput),
    ],
)
async def test_a_change_that_breaks_a_rule_changes_nothing(
    services: Services,
    admin: Caller,
    alice: Caller,
    members: dict[str, Any],
    error: type[Exception],
) -> None:
    await sign_up(services, "bobby")
    await update(services, admin, "bobby", email="bobby@example.com")
    before = await account(services, "alice")
    good = {"username": "alicia", "email": "a@example.com", "password": NEW, "admin": True}
    with pytest.raises(error):
        await update(services, admin, "alice", **{**good, **members})
    assert await account(services, "alice") == before
    assert await is_alive(services, alice)


async def test_ones_own_address_in_another_case_is_no_conflict(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "alice")
    await update(services, admin, "alice", email="alice@example.com")
    await update(services, admin, "alice", email="ALICE@example.com")
    assert (await account(services, "alice")).email == "ALICE@example.com"


@pytest.mark.parametrize(
    ("members", "password"),
    [
        ({}, "longusername"),
        ({"username": "brandnewname"}, "BrandNewName"),
        ({"username": "ＢｒａｎｄＮｅｗＮａｍｅ"}, "brandnewname"),
        ({}, "First@example.com"),
        ({"email": "second@example.com"}, "Second@example.com"),
    ],
)
async def test_a_new_password_is_neither_the_name_nor_the_address_it_comes_with(
    services: Services, admin: Caller, members: dict[str, Any], password: str
) -> None:
    await sign_up(services, "longusername")
    await update(services, admin, "longusername", email="first@example.com")
    with pytest.raises(WeakPassword):
        await update(services, admin, "longusername", password=password, **members)


async def test_a_password_may_be_the_name_that_is_given_up(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "longusername")
    await update(services, admin, "longusername", username="other1", password="longusername")
    assert await is_alive(services, await log_in(services, "other1", "longusername"))


async def test_a_password_set_by_an_admin_ends_all_sessions_and_no_key(
    services: Services, admin: Caller, alice: Caller
) -> None:
    other, key = await log_in(services, "alice"), await with_key(services, alice)
    await update(services, admin, "alice", password=NEW)
    assert not await is_alive(services, alice)
    assert not await is_alive(services, other)
    assert await is_alive(services, key)
    assert await is_alive(services, await log_in(services, "alice", NEW))


async def test_an_admin_who_sets_the_own_password_keeps_the_current_session(
    services: Services, admin: Caller
) -> None:
    await update(services, admin, "admin", password=PASSWORD)
    acting, other = await log_in(services, "admin"), await log_in(services, "admin")
    await update(services, acting, "admin", password=NEW)
    assert await is_alive(services, acting)
    assert not await is_alive(services, other)


@pytest.mark.parametrize(
    "members",
    [{"email": "a@example.com"}, {"admin": True}, {"display_name": "A"}, {"username": "alicia"}],
)
async def test_any_other_change_ends_no_session(
    services: Services, admin: Caller, alice: Caller, members: dict[str, Any]
) -> None:
    await update(services, admin, "alice", **members)
    assert await is_alive(services, alice)


async def test_a_new_admin_acts_as_one_at_once(
    services: Services, admin: Caller, alice: Caller
) -> None:
    await update(services, admin, "alice", admin=True)
    assert (await get(services, alice, "alice")).view["admin"] == 1


# -------------------------------------------------------------------------------- disable


@pytest.mark.parametrize("by_update", [False, True])
async def test_disabling_ends_sessions_and_keys_for_good(
    services: Services, admin: Caller, alice: Caller, by_update: bool
) -> None:
    key = await with_key(services, alice)
    if by_update:
        await update(services, admin, "alice", disabled=True)
    else:
        await disable(services, admin, "alice")
    for _ in range(2):
        assert not await is_alive(services, alice)
        assert not await is_alive(services, key)
        await update(services, admin, "alice", disabled=False)
    assert await is_alive(services, await log_in(services, "alice"))


async def test_a_disabled_account_cannot_log_in_until_it_is_enabled(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "alice")
    await disable(services, admin, "alice")
    with pytest.raises(AccountDisabled):
        await log_in(services, "alice")
    await update(services, admin, "alice", disabled=False)
    assert await is_alive(services, await log_in(services, "alice"))


async def test_disabling_again_changes_nothing(services: Services, admin: Caller) -> None:
    await sign_up(services, "alice")
    await disable(services, admin, "alice")
    before = await account(services, "alice")
    await disable(services, admin, "alice")
    assert await account(services, "alice") == before


async def test_disabling_touches_no_other_account(
    services: Services, admin: Caller, alice: Caller, bobby: Caller
) -> None:
    await put_server(services, admin, SERVERS[0], "bobby")
    await disable(services, admin, "alice")
    assert await is_alive(services, bobby)
    assert await active_servers(services, admin) == {SERVERS[0]}


async def test_enabling_restores_just_the_servers_that_disabling_stopped(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "alice")
    await put_server(services, admin, SERVERS[0], "alice")
    await put_server(services, admin, SERVERS[1], "alice", active=False)
    await disable(services, admin, "alice")
    assert await active_servers(services, admin) == set()
    await update(services, admin, "alice", disabled=False)
    assert await active_servers(services, admin) == {SERVERS[0]}


async def test_disabling_twice_still_restores_the_servers(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "alice")
    await put_server(services, admin, SERVERS[0], "alice")
    for _ in range(2):
        await disable(services, admin, "alice")
    await update(services, admin, "alice", disabled=False)
    assert await active_servers(services, admin) == {SERVERS[0]}


async def test_a_disabled_account_can_be_changed(services: Services, admin: Caller) -> None:
    await sign_up(services, "alice")
    await disable(services, admin, "alice")
    await update(services, admin, "alice", username="alicia", password=NEW)
    with pytest.raises(AccountDisabled):
        await log_in(services, "alicia", NEW)


# ---------------------------------------------------------------------------- last admin


LOSSES = [{"admin": False}, {"disabled": True}, {"admin": False, "disabled": True}]


@pytest.mark.parametrize("loss", LOSSES)
async def test_the_last_admin_can_be_neither_disabled_nor_demoted(
    services: Services, admin: Caller, loss: dict[str, bool]
) -> None:
    await sign_up(services, "alice")
    before = await account(services, "admin")
    with pytest.raises(LastAdmin):
        await update(services, admin, "admin", **loss)
    with pytest.raises(LastAdmin):
        await disable(services, admin, "admin")
    assert await account(services, "admin") == before
    assert await is_alive(services, admin)


@pytest.mark.parametrize("loss", LOSSES)
async def test_one_of_two_admins_may_go_and_then_no_other(
    services: Services, admin: Caller, alice: Caller, loss: dict[str, bool]
) -> None:
    await update(services, admin, "alice", admin=True)
    await update(services, admin, "admin", **loss)
    with pytest.raises(LastAdmin):
        await update(services, alice, "alice", **loss)


async def test_a_disabled_admin_does_not_count(
    services: Services, admin: Caller, alice: Caller
) -> None:
    await update(services, admin, "alice", admin=True)
    await disable(services, admin, "alice")
    for loss in LOSSES:
        with pytest.raises(LastAdmin):
            await update(services, admin, "admin", **loss)


async def test_the_last_admin_may_change_everything_else(services: Services, admin: Caller) -> None:
    await update(services, admin, "admin", username="chief", email="c@example.com", password=NEW)
    assert (await account(services, "chief")).is_active_admin


async def test_a_demoted_admin_keeps_sessions_and_loses_privileges(
    services: Services, admin: Caller, alice: Caller
) -> None:
    await update(services, admin, "alice", admin=True)
    await update(services, alice, "alice", admin=False)
    assert await is_alive(services, alice)


# ---------------------------------------------------------------------------------- etags


@pytest.mark.parametrize(
    "members",
    [
        {"username": "alicia"},
        {"display_name": "Alicia"},
        {"email": "a@example.com"},
        {"email": "FIRST@example.com"},
        {"email": None},
        {"admin": True},
        {"password": NEW},
        {"disabled": True},
    ],
)
async def test_the_tag_changes_with_every_change_of_the_account(
    services: Services, admin: Caller, members: dict[str, Any]
) -> None:
    user = await sign_up(services, "alice")
    await update(services, admin, "alice", email="first@example.com")
    before = await do(services, "admin.users.get", admin, uuid=user.uuid)
    await update(services, admin, "alice", **members)
    after = await do(services, "admin.users.get", admin, uuid=user.uuid)
    assert before.etag != after.etag


async def test_the_tag_changes_with_what_the_holder_changes(
    services: Services, admin: Caller, alice: Caller
) -> None:
    tags = [await etag(services, admin, "alice")]
    await do(services, "users.update", alice, display_name="Alice A.")
    tags.append(await etag(services, admin, "alice"))
    await do(services, "users.password", alice, current=PASSWORD, password=NEW)
    tags.append(await etag(services, admin, "alice"))
    await do(services, "users.update", alice, username="alicia")
    tags.append(await etag(services, admin, "alicia"))
    assert len(set(tags)) == 4


async def test_the_tag_of_a_disabled_account_that_is_enabled_is_a_new_one(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "alice")
    tags = {await etag(services, admin, "alice")}
    for disabled in (True, False):
        await update(services, admin, "alice", disabled=disabled)
        tags.add(await etag(services, admin, "alice"))
    assert len(tags) == 3


async def test_the_tag_changes_with_every_change_of_the_servers(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "alice")
    tags = [await etag(services, admin, "alice")]
    for change in ({}, {"name": "New"}, {"active": False}):
        await put_server(services, admin, SERVERS[0], "alice", **change)
        tags.append(await etag(services, admin, "alice"))
    await do(services, "admin.servers.delete", admin, uuid=SERVERS[0])
    tags.append(await etag(services, admin, "alice"))
    assert len(set(tags)) == 5


async def test_a_server_that_moves_changes_the_tags_of_both_owners(
    services: Services, admin: Caller, alice: Caller, bobby: Caller
) -> None:
    await put_server(services, admin, SERVERS[0], "alice")
    before = [await etag(services, admin, name) for name in ("alice", "bobby", "admin")]
    await put_server(services, admin, SERVERS[0], "bobby")
    after = [await etag(services, admin, name) for name in ("alice", "bobby", "admin")]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]


async def test_the_tag_does_not_change_with_what_is_no_change(
    services: Services, admin: Caller, alice: Caller
) -> None:
    before = await etag(services, admin, "alice")
    await do(services, "users.presence", alice, presence="ONLINE")
    await do(services, "users.update", alice, username="ALICE", display_name="alice")
    await update(services, admin, "alice", username="alice", email=None, admin=False)
    await do(services, "users.logout", await log_in(services, "alice"))
    await with_key(services, alice)
    await as_user(services, "bobby")
    assert await etag(services, admin, "alice") == before


async def test_two_accounts_have_not_one_tag(services: Services, admin: Caller) -> None:
    for name in ("alice", "bobby"):
        await sign_up(services, name)
    tags = {await etag(services, admin, name) for name in ("alice", "bobby", "admin")}
    assert len(tags) == 3


async def test_a_change_with_the_present_tag_is_made(services: Services, admin: Caller) -> None:
    await sign_up(services, "alice")
    tag = await etag(services, admin, "alice")
    await update(services, admin, "alice", display_name="A", if_match=f'"0-0", {tag}')
    await update(services, admin, "alice", display_name="B", if_match="*")
    assert (await account(services, "alice")).display_name == "B"


async def test_a_change_with_an_old_tag_is_not_made(
    services: Services, admin: Caller, alice: Caller
) -> None:
    tag = await etag(services, admin, "alice")
    await do(services, "users.update", alice, display_name="Mine")
    members = {"password": NEW, "disabled": True, "username": "alicia", "if_match": tag}
    with pytest.raises(PreconditionFailed):
        await update(services, admin, "alice", **members)
    assert (await account(services, "alice")).display_name == "Mine"
    assert await is_alive(services, alice)
