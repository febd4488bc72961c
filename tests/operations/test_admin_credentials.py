"""Operations of admins on the sessions and keys of other users."""

from typing import Any

import pytest

from app.domain.errors import NotFound, Unauthenticated
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from tests.fakes.services import account, do, log_in, with_key

pytestmark = pytest.mark.anyio

UNKNOWN = "11111111-1111-4111-8111-111111111111"


async def act(services: Services, admin: Caller, name: str, whose: str, /, **members: Any) -> Any:
    uuid = (await account(services, whose)).uuid
    return await do(services, name, admin, uuid=uuid, **members)


async def is_alive(services: Services, caller: Caller) -> bool:
    try:
        await do(services, "users.self", caller)
    except Unauthenticated:
        return False
    return True


# ------------------------------------------------------------------------------- sessions


async def test_an_admin_sees_the_sessions_their_owner_sees(
    services: Services, admin: Caller, alice: Caller
) -> None:
    await log_in(services, "alice")
    seen = await act(services, admin, "admin.sessions.list", "alice")
    own = await do(services, "sessions.list", alice)
    assert seen == [{**view, "current": False} for view in own]
    assert len(seen) == 2


async def test_an_admins_own_session_is_marked(
    services: Services, admin: Caller, alice: Caller
) -> None:
    await act(services, admin, "admin.users.update", "alice", admin=True)
    await log_in(services, "alice")
    seen = await act(services, alice, "admin.sessions.list", "alice")
    assert [view["current"] for view in seen] == [True, False]


async def test_an_admin_ends_one_session_of_another(
    services: Services, admin: Caller, alice: Caller
) -> None:
    second = await log_in(services, "alice")
    first = (await act(services, admin, "admin.sessions.list", "alice"))[0]["id"]
    assert await act(services, admin, "admin.sessions.revoke", "alice", id=first) == 1
    assert not await is_alive(services, alice)
    assert await is_alive(services, second)


async def test_an_admin_ends_all_sessions_of_another_and_no_key(
    services: Services, admin: Caller, alice: Caller, bobby: Caller
) -> None:
    second, key = await log_in(services, "alice"), await with_key(services, alice)
    assert await act(services, admin, "admin.sessions.revoke", "alice") == 2
    alive = [await is_alive(services, caller) for caller in (alice, second, key, bobby)]
    assert alive == [False, False, True, True]


async def test_an_admin_who_ends_all_own_sessions_ends_the_current_one(
    services: Services, admin: Caller, alice: Caller
) -> None:
    await act(services, admin, "admin.users.update", "alice", admin=True)
    assert await act(services, alice, "admin.sessions.revoke", "alice") == 1
    assert not await is_alive(services, alice)


async def test_a_session_that_is_not_the_accounts_is_not_ended(
    services: Services, admin: Caller, alice: Caller, bobby: Caller
) -> None:
    his = (await act(services, admin, "admin.sessions.list", "bobby"))[0]["id"]
    for session_id in (his, UNKNOWN, ""):
        assert await act(services, admin, "admin.sessions.revoke", "alice", id=session_id) == 0
    assert await is_alive(services, alice)
    assert await is_alive(services, bobby)


# ----------------------------------------------------------------------------------- keys


async def test_an_admin_sees_the_keys_their_owner_sees(
    services: Services, admin: Caller, alice: Caller
) -> None:
    for name in ("first", "second"):
        await with_key(services, alice, name=name)
    seen = await act(services, admin, "admin.keys.list", "alice")
    assert seen == await do(services, "keys.list", alice)
    assert [view["name"] for view in seen] == ["first", "second"]
    assert not any("key" in view for view in seen)


async def test_an_admin_revokes_one_key_of_another(
    services: Services, admin: Caller, alice: Caller
) -> None:
    first, second = await with_key(services, alice), await with_key(services, alice)
    key_id = str(first.credential)[:8]
    assert await act(services, admin, "admin.keys.revoke", "alice", id=key_id) is True
    alive = [await is_alive(services, caller) for caller in (first, second, alice)]
    assert alive == [False, True, True]


async def test_an_admin_revokes_all_keys_of_another_and_no_session(
    services: Services, admin: Caller, alice: Caller, bobby: Caller
) -> None:
    keys = [await with_key(services, alice) for _ in range(2)]
    his = await with_key(services, bobby)
    assert await act(services, admin, "admin.keys.revoke", "alice") is True
    alive = [await is_alive(services, caller) for caller in (*keys, alice, his)]
    assert alive == [False, False, True, True]


async def test_to_revoke_all_of_no_keys_is_no_error(
    services: Services, admin: Caller, alice: Caller
) -> None:
    assert await act(services, admin, "admin.keys.revoke", "alice") is True


async def test_a_key_that_is_not_the_accounts_is_not_found(
    services: Services, admin: Caller, alice: Caller, bobby: Caller
) -> None:
    his = await with_key(services, bobby)
    for key_id in (str(his.credential)[:8], "ZZZZZZZZ", ""):
        with pytest.raises(NotFound):
            await act(services, admin, "admin.keys.revoke", "alice", id=key_id)
    assert await is_alive(services, his)
