"""Names left by renaming are held back, and a name never conflicts with its owner."""

from datetime import timedelta

import pytest

from app.domain.errors import InvalidUsername, RateLimited, UsernameTaken
from app.domain.rate_limits import RENAMES_MAX
from app.domain.rules import Rules
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.ports import FakeClock
from tests.fakes.services import account, as_user, do, log_in, make_services, sign_up

pytestmark = pytest.mark.anyio

HOLD = timedelta(days=30)
A_SECOND = timedelta(seconds=1)


async def rename(services: Services, caller: Caller, username: str) -> str:
    """The account's new name."""
    view = await do(services, "users.update", caller, username=username)
    name: str = view["username"]
    return name


async def rename_as_admin(services: Services, whose: str, username: str) -> None:
    uuid = (await account(services, whose)).uuid
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, username=username)


@pytest.fixture
async def demo(services: Services) -> Caller:
    """A user called `demo1`."""
    return await as_user(services, "demo1")


# ------------------------------------------------------------------------------- held back


@pytest.mark.parametrize("wanted", ["demo1", "DEMO1", "demol"])
async def test_a_name_left_and_what_looks_like_it_is_held_back_for_30_days(
    services: Services, demo: Caller, clock: FakeClock, wanted: str
) -> None:
    await rename(services, demo, "other1")
    clock.turn(HOLD - A_SECOND)
    with pytest.raises(UsernameTaken):
        await sign_up(services, wanted)
    clock.turn(A_SECOND)
    assert (await sign_up(services, wanted)).username == wanted.lower()


async def test_a_held_name_cannot_be_had_by_renaming_either(
    services: Services, demo: Caller, clock: FakeClock
) -> None:
    await rename(services, demo, "other1")
    clock.turn(HOLD - A_SECOND)
    bobby = await as_user(services, "bobby")
    with pytest.raises(UsernameTaken):
        await rename(services, bobby, "demol")
    clock.turn(A_SECOND)
    assert await rename(services, bobby, "demol") == "demol"


async def test_names_are_held_as_long_as_configured(clock: FakeClock) -> None:
    services = make_services(clock=clock, rules=Rules(name_hold=timedelta(days=2)))
    await rename(services, await as_user(services, "demo1"), "other1")
    clock.turn(timedelta(days=2) - A_SECOND)
    with pytest.raises(UsernameTaken):
        await sign_up(services, "demo1")
    clock.turn(A_SECOND)
    await sign_up(services, "demo1")


async def test_names_are_not_held_where_no_days_are_configured() -> None:
    services = make_services(rules=Rules(name_hold=timedelta(0)))
    await rename(services, await as_user(services, "demo1"), "other1")
    assert (await sign_up(services, "demo1")).username == "demo1"


async def test_a_rename_by_an_admin_holds_the_old_name_back_too(
    services: Services, demo: Caller
) -> None:
    await rename_as_admin(services, "demo1", "other1")
    with pytest.raises(UsernameTaken):
        await sign_up(services, "demo1")
    assert await rename(services, demo, "demo1") == "demo1"


async def test_the_old_owner_may_return_at_any_time(services: Services, demo: Caller) -> None:
    for name in ("other1", "demo1", "other1", "third1", "demo1"):
        assert await rename(services, demo, name) == name


async def test_a_name_returned_to_is_no_longer_about_to_become_free(
    services: Services, demo: Caller, clock: FakeClock
) -> None:
    await rename(services, demo, "other1")
    await rename(services, demo, "demo1")
    clock.turn(HOLD + A_SECOND)
    with pytest.raises(UsernameTaken):
        await sign_up(services, "demo1")
    assert (await sign_up(services, "other1")).username == "other1"


async def test_a_name_that_another_has_meanwhile_does_not_come_back(
    services: Services, demo: Caller, clock: FakeClock
) -> None:
    await rename(services, demo, "other1")
    clock.turn(HOLD)
    await sign_up(services, "demo1")
    with pytest.raises(UsernameTaken):
        await rename(services, await log_in(services, "other1"), "demo1")


async def test_an_admin_gives_out_a_name_that_is_held_back(
    services: Services, demo: Caller
) -> None:
    await rename(services, demo, "other1")
    members = {"username": "demol", "email": "d@example.com"}
    await do(services, "admin.users.create", OPERATOR_CALLER, **members)
    with pytest.raises(UsernameTaken):
        await rename(services, demo, "demo1")


async def test_an_admin_renames_to_a_name_that_is_held_back(
    services: Services, demo: Caller, bobby: Caller
) -> None:
    await rename(services, demo, "other1")
    await rename_as_admin(services, "bobby", "demo1")
    assert (await do(services, "users.self", bobby))["username"] == "demo1"


@pytest.mark.parametrize("username", ["other1", "otherl"])
async def test_an_admin_cannot_give_out_a_name_in_use(
    services: Services, demo: Caller, bobby: Caller, username: str
) -> None:
    await rename(services, demo, "other1")
    with pytest.raises(UsernameTaken):
        await rename_as_admin(services, "bobby", username)
    members = {"username": username, "email": "d@example.com"}
    with pytest.raises(UsernameTaken):
        await do(services, "admin.users.create", OPERATOR_CALLER, **members)


async def test_a_disabled_account_keeps_its_name(
    services: Services, demo: Caller, clock: FakeClock
) -> None:
    uuid = (await account(services, "demo1")).uuid
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=uuid)
    clock.turn(HOLD * 10)
    for name in ("demo1", "demol"):
        with pytest.raises(UsernameTaken):
            await sign_up(services, name)


