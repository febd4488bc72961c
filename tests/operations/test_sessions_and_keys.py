"""A user's own sessions and access keys, and when their use is noted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from app.domain.audit import EntryFilter
from app.domain.credentials import KEYS_MAX, SESSIONS_MAX
from app.domain.errors import Forbidden, InvalidInput, NotFound, Overloaded, Unauthenticated
from app.domain.ports.store import Transaction
from app.domain.rules import Rules
from app.operations.credentials import CreateKey
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import create_key_for
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import START, FakeClock
from tests.fakes.services import account, as_user, do, log_in, make_services, with_key

pytestmark = pytest.mark.anyio

T = TypeVar("T")
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
UNKNOWN = "11111111-1111-4111-8111-111111111111"


async def sessions(services: Services, caller: Caller) -> list[dict[str, Any]]:
    views: list[dict[str, Any]] = await do(services, "sessions.list", caller)
    return views


async def revoke(services: Services, caller: Caller, **members: str) -> int:
    count: int = await do(services, "sessions.revoke", caller, **members)
    return count


async def current(services: Services, caller: Caller) -> str:
    (session_id,) = [s["id"] for s in await sessions(services, caller) if s["current"]]
    return str(session_id)


async def keys(services: Services, caller: Caller) -> list[dict[str, Any]]:
    views: list[dict[str, Any]] = await do(services, "keys.list", caller)
    return views


async def is_alive(services: Services, caller: Caller) -> bool:
    try:
        await do(services, "users.self", caller)
    except Unauthenticated:
        return False
    return True


# ------------------------------------------------------------------------------- sessions


async def test_a_session_shows_exactly_the_members_of_the_contract(
    services: Services, alice: Caller
) -> None:
    (view,) = await sessions(services, alice)
    assert view == {
        "id": view["id"],
        "created_at": START,
        "expires_at": START + timedelta(days=7),
        "last_seen_at": START,
        "address": None,
        "agent": None,
        "current": True,
    }


async def test_sessions_are_ones_own_the_oldest_first(
    services: Services, alice: Caller, bobby: Caller, clock: FakeClock
) -> None:
    clock.turn(MINUTE)
    second = await log_in(services, "alice")
    views = await sessions(services, second)
    assert [view["created_at"] for view in views] == [START, START + MINUTE]
    assert [view["current"] for view in views] == [False, True]
    assert len(await sessions(services, bobby)) == 1


async def test_no_session_is_current_to_a_key(services: Services, alice: Caller) -> None:
    key = await with_key(services, alice)
    assert [view["current"] for view in await sessions(services, key)] == [False]


async def test_an_expired_session_is_not_listed(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    key = await with_key(services, alice)
    clock.turn(timedelta(days=7))
    assert await sessions(services, key) == []


async def test_revoking_without_id_ends_all_sessions_but_this_one(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    others = [await log_in(services, "alice") for _ in range(3)]
    key = await with_key(services, alice)
    assert await revoke(services, alice) == 3
    assert [await is_alive(services, other) for other in others] == [False] * 3
    for survivor in (alice, bobby, key):
        assert await is_alive(services, survivor)
    assert await revoke(services, alice) == 0


async def test_revoking_without_id_by_key_ends_all_sessions(
    services: Services, alice: Caller
) -> None:
    key = await with_key(services, alice)
    assert await revoke(services, key) == 1
    assert not await is_alive(services, alice)


async def test_revoking_by_id_ends_that_session(services: Services, alice: Caller) -> None:
    second, third = await log_in(services, "alice"), await log_in(services, "alice")
    assert await revoke(services, alice, id=await current(services, second)) == 1
    alive = [await is_alive(services, caller) for caller in (alice, second, third)]
    assert alive == [True, False, True]


async def test_revoking_the_current_session_ends_it(services: Services, alice: Caller) -> None:
    assert await revoke(services, alice, id=await current(services, alice)) == 1
    assert not await is_alive(services, alice)


async def test_revoking_the_session_of_another_ends_nothing(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    assert await revoke(services, alice, id=await current(services, bobby)) == 0
    assert await is_alive(services, bobby)


@pytest.mark.parametrize("session_id", ["", UNKNOWN, "'; --", "\x00"])
async def test_revoking_what_is_no_session_ends_nothing(
    services: Services, alice: Caller, session_id: str
) -> None:
    await log_in(services, "alice")
    assert await revoke(services, alice, id=session_id) == 0
    assert len(await sessions(services, alice)) == 2


async def test_revoking_counts_the_sessions_that_were_alive(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    """An expired session or key is not listed, and cannot be ended."""
    key = await with_key(services, alice)
    expired = await current(services, alice)
    clock.turn(timedelta(days=7))
    assert await sessions(services, key) == []
    assert await revoke(services, key, id=expired) == 0
    assert await revoke(services, key) == 0


# ----------------------------------------------------------------------------------- keys


async def test_a_new_key_shows_its_text_this_once(services: Services, alice: Caller) -> None:
    created = await do(services, "keys.create", alice, name=" my key ")
    text = created.pop("key")
    assert created == {
        "id": text[:8],
        "name": "my key",
        "created_at": START,
        "expires_at": None,
        "last_used_at": None,
        "scope": "admin",
        "networks": None,
    }
    assert await keys(services, alice) == [created]
    assert await is_alive(services, Caller(credential=text))


async def test_keys_are_ones_own_the_oldest_first(
    services: Services, alice: Caller, bobby: Caller, clock: FakeClock
) -> None:
    for name in ("zebra", "aardvark", "middle"):
        await do(services, "keys.create", alice, name=name)
        clock.turn(SECOND)
    await do(services, "keys.create", bobby, name="his")
    assert [key["name"] for key in await keys(services, alice)] == ["zebra", "aardvark", "middle"]


async def test_a_key_makes_keys(services: Services, alice: Caller) -> None:
    second = await with_key(services, await with_key(services, alice))
    assert (await do(services, "users.self", second))["username"] == "alice"


async def test_a_key_lives_until_its_end(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    key = await with_key(services, alice, expires_at="2026-01-01T13:00:00+00:00")
    clock.turn(timedelta(hours=1) - SECOND)
    assert await is_alive(services, key)
    clock.turn(SECOND)
    assert not await is_alive(services, key)


async def test_a_key_without_an_end_outlives_every_session(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    key = await with_key(services, alice)
    clock.turn(timedelta(days=3650))
    assert await is_alive(services, key)
    assert not await is_alive(services, alice)


@pytest.mark.parametrize(
    ("members", "field_error"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "key", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "key", "expires_at": "2026-01-01T12:00:00Z"}, "expires_at"),
        ({"name": "key", "expires_at": "2030-01-01T12:00:00"}, "expires_at"),
    ],
)
async def test_a_key_that_is_not_well_formed_is_not_made(
    services: Services, alice: Caller, members: dict[str, str], field_error: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await do(services, "keys.create", alice, **members)
    assert [field_error.name for field_error in refusal.value.field_errors] == [field_error]
    assert await keys(services, alice) == []


async def test_a_revoked_key_is_dead_and_the_others_are_not(
    services: Services, alice: Caller
) -> None:
    first, second = await with_key(services, alice), await with_key(services, alice)
    assert await do(services, "keys.revoke", alice, id=str(first.credential)[:8]) is True
    assert not await is_alive(services, first)
    assert await is_alive(services, second)
    assert await is_alive(services, alice)


async def test_a_key_revokes_itself(services: Services, alice: Caller) -> None:
    key = await with_key(services, alice)
    await do(services, "keys.revoke", key, id=str(key.credential)[:8])
    assert not await is_alive(services, key)


async def test_the_key_of_another_is_not_found(
    services: Services, alice: Caller, bobby: Caller
) -> None:
    his = await with_key(services, bobby)
    for key_id in (str(his.credential)[:8], "ZZZZZZZZ", "", str(his.credential)):
        with pytest.raises(NotFound):
            await do(services, "keys.revoke", alice, id=key_id)
    assert await is_alive(services, his)


async def test_the_public_id_alone_opens_nothing(services: Services, alice: Caller) -> None:
    key = str((await with_key(services, alice)).credential)
    for text in (key[:8], key[:8] + "-0000-0000-0000-00000000", key.swapcase(), key + " "):
        assert not await is_alive(services, Caller(credential=text))


# -------------------------------------------------------------------------------- last use


class WatchedStore(MemoryStore):
    """Counts writes, and can be too busy for them."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.is_busy = False

    async def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        if self.is_busy:
            raise Overloaded
        self.writes += 1
        return await super().write(work)


