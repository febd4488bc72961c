"""Attempts at passwords: what is counted, for whom, and what is taken back."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.domain.credentials import Origin
from app.domain.errors import InvalidCredentials, Overloaded, RateLimited, Unauthenticated
from app.domain.ports.services import PasswordCheck
from app.domain.ports.store import Transaction
from app.domain.rate_limits import (
    FAILURES_BEFORE_LOCK,
    FAMILIAR_FOR,
    LOCK_MAX,
    LOGINS,
    PLACES_MAX,
    UNFAMILIAR_PLACES,
    WRONG_KEYS,
    LoginAttempts,
)
from app.domain.rules import Rules
from app.operations import login_queue
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import unlock_account
from tests.fakes.ports import FakeClock, FakeHasher
from tests.fakes.services import PASSWORD, account, as_admin, as_user, do, make_services, sign_up

pytestmark = pytest.mark.anyio

HOME, AWAY = Caller(origin=Origin("203.0.113.7")), Caller(origin=Origin("198.51.100.1"))


class BusyHasher(FakeHasher):
    """Has no time to verify while `is_busy`."""

    is_busy = False

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        if self.is_busy:
            raise Overloaded
        return await super().verify(password, hashed)


async def log_in(services: Services, caller: Caller = HOME, password: str = PASSWORD) -> None:
    await do(services, "users.auth", caller, username="alice", password=password)


async def fail(services: Services, caller: Caller, times: int = FAILURES_BEFORE_LOCK) -> None:
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await log_in(services, caller, "wrong horse battery")


async def counted(services: Services, place: str) -> LoginAttempts | None:
    user = await account(services, "alice")

    def find(tx: Transaction) -> LoginAttempts | None:
        return next(iter(tx.login_attempts.list_for_subject(user.id, place)), None)

    return await services.store.read(find)


async def test_an_attempt_whose_password_was_not_verified_is_not_counted() -> None:
    hasher = BusyHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    hasher.is_busy = True
    for _ in range(2 * FAILURES_BEFORE_LOCK):
        with pytest.raises(Overloaded):
            await log_in(services)
    hasher.is_busy = False
    await log_in(services)


async def test_the_first_login_from_a_place_resets_the_unfamiliar_count(services: Services) -> None:
    await sign_up(services, "alice")
    await fail(services, AWAY, FAILURES_BEFORE_LOCK - 1)
    await log_in(services, HOME)
    assert await counted(services, UNFAMILIAR_PLACES) is None
    await fail(services, AWAY)


async def test_a_login_at_a_familiar_place_leaves_unfamiliar_ones_locked_out(
    services: Services,
) -> None:
    await sign_up(services, "alice")
    await log_in(services, HOME)
    await fail(services, AWAY)
    await log_in(services, HOME)
    with pytest.raises(RateLimited):
        await log_in(services, AWAY)


async def test_a_locked_familiar_place_does_not_open_unfamiliar_ones(services: Services) -> None:
    await sign_up(services, "alice")
    await log_in(services, HOME)
    await fail(services, HOME)
    with pytest.raises(RateLimited):
        await log_in(services, HOME)
    await log_in(services, AWAY)


async def test_the_operator_lifts_a_lock_by_name(services: Services) -> None:
    await sign_up(services, "alice")
    await fail(services, AWAY)
    await unlock_account(services, "Alice")
    await log_in(services, AWAY)


async def test_callers_of_unknown_address_are_unfamiliar(services: Services) -> None:
    await sign_up(services, "alice")
    await log_in(services, Caller())
    assert await counted(services, UNFAMILIAR_PLACES) is None
    await fail(services, Caller())
    with pytest.raises(RateLimited):
        await log_in(services, AWAY)


async def test_names_that_cannot_be_are_locked_one_by_one(services: Services) -> None:
    async def ask(name: str) -> None:
        await do(services, "users.auth", HOME, username=name, password=PASSWORD)

    for _ in range(FAILURES_BEFORE_LOCK):
        with pytest.raises(InvalidCredentials):
            await ask("?")
    with pytest.raises(RateLimited):
        await ask("?")
    with pytest.raises(InvalidCredentials):
        await ask("!")


async def test_the_command_line_is_never_held_up(services: Services) -> None:
    await as_admin(services)
    for number in range(WRONG_KEYS.calls):
        with pytest.raises(Unauthenticated):
            await do(services, "users.self", Caller(f"WRONG{number:03}-aaaa-bbbb-cccc-dddddddd"))
    await sign_up(services, "alice")
    await unlock_account(services, "alice")


async def test_with_limits_off_nothing_is_counted() -> None:
    services = make_services(rules=Rules(rate_limits=False))
    await sign_up(services, "alice")
    await fail(services, HOME, 2 * LOGINS.calls)
    await log_in(services)
    assert await counted(services, UNFAMILIAR_PLACES) is None
    assert await counted(services, "203.0.113.7") is None


# ------------------------------------------------------------------------------- at once


class SlowHasher(FakeHasher):
    """Lets others have their turn while it verifies, and counts what it verified, and at once."""

    def __init__(self) -> None:
        super().__init__()
        self.verified = self.at_once = self.most_at_once = 0

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        self.verified += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        for _ in range(5):
            await asyncio.sleep(0)
        self.at_once -= 1
        return await super().verify(password, hashed)


async def outcomes(
    services: Services, attempts: int, password: str = PASSWORD, networks: int = 1, **name: str
) -> list[Any]:
    """Return the outcomes of concurrent attempts from so many networks."""
    callers = [Caller(origin=Origin(f"198.51.100.{number}")) for number in range(networks)]
    logins = [
        do(
            services,
            "users.auth",
            callers[number % networks],
            username=name.get("username", "alice"),
            password=password,
        )
        for number in range(attempts)
    ]
    return await asyncio.gather(*logins, return_exceptions=True)


def refused(found: list[Any]) -> list[str]:
    return [type(outcome).__name__ for outcome in found if isinstance(outcome, Exception)]


@pytest.mark.parametrize("networks", [1, 3, 40])
@pytest.mark.parametrize("failures", [0, FAILURES_BEFORE_LOCK - 1])
async def test_right_passwords_at_once_all_log_in(networks: int, failures: int) -> None:
    services = make_services(hasher=SlowHasher())
    await sign_up(services, "alice")
    for _ in range(failures):
        with pytest.raises(InvalidCredentials):
            await log_in(services, Caller(origin=Origin("198.51.100.0")), "wrong horse battery")
    assert refused(await outcomes(services, 40, networks=networks)) == []


async def test_one_network_leaves_room_for_the_attempts_of_other_processes() -> None:
    hasher = SlowHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    await outcomes(services, 20)
    assert hasher.most_at_once == login_queue.CONCURRENT_PER_NETWORK < FAILURES_BEFORE_LOCK // 2


@pytest.mark.parametrize("networks", [1, 3, 100])
@pytest.mark.parametrize("username", ["alice", "nobody"])
async def test_wrong_passwords_at_once_get_no_further_than_one_by_one(
    networks: int, username: str
) -> None:
    hasher = SlowHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    hasher.verified = 0
    found = refused(await outcomes(services, 100, "wrong", networks, username=username))
    assert hasher.verified == FAILURES_BEFORE_LOCK
    assert found.count("InvalidCredentials") == FAILURES_BEFORE_LOCK
    assert found.count("RateLimited") == 100 - FAILURES_BEFORE_LOCK


async def test_a_right_password_among_wrong_ones_waits_for_those_before_it() -> None:
    hasher = SlowHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    wrong = asyncio.ensure_future(outcomes(services, FAILURES_BEFORE_LOCK - 1, "wrong", 9))
    await asyncio.sleep(0)
    found = await outcomes(services, 20)
    assert refused(await wrong) == ["InvalidCredentials"] * (FAILURES_BEFORE_LOCK - 1)
    assert refused(found) == []


async def test_passwords_that_are_changed_at_once_wait_for_each_other() -> None:
    services = make_services(hasher=SlowHasher())
    alice = await as_user(services, "alice")
    changes = [
        do(services, "users.password", alice, current="wrong", password="another password")
        for _ in range(30)
    ]
    found = refused(await asyncio.gather(*changes, return_exceptions=True))
    assert found.count("WrongPassword") == FAILURES_BEFORE_LOCK
    assert found.count("RateLimited") == 30 - FAILURES_BEFORE_LOCK


async def test_an_attempt_that_is_cancelled_leaves_no_one_waiting() -> None:
    services = make_services(hasher=SlowHasher())
    await sign_up(services, "alice")
    first = [asyncio.ensure_future(outcomes(services, 3, networks=2)) for _ in range(3)]
    for turns, task in enumerate(first):
        for _ in range(3 * turns):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*first, return_exceptions=True)
    assert refused(await outcomes(services, 5, networks=3)) == []
    assert services.login_queue.is_empty


async def test_an_attempt_that_waited_for_a_client_that_has_left_is_not_judged() -> None:
    """Nor is it counted. One that need not wait is judged: its client may only send no more."""
    hasher = SlowHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    gone = Caller(is_disconnected=lambda: True)
    logins = [log_in(services, gone, "wrong") for _ in range(3 * FAILURES_BEFORE_LOCK)]
    found = refused(await asyncio.gather(*logins, return_exceptions=True))
    assert (
        found.count("InvalidCredentials") == hasher.verified == login_queue.CONCURRENT_PER_NETWORK
    )
    assert (
        found.count("Overloaded") == 3 * FAILURES_BEFORE_LOCK - login_queue.CONCURRENT_PER_NETWORK
    )
    strangers = await counted(services, UNFAMILIAR_PLACES)
    assert strangers is not None
    assert strangers.failures == login_queue.CONCURRENT_PER_NETWORK


async def test_more_attempts_at_one_account_than_can_wait_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login_queue, "ATTEMPTS_MAX", 5)
    services = make_services(hasher=SlowHasher())
    await sign_up(services, "alice")
    assert refused(await outcomes(services, 8)) == ["Overloaded"] * 3
    assert services.login_queue.is_empty


async def test_of_familiar_places_a_hundred_are_kept(services: Services, clock: FakeClock) -> None:
    """For any number of addresses."""
    user = await sign_up(services, "alice")
    places = [f"192.0.2.{n}" for n in range(1, PLACES_MAX + 21)]
    for place in places:
        await log_in_from(services, place)
        clock.turn(timedelta(seconds=1))

    def kept(tx: Transaction) -> list[str]:
        return [found.place for found in tx.login_attempts.list_for_subject(user.id, *places)]

    assert sorted(await services.store.read(kept)) == sorted(places[-PLACES_MAX:])


async def log_in_from(services: Services, address: str) -> None:
    caller = Caller(origin=Origin(address))
    await do(services, "users.auth", caller, username="alice", password=PASSWORD)


async def test_a_place_that_is_no_longer_familiar_counts_as_any_other() -> None:
    clock = FakeClock()
    services = make_services(clock=clock)
    await sign_up(services, "alice")
    await log_in(services)
    clock.turn(FAMILIAR_FOR - timedelta(seconds=1))
    await fail(services, AWAY)
    await log_in(services)
    clock.turn(FAMILIAR_FOR + timedelta(seconds=1))
    await fail(services, AWAY)
    with pytest.raises(RateLimited):
        await log_in(services)


async def test_a_lock_after_the_clock_was_set_back_lasts_no_longer_than_from_the_next_attempt() -> (
    None
):
    clock = FakeClock()
    services = make_services(clock=clock)
    await sign_up(services, "alice")
    await fail(services, AWAY)
    clock.turn(-timedelta(days=1))
    with pytest.raises(RateLimited):
        await log_in(services, AWAY)
    clock.turn(LOCK_MAX)
    await log_in(services, AWAY)
