"""Profiles: who is found by which name, and what is counted."""

import pytest

from app.domain.errors import InvalidInput, RateLimited, Unauthenticated, UserNotFound
from app.domain.rate_limits import CHECKS
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.profiles import PROFILES_MAX
from tests.fakes.services import NOBODY, account, do

pytestmark = pytest.mark.anyio


async def test_a_profile_is_found_by_each_of_the_three_names(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    user = await account(services, "bobby")
    shown = {"id": str(user.id), "username": "bobby", "display_name": "bobby"}
    for name in (str(user.id), user.uuid, user.uuid.upper(), "bobby", "ＢＯＢＢＹ"):
        assert await do(services, "users.profile", alice, user=name) == shown


@pytest.mark.parametrize("name", ["nobody", "", "1", "71395574100679999", "a b", "\x00", "x" * 999])
async def test_unknown_users_are_not_found(services: Services, alice: Caller, name: str) -> None:
    with pytest.raises(UserNotFound):
        await do(services, "users.profile", alice, user=name)
    assert await do(services, "users.profiles", alice, users=[name]) == []


async def test_profiles_are_in_the_order_of_the_request_each_once(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    user = await account(services, "alice")
    users = ["bobby", "nobody", str(user.id), user.uuid, "alice", "BOBBY"]
    profiles = await do(services, "users.profiles", alice, users=users)
    assert [profile["username"] for profile in profiles] == ["bobby", "alice"]


async def test_there_is_a_bound_which_only_callers_with_a_credential_learn(
    services: Services, alice: Caller
) -> None:
    users = ["alice"] * (PROFILES_MAX + 1)
    assert len(await do(services, "users.profiles", alice, users=users[1:])) == 1
    with pytest.raises(InvalidInput):
        await do(services, "users.profiles", alice, users=users)
    with pytest.raises(Unauthenticated):
        await do(services, "users.profiles", NOBODY, users=users)


async def test_names_count_as_existence_checks_and_nothing_else_does(
    services: Services, alice: Caller
) -> None:
    user = await account(services, "alice")
    names = [f"name{number}" for number in range(PROFILES_MAX)]
    for _ in range(CHECKS.calls):
        with pytest.raises(Unauthenticated):
            await do(services, "users.profile", NOBODY, user="alice")
    for _ in range(CHECKS.calls // PROFILES_MAX):
        await do(services, "users.profiles", alice, users=names)
    with pytest.raises(RateLimited):
        await do(services, "users.profile", alice, user="alice")
    assert await do(services, "users.profile", alice, user=str(user.id))
    assert await do(services, "users.profiles", alice, users=[user.uuid])
