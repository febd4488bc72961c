"""Logins and the limit of their address: right ones, concurrent ones, exempt networks, reports."""

import asyncio
import logging
from collections import Counter
from ipaddress import ip_network

import pytest

from app.domain.audit import EntryFilter
from app.domain.credentials import Origin
from app.domain.errors import DomainError, Overloaded, RateLimited
from app.domain.ports.services import PasswordCheck
from app.domain.rate_limits import (
    CHANGES,
    CHECKS,
    FAILURES_BEFORE_LOCK,
    LOCK_MIN,
    LOGINS,
    PASSWORD_USES,
    WRONG_KEYS,
)
from app.domain.rules import Rules
from app.operations.catalog import OPERATIONS
from app.operations.framework import call_limits
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.login_queue import ATTEMPTS_MAX
from tests.contracts.test_measurements import reading
from tests.fakes.ports import FakeClock, FakeHasher
from tests.fakes.services import PASSWORD, account, as_user, do, make_services, sign_up

pytestmark = pytest.mark.anyio

HERE, ELSEWHERE = Origin("203.0.113.7", request_id="r1"), Origin("198.51.100.7", request_id="r2")
WRONG = "wrong horse battery"
NAMES = ("alice", "bobby", "carol")
OK = "ok"


class SlowHasher(FakeHasher):
    """Verifies a password while others arrive, and counts how many it verified."""

    def __init__(self) -> None:
        super().__init__()
        self.verified = 0
        self.is_overloaded = False

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        if self.is_overloaded:
            raise Overloaded
        await asyncio.sleep(0)
        self.verified += 1
        return await super().verify(password, hashed)


async def log_in(
    services: Services, username: str, password: str = PASSWORD, origin: Origin = HERE
) -> str:
    """Log in; return the error's slug, or OK."""
    try:
        await do(
            services, "users.auth", Caller(origin=origin), username=username, password=password
        )
    except DomainError as error:
        return error.slug
    return OK


@pytest.fixture
def hasher() -> SlowHasher:
    return SlowHasher()


@pytest.fixture
async def services(hasher: SlowHasher) -> Services:
    services = make_services(hasher=hasher)
    for name in NAMES:
        await sign_up(services, name)
    return services


async def test_more_concurrent_right_logins_than_the_limit_all_succeed(services: Services) -> None:
    count = LOGINS.calls + 50
    logins = [log_in(services, NAMES[number % 3]) for number in range(count)]
    assert Counter(await asyncio.gather(*logins)) == {OK: count}
    assert services.login_queue.is_empty
    assert reading(services.refusals, "throttle_refusals", LOGINS.name) == 0


async def test_of_concurrent_guesses_no_more_are_verified_than_the_limit_allows(
    services: Services, hasher: SlowHasher
) -> None:
    guesses = [log_in(services, f"name{number}", WRONG) for number in range(LOGINS.calls + 50)]
    right = [log_in(services, NAMES[number % 3]) for number in range(30)]
    mixed = [one for pair in zip(guesses, right, strict=False) for one in pair]
    outcomes = Counter(await asyncio.gather(*mixed, *guesses[len(right) :]))
    assert outcomes["invalid-credentials"] == LOGINS.calls
    assert outcomes[OK] + outcomes["rate-limited"] == 80
    assert hasher.verified == LOGINS.calls + outcomes[OK]
    assert await log_in(services, "alice") == "rate-limited"


async def test_right_logins_do_not_take_wrong_ones_off_the_count(
    services: Services, hasher: SlowHasher
) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(LOGINS.calls + 5):
        outcomes[await log_in(services, f"name{number}", WRONG)] += 1
        outcomes[await log_in(services, NAMES[number % 3])] += 1
    assert outcomes["invalid-credentials"] == LOGINS.calls
    assert await log_in(services, "alice", origin=ELSEWHERE) == OK


async def test_more_attempts_of_an_address_than_can_wait_are_refused(services: Services) -> None:
    count = ATTEMPTS_MAX + 10
    logins = [log_in(services, NAMES[number % 3]) for number in range(count)]
    outcomes = Counter(await asyncio.gather(*logins))
    assert outcomes == {OK: ATTEMPTS_MAX, "overloaded": 10}


