"""Passwords known from breaches are checked wherever one is chosen, and nowhere else."""

from typing import Any

import pytest

from app.domain.errors import InvalidCredentials, WeakPassword, WrongPassword
from app.operations.admin_users import AdminCreateUser
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import create_account
from tests.fakes.ports import BREACHED, FakeBreachedPasswords
from tests.fakes.services import (
    NOBODY,
    PASSWORD,
    as_admin,
    do,
    log_in,
    make_services,
    sign_up,
)

pytestmark = pytest.mark.anyio

SENTENCE = "This password is known from a data breach; choose another one"


@pytest.fixture
def breached() -> FakeBreachedPasswords:
    return FakeBreachedPasswords(BREACHED)


@pytest.fixture
def services(breached: FakeBreachedPasswords) -> Services:
    return make_services(breached=breached)


async def _choose(services: Services, password: str, operation: str) -> Any:
    """Choose a password by one of the operations that take one."""
    admin = await as_admin(services)
    user = await sign_up(services, "alice")
    alice = await log_in(services, "alice")
    ways: dict[str, tuple[Caller, dict[str, Any]]] = {
        "users.create": (NOBODY, {"username": "bobby", "password": password}),
        "users.password": (alice, {"current": PASSWORD, "password": password}),
        "admin.users.create": (
            admin,
            {"username": "bobby", "email": "b@example.com", "password": password},
        ),
        "admin.users.update": (admin, {"uuid": user.uuid, "password": password}),
    }
    caller, members = ways[operation]
    return await do(services, operation, caller, **members)


WAYS = ["users.create", "users.password", "admin.users.create", "admin.users.update"]


@pytest.mark.parametrize("operation", WAYS)
async def test_a_password_known_from_a_breach_is_refused(
    services: Services, operation: str
) -> None:
    with pytest.raises(WeakPassword, match=SENTENCE):
        await _choose(services, BREACHED, operation)


@pytest.mark.parametrize("operation", WAYS)
async def test_an_unknown_password_is_accepted(services: Services, operation: str) -> None:
    await _choose(services, "a horse of another colour", operation)


async def test_nor_does_the_operator_choose_one(services: Services) -> None:
    with pytest.raises(WeakPassword, match=SENTENCE):
        await create_account(services, AdminCreateUser("alice", None, BREACHED))


async def test_a_login_is_not_asked_about(
    services: Services, breached: FakeBreachedPasswords
) -> None:
    await sign_up(services, "alice")
    breached.asked.clear()
    await log_in(services, "alice")
    with pytest.raises(InvalidCredentials):
        await log_in(services, "alice", BREACHED)
    assert breached.asked == []


async def test_a_generated_password_is_not_asked_about(
    services: Services, breached: FakeBreachedPasswords
) -> None:
    admin = await as_admin(services)
    await do(services, "admin.users.create", admin, username="bobby", email="b@example.com")
    assert breached.asked == []


@pytest.mark.parametrize("password", ["password", "short", "alice", "con\x00trol", "x" * 129])
async def test_a_password_that_our_own_rules_refuse_is_not_looked_up(
    services: Services, breached: FakeBreachedPasswords, password: str
) -> None:
    with pytest.raises(WeakPassword):
        await sign_up(services, "alice", password)
    assert breached.asked == []


async def test_a_wrong_current_password_causes_no_lookup(
    services: Services, breached: FakeBreachedPasswords
) -> None:
    await sign_up(services, "alice")
    alice = await log_in(services, "alice")
    breached.asked.clear()
    with pytest.raises(WrongPassword):
        await do(services, "users.password", alice, current="wrong horse", password=BREACHED)
    assert breached.asked == []


async def test_it_is_the_prepared_form_that_is_asked_about(
    services: Services, breached: FakeBreachedPasswords
) -> None:
    await sign_up(services, "alice", "Cafe\u0301 au\u00a0lait")
    assert breached.asked == ["Caf\u00e9 au lait"]
