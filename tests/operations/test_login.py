"""Logging in and out, refreshing, and changing the password."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from app.domain.credentials import Origin
from app.domain.errors import (
    AccountDisabled,
    InvalidCredentials,
    Unauthenticated,
    WeakPassword,
    WrongPassword,
)
from app.domain.ports.services import PasswordCheck
from app.domain.rules import Rules
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.ports import FakeClock, FakeHasher
from tests.fakes.services import (
    NOBODY,
    PASSWORD,
    account,
    as_user,
    do,
    log_in,
    make_services,
    sign_up,
    with_key,
)

pytestmark = pytest.mark.anyio

NEW = "another password"
DAY = timedelta(days=1)


async def is_alive(services: Services, caller: Caller) -> bool:
    try:
        await do(services, "users.self", caller)
    except Unauthenticated:
        return False
    return True


async def refresh(services: Services, caller: Caller) -> Caller:
    issued = await do(services, "users.refresh", caller)
    return Caller(credential=issued["token"])


async def change_password(
    services: Services,
    caller: Caller,
    current: str = PASSWORD,
    password: str = NEW,
    revoke_keys: bool = False,
) -> None:
    members = {"current": current, "password": password, "revoke_keys": revoke_keys}
    assert await do(services, "users.password", caller, **members) is True


async def set_by_admin(services: Services, whose: str, /, **changes: object) -> None:
    uuid = (await account(services, whose)).uuid
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, **changes)


# ---------------------------------------------------------------------------------- login


async def test_a_login_gives_a_token_and_says_whose(services: Services) -> None:
    user = await sign_up(services, "alice")
    issued = await do(services, "users.auth", username="alice", password=PASSWORD)
    assert issued.view.keys() == {"user_id", "token"}
    assert issued.view["user_id"] == str(user.id)
    assert await is_alive(services, Caller(credential=issued.view["token"]))


async def test_a_token_lasts_a_week(services: Services, clock: FakeClock) -> None:
    await sign_up(services, "alice")
    issued = await do(services, "users.auth", username="alice", password=PASSWORD)
    assert issued.expires_in == 7 * 24 * 3600
    clock.turn(timedelta(days=7, seconds=-1))
    assert await is_alive(services, Caller(credential=issued.view["token"]))
    clock.turn(timedelta(seconds=1))
    assert not await is_alive(services, Caller(credential=issued.view["token"]))


@pytest.mark.parametrize(
    ("ttl", "expires_in"),
    [(timedelta(hours=1), 3600), (timedelta(days=365), 90 * 24 * 3600)],
)
async def test_a_token_lasts_as_configured_and_90_days_at_most(
    ttl: timedelta, expires_in: int
) -> None:
    services = make_services(rules=Rules(token_ttl=ttl))
    await sign_up(services, "alice")
    issued = await do(services, "users.auth", username="alice", password=PASSWORD)
    assert issued.expires_in == expires_in


@pytest.mark.parametrize("typed", ["demo1", "DEMO1", "ＤｅＭｏ1"])
async def test_the_name_counts_in_any_form(services: Services, typed: str) -> None:
    await sign_up(services, "demo1")
    assert await is_alive(services, await log_in(services, typed))


async def test_the_password_counts_in_any_normal_form(services: Services) -> None:
    await sign_up(services, "alice", "caf\u00e9 au lait")
    assert await is_alive(services, await log_in(services, "alice", "cafe\u0301 au lait"))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", PASSWORD + " "),
        ("alice", " " + PASSWORD),
        ("alice", PASSWORD.upper()),
        ("alice", ""),
        ("alice", "a\x00b"),
        ("alice", "\ud800"),
        ("alice", "x" * 5000),
        ("alicf", PASSWORD),
        ("a1ice", PASSWORD),  # looks like alice, but is not her name
        ("alice ", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("\ud800", PASSWORD),
    ],
    ids=lambda text: ascii(text)[:30],
)
async def test_a_wrong_name_and_a_wrong_password_look_alike(
    services: Services, username: str, password: str
) -> None:
    await sign_up(services, "alice")
    with pytest.raises(InvalidCredentials) as refusal:
        await log_in(services, username, password)
    assert refusal.value.detail == "invalid password"


class CountingHasher(FakeHasher):
    """Counts what takes time."""

    def __init__(self) -> None:
        super().__init__()
        self.verifications = 0

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        self.verifications += 1
        return await super().verify(password, hashed)


@pytest.mark.parametrize("username", ["alice", "nobody", "no", "disabled"])
@pytest.mark.parametrize("password", ["wrong password", "", "\x00"])
async def test_every_failed_login_costs_one_verification(username: str, password: str) -> None:
    hasher = CountingHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    await sign_up(services, "disabled")
    await set_by_admin(services, "disabled", disabled=True)
    with pytest.raises(InvalidCredentials):
        await log_in(services, username, password)
    assert hasher.verifications == 1


async def test_a_disabled_account_is_revealed_after_the_right_password_only(
    services: Services,
) -> None:
    await sign_up(services, "alice")
    await set_by_admin(services, "alice", disabled=True)
    with pytest.raises(AccountDisabled):
        await log_in(services, "alice")
    with pytest.raises(InvalidCredentials):
        await log_in(services, "alice", "wrong password")


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("password", ["", "admin", PASSWORD, "None"])
async def test_an_account_without_a_password_cannot_log_in(
    services: Services, password: str
) -> None:
    with pytest.raises(InvalidCredentials):
        await log_in(services, "admin", password)


@pytest.mark.usefixtures("admin")
async def test_the_first_admin_logs_in_once_a_password_was_set(services: Services) -> None:
    await set_by_admin(services, "admin", password=PASSWORD)
    assert await is_alive(services, await log_in(services, "admin"))


async def test_each_login_is_a_session_of_its_own(services: Services) -> None:
    await sign_up(services, "alice")
    first, second = await log_in(services, "alice"), await log_in(services, "alice")
    await do(services, "users.logout", first)
    assert not await is_alive(services, first)
    assert await is_alive(services, second)


async def test_a_session_shows_where_it_was_opened(services: Services) -> None:
    await sign_up(services, "alice")
    origin = Origin("192.0.2.7", "curl/8")
    members = {"username": "alice", "password": PASSWORD}
    issued = await do(services, "users.auth", Caller(origin=origin), **members)
    caller = Caller(credential=issued.view["token"], origin=Origin("198.51.100.1", "other"))
    (session,) = await do(services, "sessions.list", caller)
    assert (session["address"], session["agent"]) == ("192.0.2.7", "curl/8")


# --------------------------------------------------------------------------------- rehash


async def test_a_login_renews_a_hash_that_is_out_of_date(
    services: Services, hasher: FakeHasher
) -> None:
    before = await sign_up(services, "alice")
    session = await log_in(services, "alice")
    hasher.generation += 1
    await log_in(services, "alice")
    after = await account(services, "alice")
    assert after.password_hash != before.password_hash
    assert after.etag == before.etag
    assert await is_alive(services, session)


async def test_a_renewed_hash_stays(services: Services, hasher: FakeHasher) -> None:
    await sign_up(services, "alice")
    hasher.generation += 1
    await log_in(services, "alice")
    renewed = (await account(services, "alice")).password_hash
    await log_in(services, "alice")
    assert (await account(services, "alice")).password_hash == renewed


async def test_a_failed_login_renews_nothing(services: Services, hasher: FakeHasher) -> None:
    before = await sign_up(services, "alice")
    hasher.generation += 1
    with pytest.raises(InvalidCredentials):
        await log_in(services, "alice", "wrong password")
    assert await account(services, "alice") == before


# ---------------------------------------------------------------------------------- races


class InterruptedHasher(FakeHasher):
    """Lets something happen while a password is being verified, or hashed."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        verdict = await super().verify(password, hashed)
        await self._interrupt()
        return verdict

    async def _interrupt(self) -> None:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()


