"""Attempts at passwords: what is counted, for whom, and what is taken back."""

import pytest

from app.domain.credentials import Origin
from app.domain.errors import InvalidCredentials, Overloaded, RateLimited, Unauthenticated
from app.domain.ports import Transaction, Verdict
from app.domain.rules import Rules
from app.domain.throttling import FREE_FAILURES, LOGINS, STRANGERS, WRONG_KEYS, Attempts
from app.usecases.call import Caller
from app.usecases.operator import unlock
from app.usecases.services import Services
from tests.fakes.ports import FakeHasher
from tests.fakes.services import PASSWORD, account, as_admin, do, make_services, sign_up

pytestmark = pytest.mark.anyio

HOME, AWAY = Caller(origin=Origin("203.0.113.7")), Caller(origin=Origin("198.51.100.1"))


class BusyHasher(FakeHasher):
    """Has no time to verify while `is_busy`."""

    is_busy = False

    async def verify(self, password: str | None, hashed: str | None) -> Verdict:
        if self.is_busy:
            raise Overloaded
        return await super().verify(password, hashed)


async def log_in(services: Services, caller: Caller = HOME, password: str = PASSWORD) -> None:
    await do(services, "users.auth", caller, username="alice", password=password)


async def fail(services: Services, caller: Caller, times: int = FREE_FAILURES) -> None:
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await log_in(services, caller, "wrong horse battery")


async def counted(services: Services, place: str) -> Attempts | None:
    user = await account(services, "alice")

    def find(tx: Transaction) -> Attempts | None:
        return next(iter(tx.attempts.of(user.id, place)), None)

    return await services.store.read(find)


async def test_an_attempt_that_nobody_had_time_to_judge_is_not_counted() -> None:
    hasher = BusyHasher()
    services = make_services(hasher=hasher)
    await sign_up(services, "alice")
    hasher.is_busy = True
    for _ in range(2 * FREE_FAILURES):
        with pytest.raises(Overloaded):
            await log_in(services)
    hasher.is_busy = False
    await log_in(services)


async def test_the_first_login_from_somewhere_ends_what_strangers_left(services: Services) -> None:
    await sign_up(services, "alice")
    await fail(services, AWAY, FREE_FAILURES - 1)
    await log_in(services, HOME)
    assert await counted(services, STRANGERS) is None
    await fail(services, AWAY)


async def test_a_login_at_home_leaves_the_strangers_locked_out(services: Services) -> None:
    await sign_up(services, "alice")
    await log_in(services, HOME)
    await fail(services, AWAY)
    await log_in(services, HOME)
    with pytest.raises(RateLimited):
        await log_in(services, AWAY)


async def test_a_locked_home_is_no_way_round_for_strangers(services: Services) -> None:
    await sign_up(services, "alice")
    await log_in(services, HOME)
    await fail(services, HOME)
    with pytest.raises(RateLimited):
        await log_in(services, HOME)
    await log_in(services, AWAY)


async def test_the_operator_lifts_a_lock_by_name(services: Services) -> None:
    await sign_up(services, "alice")
    await fail(services, AWAY)
    await unlock(services, "Alice")
    await log_in(services, AWAY)


async def test_callers_whose_address_is_not_known_are_strangers(services: Services) -> None:
    await sign_up(services, "alice")
    await log_in(services, Caller())
    assert await counted(services, STRANGERS) is None
    await fail(services, Caller())
    with pytest.raises(RateLimited):
        await log_in(services, AWAY)


async def test_names_that_cannot_be_are_locked_one_by_one(services: Services) -> None:
    async def ask(name: str) -> None:
        await do(services, "users.auth", HOME, username=name, password=PASSWORD)

    for _ in range(FREE_FAILURES):
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
    await unlock(services, "alice")


async def test_with_limits_off_nothing_is_counted() -> None:
    services = make_services(rules=Rules(rate_limits=False))
    await sign_up(services, "alice")
    await fail(services, HOME, 2 * LOGINS.calls)
    await log_in(services)
    assert await counted(services, STRANGERS) is None
    assert await counted(services, "203.0.113.7") is None