async def test_an_attempt_that_was_not_verified_does_not_count(
    services: Services, hasher: SlowHasher
) -> None:
    hasher.is_overloaded = True
    for _ in range(LOGINS.calls + 1):
        assert await log_in(services, "alice") == "overloaded"
    hasher.is_overloaded = False
    assert await log_in(services, "alice") == OK


async def test_a_right_password_that_is_used_too_often_does_not_count(services: Services) -> None:
    user = await account(services, "alice")
    await services.rate_limiter.count_many(PASSWORD_USES, str(user.id), PASSWORD_USES.calls)
    for _ in range(LOGINS.calls + 1):
        assert await log_in(services, "alice") == "rate-limited"
    assert await log_in(services, "bobby") == OK


# --------------------------------------------------------------------- exempt networks


async def test_an_exempt_network_has_the_locks_of_accounts_alone() -> None:
    services = make_services(rules=Rules(rate_limit_exempt=[ip_network("203.0.113.0/28")]))
    await sign_up(services, "alice")
    for number in range(LOGINS.calls + 1):
        assert await log_in(services, f"name{number}", WRONG) == "invalid-credentials"
        wrong = Caller(f"WRNG{number:04}-aaaa-bbbb-cccc-dddddddd", HERE)
        with pytest.raises(DomainError) as refused:
            await do(services, "users.self", wrong)
        assert refused.value.slug == "unauthenticated"
    for _ in range(FAILURES_BEFORE_LOCK):
        assert await log_in(services, "alice", WRONG) == "invalid-credentials"
    assert await log_in(services, "alice") == "rate-limited"
    for number in range(LOGINS.calls):
        await log_in(services, f"name{number}", WRONG, ELSEWHERE)
    assert await log_in(services, "bobby", origin=ELSEWHERE) == "rate-limited"


async def test_any_number_of_an_exempt_network_may_log_in_at_once(hasher: SlowHasher) -> None:
    exempt = Rules(rate_limit_exempt=[ip_network("203.0.113.0/28")])
    services = make_services(rules=exempt, hasher=hasher)
    for name in NAMES:
        await sign_up(services, name)
    count = ATTEMPTS_MAX + 10
    logins = [log_in(services, NAMES[number % 3]) for number in range(count)]
    assert Counter(await asyncio.gather(*logins)) == {OK: count}