@pytest.fixture
def interrupted() -> InterruptedHasher:
    return InterruptedHasher()


@pytest.fixture
async def busy(interrupted: InterruptedHasher) -> Services:
    services = make_services(hasher=interrupted)
    await sign_up(services, "alice")
    return services


async def test_a_login_that_races_a_new_password_needs_the_new_one(
    busy: Services, interrupted: InterruptedHasher
) -> None:
    interrupted.meanwhile = lambda: set_by_admin(busy, "alice", password=NEW)
    with pytest.raises(InvalidCredentials):
        await log_in(busy, "alice", PASSWORD)
    assert await is_alive(busy, await log_in(busy, "alice", NEW))


async def test_a_login_that_races_a_new_hash_of_the_same_password_gets_in(
    busy: Services, interrupted: InterruptedHasher
) -> None:
    interrupted.meanwhile = lambda: set_by_admin(busy, "alice", password=PASSWORD)
    assert await is_alive(busy, await log_in(busy, "alice"))


async def test_two_first_logins_after_the_hash_went_out_of_date_both_get_in(
    busy: Services, interrupted: InterruptedHasher
) -> None:
    interrupted.generation += 1
    interrupted.meanwhile = lambda: log_in(busy, "alice")
    caller = await log_in(busy, "alice")
    assert len(await do(busy, "sessions.list", caller)) == 2