async def test_a_rename_that_fails_holds_nothing_back(
    services: Services, demo: Caller, bobby: Caller, clock: FakeClock
) -> None:
    with pytest.raises(UsernameTaken):
        await rename(services, demo, "bobby")
    clock.turn(HOLD * 2)
    with pytest.raises(UsernameTaken):
        await sign_up(services, "demo1")


# ----------------------------------------------------------------------------- bounded


@pytest.fixture
async def restless(services: Services, clock: FakeClock) -> Caller:
    """A user who has used up the renames of today."""
    caller = await as_user(services, "start")
    clock.turn(-RENAMES_MAX * A_SECOND)
    for number in range(RENAMES_MAX):
        clock.turn(A_SECOND)
        await rename(services, caller, f"name_{number}x")
    return caller


async def test_an_account_renames_itself_five_times_a_day(
    services: Services, restless: Caller, clock: FakeClock
) -> None:
    with pytest.raises(RateLimited) as refusal:
        await rename(services, restless, "once_more")
    assert refusal.value.retry_after == 24 * 60 * 60 - 4
    assert (await do(services, "users.self", restless))["username"] == "name_4x"
    clock.turn(timedelta(days=1) - 5 * A_SECOND)
    with pytest.raises(RateLimited):
        await rename(services, restless, "once_more")
    clock.turn(A_SECOND)
    assert await rename(services, restless, "once_more") == "once_more"


async def test_the_day_slides(services: Services, clock: FakeClock) -> None:
    demo = await as_user(services, "start")
    for number in range(RENAMES_MAX):
        await rename(services, demo, f"name_{number}x")
        clock.turn(timedelta(hours=4))
    with pytest.raises(RateLimited):
        await rename(services, demo, "once_more")
    clock.turn(timedelta(hours=4))
    await rename(services, demo, "once_more")
    with pytest.raises(RateLimited):
        await rename(services, demo, "and_again")


async def test_requests_that_do_not_rename_are_not_counted(
    services: Services, demo: Caller
) -> None:
    await as_user(services, "taken")
    for _ in range(2 * RENAMES_MAX):
        await rename(services, demo, "demo1")
        await do(services, "users.update", demo, display_name="Demo")
        with pytest.raises(UsernameTaken):
            await rename(services, demo, "taken")
    assert await rename(services, demo, "other1") == "other1"


async def test_renames_by_an_admin_are_not_counted(services: Services, restless: Caller) -> None:
    await rename_as_admin(services, "name_4x", "by_admin")
    assert (await do(services, "users.self", restless))["username"] == "by_admin"


async def test_renames_are_not_counted_where_nothing_is(clock: FakeClock) -> None:
    services = make_services(clock=clock, rules=Rules(rate_limits=False))
    demo = await as_user(services, "start")
    for number in range(2 * RENAMES_MAX):
        await rename(services, demo, f"name_{number}x")


async def test_an_account_holds_back_three_former_names(
    services: Services, restless: Caller
) -> None:
    """Of five it left, the first two are free again."""
    names = ["start", "name_0x", "name_1x", "name_2x", "name_3x", "name_4x"]
    free = [name for name in names if not await do(services, "users.check", username=name)]
    assert free == ["start", "name_0x"]


async def test_a_rename_by_an_admin_releases_the_oldest_too(
    services: Services, clock: FakeClock
) -> None:
    await sign_up(services, "start")
    before = "start"
    for number in range(5):
        clock.turn(A_SECOND)
        await rename_as_admin(services, before, before := f"name_{number}x")
    assert not await do(services, "users.check", username="name_0x")
    assert await do(services, "users.check", username="name_1x")


# ------------------------------------------------------------------------------ with itself


@pytest.mark.parametrize("username", ["demo1", "DEMO1", "ＤｅＭｏ1"])
async def test_ones_own_name_in_another_form_changes_nothing(
    services: Services, demo: Caller, username: str
) -> None:
    before = await account(services, "demo1")
    assert await rename(services, demo, username) == "demo1"
    assert await account(services, "demo1") == before


async def test_a_name_that_looks_like_ones_own_is_free_for_oneself(
    services: Services, demo: Caller, clock: FakeClock
) -> None:
    assert await rename(services, demo, "demol") == "demol"
    clock.turn(HOLD * 2)
    for name in ("demo1", "demol"):
        with pytest.raises(UsernameTaken):
            await sign_up(services, name)


# -------------------------------------------------------------------------- reserved names


async def test_no_user_takes_a_reserved_name(services: Services, demo: Caller) -> None:
    for name in ("support", "rnoderator", "ＲＯＯＴ"):
        with pytest.raises(InvalidUsername):
            await rename(services, demo, name)


async def test_an_admin_gives_out_reserved_names(services: Services, demo: Caller) -> None:
    members = {"username": "moderator", "email": "m@example.com"}
    await do(services, "admin.users.create", OPERATOR_CALLER, **members)
    await rename_as_admin(services, "demo1", "support")
    assert (await do(services, "users.self", demo))["username"] == "support"


async def test_a_user_with_a_reserved_name_may_send_it_again(
    services: Services, demo: Caller
) -> None:
    await rename_as_admin(services, "demo1", "support")
    view = await do(services, "users.update", demo, username="support", display_name="Help")
    assert (view["username"], view["display_name"]) == ("support", "Help")
