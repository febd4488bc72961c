"""Rate limits by address and by account."""

from collections.abc import Sequence
from typing import Any

import pytest

from app.domain.credentials import Origin, TokenClaims
from app.domain.errors import RateLimited, Unauthenticated
from app.domain.outbox import Message
from app.domain.rate_limits import CHANGES, CHECKS, LOGINS, PASSWORD_USES, WRONG_KEYS, Limit
from app.domain.rules import Rules
from app.operations.accounts import CheckUsername
from app.operations.catalog import OPERATIONS
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.ports import FakeClock, FakeRateLimiter
from tests.fakes.services import PASSWORD, account, as_user, do, make_services, sign_up

pytestmark = pytest.mark.anyio

HERE, ELSEWHERE = Origin("203.0.113.7"), Origin("198.51.100.7")


async def log_in(services: Services, username: str, origin: Origin = HERE) -> None:
    members = {"username": username, "password": PASSWORD}
    await do(services, "users.auth", Caller(origin=origin), **members)


async def test_right_logins_do_not_count_for_their_address() -> None:
    services = make_services()
    await sign_up(services, "alice")
    await sign_up(services, "bobby")
    for _ in range(LOGINS.calls // 2 + 1):
        await log_in(services, "alice")
        await log_in(services, "bobby")


async def test_sessions_of_an_account_are_limited_wherever_it_logs_in() -> None:
    services = make_services()
    await sign_up(services, "alice")
    await sign_up(services, "bobby")
    for number in range(PASSWORD_USES.calls):
        await log_in(services, "alice", Origin(f"203.0.113.{number}"))
    with pytest.raises(RateLimited):
        await log_in(services, "alice", ELSEWHERE)
    await log_in(services, "bobby", ELSEWHERE)


async def test_changes_of_an_account_are_limited_and_reads_are_not() -> None:
    services = make_services()
    alice, bobby = await as_user(services, "alice"), await as_user(services, "bobby")
    for number in range(CHANGES.calls):
        await do(services, "users.update", alice, display_name=f"Alice {number}")
    with pytest.raises(RateLimited):
        await do(services, "users.update", alice, display_name="Alice")
    assert (await do(services, "users.self", alice))["username"] == "alice"
    await do(services, "users.update", bobby, display_name="Bobby")


async def test_ending_credentials_is_not_limited() -> None:
    services = make_services()
    alice = await as_user(services, "alice")
    user = await account(services, "alice")
    await services.rate_limiter.count_many(CHANGES, str(user.id), CHANGES.calls)
    with pytest.raises(RateLimited):
        await do(services, "users.update", alice, display_name="Alice")
    await do(services, "users.logout", alice)


async def check(services: Services, caller: Caller, names: int) -> Sequence[Any]:
    operation = OPERATIONS["users.check"]
    assert operation.run_many is not None
    commands = [CheckUsername(f"name{number}") for number in range(names)]
    return await operation.run_many(operation.context(services, caller, commands[0]), commands)


async def test_calls_that_are_done_together_are_counted_one_by_one() -> None:
    services = make_services()
    outcomes = await check(services, Caller(origin=HERE), CHECKS.calls + 2)
    assert outcomes[: CHECKS.calls] == [False] * CHECKS.calls
    assert [type(it) for it in outcomes[CHECKS.calls :]] == [RateLimited] * 2
    assert await check(services, Caller(origin=ELSEWHERE), 1) == [False]


class NoRateLimiter(FakeRateLimiter):
    """Counts nothing."""

    async def count(self, limit: Limit, address: str) -> float:
        raise AssertionError(limit.name)

    async def count_many(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        raise AssertionError(limit.name)

    async def refund(self, limit: Limit, address: str) -> None:
        raise AssertionError(limit.name)

    def peek(self, limit: Limit, address: str) -> float:
        raise AssertionError(limit.name)


async def test_nothing_is_counted_where_limits_are_off() -> None:
    services = make_services(
        rules=Rules(rate_limits=False), rate_limiter=NoRateLimiter(FakeClock())
    )
    alice = await as_user(services, "alice")
    # The second one changes nothing, which would be given back.
    for _ in range(2):
        await do(services, "users.update", alice, display_name="Alice")
    assert await check(services, Caller(origin=HERE), 2) == [False, False]
    with pytest.raises(Unauthenticated):
        await do(services, "users.self", Caller("WRNG9999-aaaa-bbbb-cccc-dddddddd", HERE))


async def test_nothing_of_the_operator_is_counted() -> None:
    services = make_services(rate_limiter=NoRateLimiter(FakeClock()))
    assert await check(services, OPERATOR_CALLER, 2) == [False, False]
    await do(services, "admin.servers.list", OPERATOR_CALLER)


async def test_an_operation_without_a_change_does_not_count_as_one() -> None:
    services = make_services()
    alice = await as_user(services, "alice")
    for _ in range(2 * CHANGES.calls):
        await do(services, "users.update", alice, display_name="alice")
    await do(services, "users.update", alice, display_name="Alice")


async def test_a_message_of_a_change_that_takes_no_credential_is_delivered_at_once() -> None:
    services = make_services(handlers={"test": _ignore})
    operation = OPERATIONS["users.create"]
    context = operation.context(services, Caller(), None)
    assert not services.outbox_changed.is_set()
    await context.write_for_anyone(lambda tx: WriteResult(None, messages=[Message("test", 1)]))
    assert services.outbox_changed.is_set()


async def _ignore(*_: object) -> None:
    return None


async def test_from_where_too_many_keys_were_wrong_none_reaches_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_services()
    for number in range(WRONG_KEYS.calls):
        wrong = Caller(f"WRNG{number:04}-aaaa-bbbb-cccc-dddddddd", HERE)
        with pytest.raises(Unauthenticated):
            await do(services, "users.self", wrong)

    async def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(services.store, "read", fail)
    with pytest.raises(RateLimited):
        await do(services, "users.self", Caller("WRNG9999-aaaa-bbbb-cccc-dddddddd", HERE))
    monkeypatch.undo()
    # No one guesses a token, so one from there is let in.
    alice = await as_user(services, "alice")
    assert await do(services, "users.self", Caller(alice.credential, HERE))


async def test_a_token_is_verified_once_for_an_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    services = make_services()
    alice = await as_user(services, "alice")
    verified: list[str] = []
    read = services.tokens.verify

    async def counting(token: str) -> TokenClaims | None:
        verified.append(token)
        return await read(token)

    monkeypatch.setattr(services.tokens, "verify", counting)
    await do(services, "users.password", alice, current=PASSWORD, password="another horse battery")
    assert verified == [alice.credential]


async def test_presence_does_not_count_as_a_change() -> None:
    services = make_services()
    alice = await as_user(services, "alice")
    for _ in range(CHANGES.calls + 1):
        await do(services, "users.presence", alice, presence="IDLE")
        await do(services, "users.presence", alice, presence="DND")