async def test_a_login_that_races_a_disabling_opens_no_session(
    busy: Services, interrupted: InterruptedHasher
) -> None:
    interrupted.meanwhile = lambda: set_by_admin(busy, "alice", disabled=True)
    with pytest.raises(AccountDisabled):
        await log_in(busy, "alice")
    await set_by_admin(busy, "alice", disabled=False)
    assert len(await do(busy, "sessions.list", await log_in(busy, "alice"))) == 1


async def test_a_login_that_races_a_renaming_gets_in(
    busy: Services, interrupted: InterruptedHasher
) -> None:
    interrupted.meanwhile = lambda: set_by_admin(busy, "alice", username="alicia")
    caller = await log_in(busy, "alice")
    assert (await do(busy, "users.self", caller))["username"] == "alicia"


@pytest.mark.parametrize(("by_key", "error"), [(True, WrongPassword), (False, Unauthenticated)])
async def test_of_two_who_change_one_password_at_once_the_first_wins(
    busy: Services, interrupted: InterruptedHasher, by_key: bool, error: type[Exception]
) -> None:
    caller = await log_in(busy, "alice")
    if by_key:
        caller = await with_key(busy, caller)
    interrupted.meanwhile = lambda: set_by_admin(busy, "alice", password="set by an admin")
    with pytest.raises(error):
        await change_password(busy, caller)
    assert await is_alive(busy, await log_in(busy, "alice", "set by an admin"))


async def test_a_password_change_that_races_a_logout_changes_nothing(
    busy: Services, interrupted: InterruptedHasher
) -> None:
    caller = await log_in(busy, "alice")
    interrupted.meanwhile = lambda: do(busy, "users.logout", caller)
    with pytest.raises(Unauthenticated):
        await change_password(busy, caller)
    assert await is_alive(busy, await log_in(busy, "alice", PASSWORD))


# -------------------------------------------------------------------------------- refresh