async def test_the_last_use_of_a_session_is_noted_at_most_once_a_minute(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    seen = []
    for seconds in (59, 1, 30, 29, 1):
        clock.turn(timedelta(seconds=seconds))
        await do(services, "users.self", alice)
        (view,) = await sessions(services, alice)
        seen.append((view["last_seen_at"] - START).total_seconds())
    assert seen == [0, 60, 60, 60, 120]


async def test_the_first_use_of_a_key_is_noted_and_then_at_most_one_a_minute(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    key = await with_key(services, alice)
    used = []
    for seconds in (10, 59, 1, 59, 1):
        clock.turn(timedelta(seconds=seconds))
        await do(services, "users.self", key)
        (view,) = await keys(services, alice)
        used.append((view["last_used_at"] - START).total_seconds())
    assert used == [10, 10, 70, 70, 130]


async def test_reads_within_a_minute_write_nothing(clock: FakeClock) -> None:
    store = WatchedStore()
    services = make_services(store=store, clock=clock)
    alice = await as_user(services, "alice")
    key = await with_key(services, alice)
    await do(services, "users.self", key)
    before = store.writes
    clock.turn(MINUTE - SECOND)
    for caller in (alice, key):
        await do(services, "users.self", caller)
    assert store.writes == before


async def test_a_list_notes_the_use_too(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(MINUTE)
    await sessions(services, alice)
    (view,) = await sessions(services, alice)
    assert view["last_seen_at"] == START + MINUTE


async def test_a_write_notes_the_use_too(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(MINUTE)
    await do(services, "users.update", alice, display_name="Alice")
    (view,) = await sessions(services, alice)
    assert view["last_seen_at"] == START + MINUTE


async def test_a_refresh_notes_the_use_and_keeps_the_note(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(MINUTE)
    await do(services, "users.refresh", alice)
    (view,) = await sessions(services, alice)
    assert view["last_seen_at"] == START + MINUTE
    assert view["expires_at"] == START + MINUTE + timedelta(days=7)


async def test_a_read_does_not_fail_because_its_note_does(clock: FakeClock) -> None:
    store = WatchedStore()
    services = make_services(store=store, clock=clock)
    alice = await as_user(services, "alice")
    clock.turn(MINUTE)
    store.is_busy = True
    assert (await do(services, "users.self", alice))["username"] == "alice"


async def test_use_does_not_prolong_a_session(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    for _ in range(7):
        assert await is_alive(services, alice)
        clock.turn(timedelta(days=1))
    assert not await is_alive(services, alice)


async def test_a_login_forgets_ones_expired_sessions_alone(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(timedelta(days=6))
    second = await log_in(services, "alice")
    clock.turn(timedelta(days=1))
    await log_in(services, "alice")
    user_id = (await account(services, "alice")).id
    assert len(await services.store.read(lambda tx: tx.sessions.list_for_user(user_id))) == 2
    assert await is_alive(services, second)


# --------------------------------------------------------------------------------- bounds


async def test_an_account_has_a_hundred_keys_and_no_more(services: Services, alice: Caller) -> None:
    for number in range(KEYS_MAX):
        await do(services, "keys.create", alice, name=f"key {number}")
    with pytest.raises(Forbidden, match="at most 100 access keys"):
        await do(services, "keys.create", alice, name="one more")
    with pytest.raises(Forbidden, match="at most 100 access keys"):
        await create_key_for(services, "alice", CreateKey("at the command line"))
    listed = await keys(services, alice)
    assert len(listed) == KEYS_MAX
    await do(services, "keys.revoke", alice, id=listed[0]["id"])
    await do(services, "keys.create", alice, name="one more")


async def test_keys_of_others_and_keys_over_do_not_make_room_for_more(
    services: Services, alice: Caller, bobby: Caller, clock: FakeClock
) -> None:
    soon = (clock.now() + MINUTE).isoformat()
    for number in range(KEYS_MAX):
        await do(services, "keys.create", alice, name=f"key {number}", expires_at=soon)
    clock.turn(2 * MINUTE)
    with pytest.raises(Forbidden):
        await do(services, "keys.create", alice, name="one more")
    await do(services, "keys.create", bobby, name="mine")


async def test_of_sessions_beyond_a_hundred_the_oldest_ends(
    services: Services, clock: FakeClock
) -> None:
    first = await as_user(services, "alice")
    for _ in range(SESSIONS_MAX - 1):
        clock.turn(MINUTE)
        await log_in(services, "alice")
    ended = await current(services, first)
    assert len(await sessions(services, first)) == SESSIONS_MAX
    clock.turn(SECOND)
    last = await log_in(services, "alice")
    assert not await is_alive(services, first)
    assert len(await sessions(services, last)) == SESSIONS_MAX
    entries = await services.store.read(lambda tx: tx.audit.list_page(EntryFilter(), None, 1))
    assert entries[0].changes == {
        "session": (None, await current(services, last)),
        "oldest_session": (ended, None),
    }


async def test_the_session_that_begins_stays_where_the_clock_was_set_back(
    clock: FakeClock,
) -> None:
    services = make_services(clock=clock, rules=Rules(rate_limits=False))
    await as_user(services, "alice")
    for _ in range(SESSIONS_MAX):
        clock.turn(-SECOND)
        assert await is_alive(services, await log_in(services, "alice"))
