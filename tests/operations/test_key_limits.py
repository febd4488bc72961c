"""Operations with a limited access key."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.credentials import Origin
from app.domain.errors import (
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    Unauthenticated,
    UsernameTaken,
    WrongPassword,
)
from app.operations.credentials import CreateKey
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER, create_key_for
from tests.fakes.ports import START, FakeClock
from tests.fakes.services import PASSWORD, account, as_user, do, log_in, with_key

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.7"
NETWORKS = ["192.0.2.0/24", "2001:db8::/32"]
# Each limit, and a way to ask for more.
LIMITS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "scope": ({"scope": "self"}, [{"scope": "admin"}, {"scope": "read"}]),
    "expires_at": (
        {"expires_at": "2026-01-02T00:00:00Z"},
        [{"expires_at": "2026-01-03T00:00:00Z"}],
    ),
    "networks": (
        {"networks": NETWORKS},
        [{"networks": ["192.0.0.0/16"]}, {"networks": ["192.0.2.1", OUTSIDE]}],
    ),
}


def at(caller: Caller, address: str | None) -> Caller:
    """The same credential from an address."""
    return Caller(caller.credential, Origin(address))


async def who(services: Services, caller: Caller) -> str:
    return str((await do(services, "users.self", caller))["username"])


@pytest.fixture
async def boss(services: Services, admin: Caller) -> Caller:
    """An admin with a token and a password."""
    caller = await as_user(services, "boss")
    uuid = (await account(services, "boss")).uuid
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, admin=True)
    return caller


# ----------------------------------------------------------------------------- networks


@pytest.mark.parametrize("address", [INSIDE, "::ffff:192.0.2.7", "2001:db8::1"])
async def test_inside_its_networks_a_key_is_any_key(
    services: Services, alice: Caller, address: str
) -> None:
    key = await with_key(services, alice, networks=NETWORKS)
    assert await who(services, at(key, address)) == "alice"
    await do(services, "users.update", at(key, address), display_name="Alice")


@pytest.mark.parametrize("address", [OUTSIDE, "2001:db9::1", "::1", "testclient", "", None])
async def test_outside_them_it_is_no_key_at_all(
    services: Services, alice: Caller, address: str | None
) -> None:
    key = await with_key(services, alice, networks=NETWORKS)
    refusals = set()
    for caller in (at(key, address), Caller("ZZZZ9999-abcd-1234-EFGH-00000001")):
        with pytest.raises(Unauthenticated) as refusal:
            await who(services, caller)
        refusals.add(refusal.value.detail)
    assert len(refusals) == 1


async def test_a_try_from_outside_is_no_use(services: Services, alice: Caller) -> None:
    key = await with_key(services, alice, networks=NETWORKS)
    with pytest.raises(Unauthenticated):
        await who(services, at(key, OUTSIDE))
    (view,) = await do(services, "keys.list", alice)
    assert view["last_used_at"] is None


async def test_a_token_is_bound_to_no_network(services: Services, alice: Caller) -> None:
    for address in (INSIDE, OUTSIDE, None):
        assert await who(services, at(alice, address)) == "alice"


# ------------------------------------------------------------------------------- scopes


async def test_a_read_key_reads_what_its_owner_may(services: Services, boss: Caller) -> None:
    key = await with_key(services, boss, scope="read")
    uuid = (await account(services, "boss")).uuid
    for name, members in (
        ("users.self", {}),
        ("users.presence", {}),
        ("keys.list", {}),
        ("admin.users.list", {}),
        ("admin.users.get", {"uuid": uuid}),
    ):
        await do(services, name, key, **members)


async def test_a_read_key_changes_nothing_not_even_with_the_password(
    services: Services, boss: Caller
) -> None:
    key = await with_key(services, boss, scope="read")
    for name, members in (
        ("users.presence", {"presence": "DND"}),
        ("users.password", {"current": PASSWORD, "password": "another password"}),
        # A wrong one is refused in the same way: it is no way to try passwords, either.
        ("users.password", {"current": "wrong", "password": "another password"}),
        ("keys.create", {"name": "key", "scope": "read"}),
        ("admin.users.create", {"username": "newcomer", "email": "a@example.com"}),
    ):
        with pytest.raises(Forbidden, match="read"):
            await do(services, name, key, **members)


async def test_a_self_key_of_an_admin_is_no_admin(services: Services, boss: Caller) -> None:
    key = await with_key(services, boss, scope="self")
    await do(services, "users.update", key, display_name="Boss")
    with pytest.raises(Forbidden, match="Admin"):
        await do(services, "admin.users.list", key)


async def test_a_self_key_does_not_take_a_name_that_is_held_back(
    services: Services, boss: Caller, alice: Caller
) -> None:
    await do(services, "users.update", alice, username="alicia")
    key = await with_key(services, boss, scope="self")
    with pytest.raises(UsernameTaken):
        await do(services, "users.update", key, username="alice")
    await do(services, "users.update", boss, username="alice")


async def test_a_self_key_sets_no_password_without_the_one_in_force(
    services: Services, alice: Caller
) -> None:
    key = await with_key(services, alice, scope="self")
    with pytest.raises(WrongPassword):
        await do(services, "users.password", key, current="guess", password="another password")
    with pytest.raises(InvalidCredentials):
        await log_in(services, "alice", "another password")


async def test_a_self_key_sets_none_where_there_is_none_yet(
    services: Services, admin: Caller
) -> None:
    """The first admin has no password."""
    key = await with_key(services, admin, scope="self")
    for current in ("", "None", PASSWORD):
        with pytest.raises(WrongPassword):
            await do(services, "users.password", key, current=current, password="another password")


@pytest.mark.parametrize("scope", ["admin", "read"])
async def test_a_key_is_no_more_than_its_owner_is_now(
    services: Services, boss: Caller, scope: str, admin: Caller
) -> None:
    key = await with_key(services, boss, scope=scope)
    await do(services, "admin.users.list", key)
    uuid = (await account(services, "boss")).uuid
    await do(services, "admin.users.update", admin, uuid=uuid, admin=False)
    with pytest.raises(Forbidden):
        await do(services, "admin.users.list", key)
    assert await who(services, key) == "boss"


# ----------------------------------------------------------------- keys made with a key


@pytest.mark.parametrize(("limit", "more"), LIMITS.values(), ids=LIMITS.keys())
async def test_a_key_makes_no_key_that_is_more(
    services: Services, alice: Caller, limit: dict[str, Any], more: list[dict[str, Any]]
) -> None:
    (member,) = limit
    key = at(await with_key(services, alice, **limit), INSIDE)
    for asked in more:
        with pytest.raises(Forbidden, match=member):
            await do(services, "keys.create", key, name="more", **asked)
    assert [view["name"] for view in await do(services, "keys.list", alice)] == ["test"]


async def test_a_new_key_inherits_the_limits_of_its_maker(
    services: Services, alice: Caller
) -> None:
    ends = START + HOUR
    limits = {"scope": "self", "expires_at": ends.isoformat(), "networks": NETWORKS}
    key = at(await with_key(services, alice, **limits), INSIDE)
    made = await do(services, "keys.create", key, name="child")
    assert (made["scope"], made["expires_at"], made["networks"]) == ("self", ends, NETWORKS)


async def test_the_child_of_a_child_is_bound_as_well(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    ends = (START + HOUR).isoformat()
    key = at(
        await with_key(services, alice, scope="self", expires_at=ends, networks=NETWORKS), INSIDE
    )
    for _ in range(3):
        key = at(await with_key(services, key), INSIDE)
    assert await who(services, key) == "alice"
    with pytest.raises(Unauthenticated):
        await who(services, at(key, OUTSIDE))
    clock.turn(HOUR)
    with pytest.raises(Unauthenticated):
        await who(services, key)


async def test_a_key_makes_keys_that_are_less(services: Services, alice: Caller) -> None:
    key = at(await with_key(services, alice, networks=NETWORKS), INSIDE)
    less = {
        "scope": "read",
        "networks": ["192.0.2.128/25"],
        "expires_at": (START + HOUR).isoformat(),
    }
    made = await do(services, "keys.create", key, name="less", **less)
    assert (made["scope"], made["networks"]) == ("read", ["192.0.2.128/25"])


async def test_a_key_whose_owner_became_an_admin_is_still_bound_by_its_scope(
    services: Services, alice: Caller, admin: Caller
) -> None:
    key = await with_key(services, alice, scope="self")
    uuid = (await account(services, "alice")).uuid
    await do(services, "admin.users.update", admin, uuid=uuid, admin=True)
    with pytest.raises(Forbidden):
        await do(services, "admin.users.list", key)


@pytest.mark.parametrize(
    ("members", "field_error"),
    [
        ({"scope": "write"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"networks": []}, "networks"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"networks": ["everywhere"]}, "networks"),
        ({"networks": ["::/0"] * 17}, "networks"),
    ],
)
async def test_a_limit_that_cannot_be_read_makes_no_key(
    services: Services, alice: Caller, members: dict[str, Any], field_error: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await do(services, "keys.create", alice, name="key", **members)
    assert [field_error.name for field_error in refusal.value.field_errors] == [field_error]
    assert await do(services, "keys.list", alice) == []


async def test_the_operator_makes_limited_keys(services: Services, alice: Caller) -> None:
    made = await create_key_for(
        services, "alice", CreateKey("key", scope="read", networks=NETWORKS)
    )
    key = Caller(made["key"], Origin(INSIDE))
    assert await who(services, key) == "alice"
    with pytest.raises(Forbidden):
        await do(services, "users.update", key, display_name="Alice")