async def test_a_refresh_gives_a_new_token_of_the_same_session(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(DAY)
    issued = await do(services, "users.refresh", alice)
    refreshed = Caller(credential=issued["token"])
    assert refreshed != alice
    assert issued["expires_at"] == clock.now() + 7 * DAY
    assert issued["user_id"] == str((await account(services, "alice")).id)
    (session,) = await do(services, "sessions.list", refreshed)
    assert session["current"]


async def test_the_old_token_stays_valid_until_it_expires(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(6 * DAY)
    refreshed = await refresh(services, alice)
    assert await is_alive(services, alice)
    clock.turn(DAY)
    assert not await is_alive(services, alice)
    assert await is_alive(services, refreshed)


async def test_a_session_that_is_not_refreshed_ends_with_its_token(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(7 * DAY)
    with pytest.raises(Unauthenticated):
        await refresh(services, alice)


async def test_a_session_ends_after_90_days_however_often_it_is_refreshed(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    for _ in range(14):
        clock.turn(6 * DAY)
        alice = await refresh(services, alice)
    clock.turn(5 * DAY)
    issued = await do(services, "users.refresh", alice)
    assert issued["expires_at"] == clock.now() + DAY
    clock.turn(DAY - timedelta(seconds=1))
    last = Caller(credential=issued["token"])
    assert await is_alive(services, last)
    clock.turn(timedelta(seconds=1))
    assert not await is_alive(services, last)


async def test_sessions_list_shows_the_end_that_a_refresh_moved(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    clock.turn(DAY)
    await refresh(services, alice)
    (session,) = await do(services, "sessions.list", alice)
    assert session["expires_at"] == clock.now() + 7 * DAY


# --------------------------------------------------------------------------------- logout


async def test_a_logout_ends_every_token_of_its_session_and_no_other(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    refreshed, other = await refresh(services, alice), await log_in(services, "alice")
    key = await with_key(services, alice)
    assert await do(services, "users.logout", alice) is True
    assert not await is_alive(services, alice)
    assert not await is_alive(services, refreshed)
    assert await is_alive(services, other)
    assert await is_alive(services, key)


# ------------------------------------------------------------------------------- password


async def test_a_changed_password_is_the_one_that_counts(services: Services, alice: Caller) -> None:
    await change_password(services, alice)
    assert await is_alive(services, await log_in(services, "alice", NEW))
    with pytest.raises(InvalidCredentials):
        await log_in(services, "alice", PASSWORD)


async def test_a_changed_password_ends_all_sessions_but_the_one_that_changed_it(
    services: Services, alice: Caller
) -> None:
    other, refreshed = await log_in(services, "alice"), await refresh(services, alice)
    key = await with_key(services, alice)
    stranger = await as_user(services, "bobby")
    await change_password(services, alice)
    assert not await is_alive(services, other)
    for survivor in (alice, refreshed, key, stranger):
        assert await is_alive(services, survivor)


async def test_a_password_changed_by_key_ends_all_sessions(
    services: Services, alice: Caller
) -> None:
    key = await with_key(services, alice)
    await change_password(services, key)
    assert not await is_alive(services, alice)
    assert await is_alive(services, key)


@pytest.mark.parametrize("by_key", [False, True])
async def test_revoke_keys_revokes_all_keys_with_the_change(
    services: Services, alice: Caller, bobby: Caller, by_key: bool
) -> None:
    keys = [await with_key(services, alice) for _ in range(2)]
    his = await with_key(services, bobby)
    await change_password(services, keys[0] if by_key else alice, revoke_keys=True)
    assert [await is_alive(services, key) for key in keys] == [False, False]
    assert await is_alive(services, his)
    assert await is_alive(services, alice) is not by_key


@pytest.mark.parametrize(
    "current", ["wrong password", "", "\x00", PASSWORD + " ", "\ud800"], ids=ascii
)
async def test_a_wrong_current_password_ends_nothing(
    services: Services, alice: Caller, current: str
) -> None:
    before = await account(services, "alice")
    witnesses = [alice, await log_in(services, "alice"), await with_key(services, alice)]
    with pytest.raises(WrongPassword):
        await change_password(services, alice, current=current, revoke_keys=True)
    assert all([await is_alive(services, witness) for witness in witnesses])
    assert await account(services, "alice") == before


@pytest.mark.parametrize("new", ["short", "password1", "x" * 129, "Alice-in-chains"])
async def test_a_weak_new_password_ends_nothing(services: Services, new: str) -> None:
    await sign_up(services, "alice-in-chains")
    caller, other = [await log_in(services, "alice-in-chains") for _ in range(2)]
    with pytest.raises(WeakPassword):
        await change_password(services, caller, password=new, revoke_keys=True)
    assert await is_alive(services, other)
    assert await is_alive(services, await log_in(services, "alice-in-chains", PASSWORD))


async def test_the_email_address_is_no_new_password(services: Services, alice: Caller) -> None:
    await set_by_admin(services, "alice", email="alice@example.com")
    with pytest.raises(WeakPassword):
        await change_password(services, alice, password="Alice@Example.com")


async def test_the_same_password_again_ends_the_other_sessions_too(
    services: Services, alice: Caller
) -> None:
    other = await log_in(services, "alice")
    await change_password(services, alice, password=PASSWORD)
    assert not await is_alive(services, other)


async def test_changing_a_password_needs_a_credential(services: Services) -> None:
    await sign_up(services, "alice")
    with pytest.raises(Unauthenticated):
        await change_password(services, NOBODY)


async def test_an_account_without_a_password_cannot_change_it_itself(
    services: Services, admin: Caller
) -> None:
    with pytest.raises(WrongPassword):
        await change_password(services, admin, current="")
