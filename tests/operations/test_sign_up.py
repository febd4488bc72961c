"""Registering, and asking whether a name is taken."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import (
    InvalidInput,
    InvalidUsername,
    RegistrationClosed,
    UsernameTaken,
    WeakPassword,
)
from app.domain.names import ReservedNames
from app.domain.rules import Rules
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.ports import FakeClock
from tests.fakes.services import (
    PASSWORD,
    account,
    as_user,
    do,
    log_in,
    make_services,
    sign_up,
)

pytestmark = pytest.mark.anyio


async def create(services: Services, username: str, **members: Any) -> Any:
    return await do(
        services, "users.create", username=username, **{"password": PASSWORD, **members}
    )


async def check(services: Services, username: str) -> bool:
    answer: bool = await do(services, "users.check", username=username)
    return answer


# --------------------------------------------------------------------------------- create


async def test_a_sign_up_returns_the_account(services: Services) -> None:
    view = await create(services, "ＤｅＭｏ1")
    user = await account(services, "demo1")
    assert view == {
        "id": str(user.id),
        "username": "demo1",
        "display_name": "DeMo1",
        "presence": None,
    }


async def test_a_new_user_is_active_and_has_no_email(services: Services) -> None:
    user = await sign_up(services, "demo1")
    assert (user.number, user.admin, user.disabled, user.email) == (1, False, False, None)


async def test_a_new_user_can_log_in(services: Services) -> None:
    await create(services, "demo1")
    caller = await log_in(services, "demo1")
    assert (await do(services, "users.self", caller))["username"] == "demo1"


async def test_a_display_name_may_be_chosen(services: Services) -> None:
    view = await create(services, "demo1", display_name="  The  Ｄemo ")
    assert view["display_name"] == "The Demo"


async def test_the_password_is_stored_as_a_hash_of_its_prepared_form(services: Services) -> None:
    await create(services, "demo1", password="cafe\u0301 au lait")
    await log_in(services, "demo1", "caf\u00e9 au lait")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"username": "no"}, InvalidUsername),
        ({"username": "ab cd"}, InvalidUsername),
        ({"username": "admin"}, InvalidUsername),
        ({"username": "rnoderator"}, InvalidUsername),
        ({"password": "short"}, WeakPassword),
        ({"password": "password1"}, WeakPassword),
        ({"username": "longusername", "password": "LongUsername"}, WeakPassword),
        ({"display_name": ""}, InvalidInput),
        ({"display_name": "x" * 33}, InvalidInput),
    ],
)
async def test_an_invalid_member_creates_no_account(
    services: Services, members: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await create(services, **{"username": "demo1", **members})
    assert (await sign_up(services, "first")).number == 1


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("demo1", "demo1"), ("DEMO1", "demo1"), ("ＤｅＭｏ1", "demo1")],
)
async def test_a_taken_name_is_refused_by_its_mapped_form(
    services: Services, typed: str, shown: str
) -> None:
    await sign_up(services, "demo1")
    with pytest.raises(UsernameTaken) as refusal:
        await create(services, typed)
    assert refusal.value.detail == f"User with username {shown} already exists"


async def detail_of(attempt: Awaitable[object]) -> str:
    with pytest.raises(UsernameTaken) as refusal:
        await attempt
    return refusal.value.detail


async def test_only_admins_see_which_name_looks_like_the_one_they_want(
    services: Services, admin: Caller
) -> None:
    demo = await as_user(services, "demo1")
    similar = "The username demol is too similar to an existing one"
    assert await detail_of(create(services, "ＤＥＭＯＬ")) == similar
    members = {"username": "demol", "email": "demol@example.com"}
    made = do(services, "admin.users.create", admin, **members)
    assert await detail_of(made) == f"{similar}: demo1"
    renamed = do(services, "users.update", admin, username="demol")
    assert await detail_of(renamed) == f"{similar}: demo1"
    # A former name is stored as its skeleton only, and is not shown.
    await do(services, "users.update", demo, username="another")
    assert await detail_of(create(services, "demol")) == "User with username demol already exists"


async def test_a_sign_up_that_fails_leaves_no_claim(services: Services) -> None:
    await sign_up(services, "demo1")
    with pytest.raises(UsernameTaken):
        await create(services, "demol")
    assert (await sign_up(services, "other")).username == "other"


async def test_a_configured_name_is_reserved(services: Services) -> None:
    closed = make_services(rules=Rules(reserved_names=ReservedNames.from_config(["staff"])))
    for name in ("staff", "STAFF", "root"):
        with pytest.raises(InvalidUsername):
            await create(closed, name)
    await create(services, "staff")


async def test_a_closed_registration_refuses_every_sign_up() -> None:
    closed = make_services(rules=Rules(registration_open=False))
    with pytest.raises(RegistrationClosed):
        await create(closed, "demo1")


async def test_closed_registration_says_nothing_else() -> None:
    closed = make_services(rules=Rules(registration_open=False))
    for name in ("no", "admin"):
        with pytest.raises(RegistrationClosed):
            await create(closed, name, password="")


async def test_an_admin_makes_accounts_where_registration_is_closed() -> None:
    closed = make_services(rules=Rules(registration_open=False))
    await do(closed, "admin.users.create", OPERATOR_CALLER, username="demo1", email="d@example.com")
    assert (await account(closed, "demo1")).email == "d@example.com"


# ---------------------------------------------------------------------------------- check


async def full_house(services: Services, clock: FakeClock) -> None:
    """A user of each kind: active, renamed long ago, renamed just now, disabled."""
    await sign_up(services, "demo1")
    await sign_up(services, "张三李四")
    long_ago = await as_user(services, "longago")
    await do(services, "users.update", long_ago, username="longago2")
    clock.turn(timedelta(days=30, seconds=1))
    just_now = await as_user(services, "justnow")
    await do(services, "users.update", just_now, username="justnow2")
    gone = await sign_up(services, "disabled1")
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=gone.uuid)


TAKEN = [
    "demo1",
    "DEMO1",
    "ＤｅＭｏ1",
    "demol",
    "张三李四",
    "longago2",
    "justnow",
    "JustNow",
    "justnow2",
    "disabled1",
    "disabledl",
]
FREE = ["longago", "nobody", "demo2", "de.mo1", "张三李五"]
IMPOSSIBLE = [
    "",
    "no",
    "ab cd",
    "x" * 17,
    "admin",
    "ADMIN",
    "rnoderator",
    "_demo1",
    "d\u0435mo1",
    "a\x00bc",
]


@pytest.mark.parametrize("username", [*TAKEN, *FREE, *IMPOSSIBLE], ids=ascii)
async def test_check_is_true_exactly_where_create_says_taken(
    services: Services, clock: FakeClock, username: str
) -> None:
    await full_house(services, clock)
    answer = await check(services, username)
    assert answer is (username in TAKEN)
    try:
        await create(services, username)
    except UsernameTaken:
        assert answer
    except InvalidUsername:
        assert username in IMPOSSIBLE
    else:
        assert username in FREE
        assert await check(services, username)


async def test_a_reserved_name_is_taken_exactly_if_it_is_in_use_or_held(
    services: Services, admin: Caller, clock: FakeClock
) -> None:
    """Here, too, the check is true exactly where a registration answers `username-taken`."""

    async def is_taken(username: str) -> bool:
        answer = bool(await check(services, username))
        with pytest.raises(UsernameTaken if answer else InvalidUsername):
            await create(services, username)
        return answer

    assert not await is_taken("support")
    members = {"username": "support", "email": "s@example.com", "password": PASSWORD}
    await do(services, "admin.users.create", admin, **members)
    assert await is_taken("support")
    assert await is_taken("admin")
    assert await is_taken("adrnin")
    assert await detail_of(create(services, "admin")) == "User with username admin already exists"
    similar = "The username adrnin is too similar to an existing one"
    assert await detail_of(create(services, "adrnin")) == similar
    supporter = await log_in(services, "support")
    await do(services, "users.update", supporter, username="former")
    assert await is_taken("support")
    clock.turn(timedelta(days=31))
    assert not await is_taken("support")


async def test_check_is_true_for_ones_own_name(services: Services, alice: Caller) -> None:
    assert await do(services, "users.check", alice, username="alice")