@pytest.mark.parametrize(
    ("address", "is_exempt"),
    [
        ("203.0.113.7", True),
        ("203.0.113.16", False),
        ("::ffff:203.0.113.7", True),
        ("2001:db8::1", True),
        ("2001:db8:0:1::1", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_only_addresses_in_an_exempt_network_are_exempt(
    address: str | None, is_exempt: bool
) -> None:
    networks = [ip_network("203.0.113.0/28"), ip_network("2001:db8::/64")]
    assert Rules(rate_limit_exempt=networks).is_exempt(address) is is_exempt
    assert not Rules().is_exempt(address)


# ----------------------------------------------------------------------------- reports


def reports(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == event]


async def test_a_limit_is_logged_once_for_each_address_and_window(
    services: Services, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(call_limits, "monotonic", lambda: now)
    for origin in (HERE, HERE, ELSEWHERE):
        for number in range(LOGINS.calls + 3):
            await log_in(services, f"name{number}", WRONG, origin)
    first, second = reports(caplog, "rate limit reached")
    shown = ("levelname", "limit", "address", "request_id")
    assert [vars(first)[name] for name in shown] == ["WARNING", "login", HERE.address, "r1"]
    assert 0 < vars(first)["retry_after"] <= 2 * LOGINS.seconds
    assert vars(second)["address"] == ELSEWHERE.address
    refused = 3 + (LOGINS.calls + 3) + 3
    assert reading(services.refusals, "throttle_refusals", LOGINS.name) == refused
    now += LOGINS.seconds
    await log_in(services, "nobody", WRONG)
    assert len(reports(caplog, "rate limit reached")) == 3


async def test_limits_of_keys_and_accounts_are_counted_and_logged(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    # The same wrong key again is no refusal of its own.
    for number in [*range(WRONG_KEYS.calls), 0, 0, 998, 999]:
        wrong = Caller(f"WRNG{number:04}-aaaa-bbbb-cccc-dddddddd", HERE)
        with pytest.raises(DomainError):
            await do(services, "users.self", wrong)
    users = []
    for name in ("david", "ellen"):
        caller = await as_user(services, name)
        users.append(user := await account(services, name))
        await services.rate_limiter.count_many(CHANGES, str(user.id), CHANGES.calls)
        for _ in range(2):
            with pytest.raises(DomainError):
                await do(services, "users.update", caller, display_name="Other")
    key, *changes = reports(caplog, "rate limit reached")
    assert (vars(key)["limit"], vars(key)["address"]) == (WRONG_KEYS.name, HERE.address)
    assert [vars(change)["limit"] for change in changes] == [CHANGES.name] * 2
    assert [vars(change)["account"] for change in changes] == [user.uuid for user in users]
    assert reading(services.refusals, "throttle_refusals", WRONG_KEYS.name) == 2 + 2
    assert reading(services.refusals, "throttle_refusals", CHANGES.name) == 4


async def test_each_refused_call_of_several_is_counted(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    context = OPERATIONS["users.check"].context(services, Caller(origin=HERE), None)
    assert await context.limits.count_each(CHECKS, 1) == (1, None)
    fit, refusal = await context.limits.count_each(CHECKS, CHECKS.calls + 2)
    assert fit == CHECKS.calls - 1
    assert refusal is not None
    assert reading(services.refusals, "throttle_refusals", CHECKS.name) == 3
    assert len(reports(caplog, "rate limit reached")) == 1


async def test_no_more_refusals_are_remembered_than_there_is_room_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(call_limits, "monotonic", lambda: now)
    monkeypatch.setattr(call_limits, "LOGGED_MAX", 2)
    log = call_limits.RefusalLog()
    for number in (1, 2):
        log.add(LOGINS, RateLimited(1.0), Origin(f"203.0.113.{number}"))
    now += LOGINS.seconds
    # The third makes the second one, now the oldest, forgotten.
    for number in (1, 3, 1, 2):
        log.add(LOGINS, RateLimited(1.0), Origin(f"203.0.113.{number}"))
    shown = [vars(record)["address"][-1] for record in reports(caplog, "rate limit reached")]
    assert shown == ["1", "2", "1", "3", "2"]


async def test_each_lock_is_logged_and_in_the_audit_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    services = make_services(clock=clock)
    alice = await as_user(services, "alice")
    for _ in range(FAILURES_BEFORE_LOCK + 2):
        await log_in(services, "alice", WRONG)
    clock.turn(LOCK_MIN)
    for _ in range(FAILURES_BEFORE_LOCK):
        with pytest.raises(DomainError):
            await do(services, "users.password", alice, current=WRONG, password=PASSWORD)
    user = await account(services, "alice")
    entries = await services.store.read(
        lambda tx: tx.audit.list_page(EntryFilter(action="users.lock"), None, 9)
    )
    lines = reports(caplog, "account locked")
    assert len(entries) == len(lines) == 2
    assert [(entry.actor, entry.outcome) for entry in entries] == [(None, "done")] * 2
    assert {entry.target.id for entry in entries if entry.target} == {user.uuid}
    first = entries[-1]
    until = vars(lines[0])["locked_until"]
    assert first.changes == {"locked_until": (None, until)}
    assert (first.address, first.request_id) == (HERE.address, HERE.request_id)
    assert vars(lines[0])["account"] == user.uuid
    assert until > first.at.isoformat()


async def test_a_lock_that_a_right_password_has_ended_is_not_reported(
    services: Services, hasher: SlowHasher, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(FAILURES_BEFORE_LOCK - 2):
        await log_in(services, "alice", WRONG)
    # The attempt that would lock is counted while the right one is in progress.
    logins = log_in(services, "alice"), log_in(services, "alice", WRONG)
    assert [*await asyncio.gather(*logins)] == [OK, "invalid-credentials"]
    assert reports(caplog, "account locked") == []


async def test_a_lock_is_reported_by_the_attempt_that_causes_it(
    services: Services, hasher: SlowHasher, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(FAILURES_BEFORE_LOCK - 2):
        await log_in(services, "alice", WRONG)
    # The lock is counted before the first of them has failed.
    await asyncio.gather(*[log_in(services, "alice", WRONG) for _ in range(2)])
    assert len(reports(caplog, "account locked")) == 1
