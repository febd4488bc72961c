"""Operations of users on their own accounts: profile, changes, presence, guilds."""

from typing import Any

import pytest

from app.domain.errors import InvalidInput, InvalidPresence, InvalidUsername, UsernameTaken
from app.domain.presence import Presence
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.services import account, do, log_in, sign_up, with_key

pytestmark = pytest.mark.anyio


async def update(services: Services, caller: Caller, **members: Any) -> Any:
    return await do(services, "users.update", caller, **members)


# ----------------------------------------------------------------------------------- look


async def test_self_is_the_chats_view_of_the_holder(services: Services, alice: Caller) -> None:
    user = await account(services, "alice")
    view = await do(services, "users.self", alice)
    assert view == {
        "id": str(user.id),
        "username": "alice",
        "display_name": "alice",
        "presence": None,
    }


async def test_a_key_sees_the_same_as_a_token(services: Services, alice: Caller) -> None:
    key = await with_key(services, alice)
    assert await do(services, "users.self", key) == await do(services, "users.self", alice)


# --------------------------------------------------------------------------------- change


async def test_an_omitted_member_stays_unchanged(services: Services, alice: Caller) -> None:
    before = await account(services, "alice")
    view = await update(services, alice)
    assert view["username"] == "alice"
    assert await account(services, "alice") == before


async def test_a_display_name_is_changed_alone(services: Services, alice: Caller) -> None:
    view = await update(services, alice, display_name="  Ａlice  Ω ")
    assert (view["display_name"], view["username"]) == ("Alice Ω", "alice")
    assert await do(services, "users.self", alice) == view


async def test_a_username_is_changed_alone(services: Services, alice: Caller) -> None:
    view = await update(services, alice, username="ＡＬＩＣＩＡ")
    assert (view["display_name"], view["username"]) == ("alice", "alicia")
    assert await do(services, "users.self", alice) == view


async def test_both_names_are_changed_at_once(services: Services, alice: Caller) -> None:
    view = await update(services, alice, username="alicia", display_name="Alicia")
    assert (view["display_name"], view["username"]) == ("Alicia", "alicia")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"username": "no"}, InvalidUsername),
        ({"username": "root"}, InvalidUsername),
        ({"username": "rnoderator"}, InvalidUsername),
        ({"username": "bobby"}, UsernameTaken),
        ({"username": "ＢＯＢＢＹ"}, UsernameTaken),
        ({"display_name": ""}, InvalidInput),
        ({"display_name": "x" * 33}, InvalidInput),
    ],
)
async def test_a_change_that_breaks_a_rule_changes_nothing(
    services: Services, alice: Caller, members: dict[str, str], error: type[Exception]
) -> None:
    await sign_up(services, "bobby")
    before = await account(services, "alice")
    with pytest.raises(error):
        await update(services, alice, **{"username": "alicia", "display_name": "New", **members})
    assert await account(services, "alice") == before
    assert not await do(services, "users.check", username="alicia")


async def test_a_name_in_use_is_refused_by_its_mapped_form(
    services: Services, alice: Caller
) -> None:
    await sign_up(services, "demo1")
    with pytest.raises(UsernameTaken, match="User with username demo1 already exists"):
        await update(services, alice, username="ＤＥＭＯ1")
    # A name that only looks like it is named as such, and does not reveal the other one.
    with pytest.raises(UsernameTaken) as refusal:
        await update(services, alice, username="ＤＥＭＯＬ")
    assert refusal.value.detail == "The username demol is too similar to an existing one"


async def test_sessions_and_keys_survive_a_change(services: Services, alice: Caller) -> None:
    key = await with_key(services, alice)
    await update(services, alice, username="alicia", display_name="Alicia")
    for caller in (alice, key):
        assert (await do(services, "users.self", caller))["username"] == "alicia"


async def test_a_change_touches_no_other_account(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    before = await account(services, "bobby")
    await update(services, alice, username="alicia", display_name="Bobby")
    assert await account(services, "bobby") == before


# ------------------------------------------------------------------------------- presence


@pytest.mark.parametrize("presence", Presence)
async def test_a_presence_that_was_set_is_in_force(
    services: Services, alice: Caller, presence: Presence
) -> None:
    assert await do(services, "users.presence", alice) is None
    assert await do(services, "users.presence", alice, presence=presence.value) == presence
    assert await do(services, "users.presence", alice) == presence
    for view in (
        await do(services, "users.self", alice),
        await update(services, alice, display_name="Alice"),
    ):
        assert view["presence"] == presence


@pytest.mark.parametrize("presence", ["", "online", "AWAY"])
async def test_no_other_presence_is_set(services: Services, alice: Caller, presence: str) -> None:
    await do(services, "users.presence", alice, presence="IDLE")
    with pytest.raises(InvalidPresence):
        await do(services, "users.presence", alice, presence=presence)
    assert await do(services, "users.presence", alice) == "IDLE"


async def test_users_set_their_own_presence(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    await do(services, "users.presence", alice, presence="DND")
    assert await do(services, "users.presence", bobby) is None


async def test_a_disabled_account_comes_back_without_a_presence(
    services: Services, alice: Caller
) -> None:
    await do(services, "users.presence", alice, presence="ONLINE")
    uuid = (await account(services, "alice")).uuid
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=uuid)
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, disabled=False)
    assert await do(services, "users.presence", await log_in(services, "alice")) is None


# --------------------------------------------------------------------------------- guilds


async def test_guilds_are_those_owned_and_those_joined(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    owner, member = [str((await account(services, name)).id) for name in ("alice", "bobby")]
    for guild, owner_id in (("30", owner), ("4", member), ("5", owner)):
        members = {"id": guild, "name": f"Guild {guild}", "owner_id": owner_id}
        await do(services, "admin.guilds.put", OPERATOR_CALLER, **members)
    await do(services, "admin.guilds.members.put", OPERATOR_CALLER, id="30", user=member)
    assert await do(services, "users.guilds", bobby) == [
        {"id": "4", "name": "Guild 4", "owner_id": member, "icon": None},
        {"id": "30", "name": "Guild 30", "owner_id": owner, "icon": None},
    ]
    assert [guild["id"] for guild in await do(services, "users.guilds", alice)] == ["5", "30"]
