"""Who tries too often is told to wait, by both doors and from one count."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.domain.throttling import (
    CHECKS,
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    LOGINS,
    LONGEST_WAIT,
    REGISTRATIONS,
    WRONG_KEYS,
)
from app.main import create_app
from tests.fakes.services import PASSWORD
from tests.gateway import Gate, Gateway, open_gateway
from tests.parity.doors import ChatDoor, Door, RestDoor

pytestmark = pytest.mark.anyio

WRONG = "wrong horse battery"
SECOND = timedelta(seconds=1)
STRANGER, OTHER_STRANGER = "198.51.100.1", "198.51.100.2"
Open = type[ChatDoor | RestDoor]


@pytest.fixture(params=[RestDoor, ChatDoor])
def door_type(request: pytest.FixtureRequest) -> Open:
    found: Open = request.param
    return found


@pytest.fixture
def door(door_type: Open, gateway: Gateway) -> Door:
    return door_type(gateway)


def gate_from(gateway: Gateway, address: str, settings: Settings | None = None) -> Gate:
    """The same house, asked from another address."""
    app = create_app(settings or Settings(), gateway.services)
    transport = httpx.ASGITransport(app, client=(address, 4711))
    return Gate(httpx.AsyncClient(transport=transport, base_url="http://gateway"))


async def log_in(door: Door, password: str = PASSWORD, username: str = "demo") -> str | None:
    return (await door("users.auth", username=username, password=password)).slug


async def fail(door: Door, times: int = FREE_FAILURES, username: str = "demo") -> None:
    for _ in range(times):
        assert await log_in(door, WRONG, username) == "invalid-credentials"


@pytest.fixture
async def token(gateway: Gateway) -> str:
    """A live session of `demo`, whose home is where the tests ask from."""
    return await gateway.user("demo")


# ---------------------------------------------------------------------------- by account


@pytest.mark.usefixtures("token")
async def test_wrong_passwords_lock_an_account_which_opens_as_time_goes_by(
    door: Door, gateway: Gateway
) -> None:
    await fail(door)
    assert await log_in(door, WRONG) == await log_in(door) == "rate-limited"
    gateway.clock.turn(FIRST_WAIT - SECOND)
    assert await log_in(door) == "rate-limited"
    gateway.clock.turn(SECOND)
    assert await log_in(door) is None


@pytest.mark.usefixtures("token")
async def test_the_lock_grows_to_a_quarter_of_an_hour_and_no_further(
    door: Door, gateway: Gateway
) -> None:
    await fail(door)
    for _ in range(12):
        gateway.clock.turn(LONGEST_WAIT)
        await fail(door, 1)
    gateway.clock.turn(LONGEST_WAIT - SECOND)
    assert await log_in(door) == "rate-limited"
    gateway.clock.turn(SECOND)
    assert await log_in(door) is None


@pytest.mark.usefixtures("token")
async def test_the_right_password_and_a_day_without_a_wrong_one_begin_anew(
    door: Door, gateway: Gateway
) -> None:
    await fail(door, FREE_FAILURES - 1)
    assert await log_in(door) is None
    await fail(door, FREE_FAILURES - 1)
    gateway.clock.turn(FORGOTTEN_AFTER)
    await fail(door)
    assert await log_in(door) == "rate-limited"


async def test_a_locked_account_goes_on_with_what_it_has(
    door: Door, gateway: Gateway, token: str
) -> None:
    key = (await door("keys.create", token, name="bot")).value["key"]
    await fail(door)
    assert await log_in(door) == "rate-limited"
    assert (await door("users.self", token)).slug is None
    assert (await door("users.refresh", token)).slug is None
    assert (await door("users.self", key)).slug is None


async def test_wrong_current_passwords_count_as_those_of_logins_do(door: Door, token: str) -> None:
    await fail(door, FREE_FAILURES - 1)
    change = {"current": WRONG, "new": "another horse, another battery"}
    assert (await door("users.password", token, **change)).slug == "invalid-credentials"
    for current in (WRONG, PASSWORD):
        changed = await door("users.password", token, **{**change, "current": current})
        assert changed.slug == "rate-limited"
    assert await log_in(door) == "rate-limited"


async def test_a_new_name_is_no_new_count(door: Door, token: str) -> None:
    await fail(door)
    assert (await door("users.update", token, username="demo2")).slug is None
    assert await log_in(door, username="demo2") == "rate-limited"


@pytest.mark.usefixtures("token")
async def test_a_password_set_by_an_admin_lifts_the_lock(door: Door, gateway: Gateway) -> None:
    await fail(door)
    uuid = await gateway.uuid_of("demo")
    members = {"uuid": uuid, "password": "another horse, another battery"}
    assert (await door("admin.users.update", gateway.admin_key, **members)).slug is None
    assert await log_in(door, members["password"]) is None


@pytest.mark.usefixtures("token")
async def test_the_right_password_of_a_disabled_account_is_no_failure(
    door: Door, gateway: Gateway
) -> None:
    uuid = await gateway.uuid_of("demo")
    await door("admin.users.disable", gateway.admin_key, uuid=uuid)
    for _ in range(2 * FREE_FAILURES):
        assert await log_in(door) == "account-disabled"


@pytest.mark.usefixtures("token")
async def test_strangers_lock_each_other_out_and_not_whom_it_belongs_to(
    door_type: Open, gateway: Gateway
) -> None:
    home: Door = door_type(gateway)
    near: Door = door_type(gate_from(gateway, STRANGER))
    far: Door = door_type(gate_from(gateway, OTHER_STRANGER))
    await fail(near, FREE_FAILURES // 2)
    await fail(far, FREE_FAILURES // 2)
    assert await log_in(near) == await log_in(far) == "rate-limited"
    assert await log_in(home) is None
    assert await log_in(far) == "rate-limited"


async def test_a_name_that_nobody_has_is_answered_like_one_that_somebody_has(
    door_type: Open, gateway: Gateway
) -> None:
    """From strangers' addresses; through lock, wait and lock again."""
    await gateway.user("demo")
    answers = []
    for number, name in enumerate(["demo", "nobody"]):
        door = door_type(gate_from(gateway, f"198.51.100.{number}"))
        said = []
        for step in range(3 * FREE_FAILURES):
            said.append(await log_in(door, WRONG, name))
            if step % 4 == 3:
                gateway.clock.turn(FIRST_WAIT)
        answers.append(said)
    assert answers[0] == answers[1]
    assert set(answers[0]) == {"invalid-credentials", "rate-limited"}


# ---------------------------------------------------------------------------- by address


@pytest.mark.parametrize(
    ("operation", "limit", "members"),
    [
        ("users.auth", LOGINS, {"username": "n{}", "password": WRONG}),
        ("users.create", REGISTRATIONS, {"username": "no", "password": WRONG}),
        ("users.check", CHECKS, {"username": "demo{}"}),
    ],
)
async def test_an_address_has_its_allowance_which_comes_back(
    door: Door, gateway: Gateway, operation: str, limit: Any, members: dict[str, str]
) -> None:
    async def ask(number: int) -> str | None:
        sent = {name: value.format(number) for name, value in members.items()}
        return (await door(operation, **sent)).slug

    slugs = Counter([await ask(number) for number in range(limit.calls + 10)])
    assert slugs["rate-limited"] == 10
    gateway.clock.turn(timedelta(seconds=2 * limit.seconds))
    assert await ask(0) != "rate-limited"


async def test_both_doors_count_together(gateway: Gateway) -> None:
    doors: list[Door] = [RestDoor(gateway), ChatDoor(gateway)]
    for number in range(CHECKS.calls):
        assert (await doors[number % 2]("users.check", username="demo")).slug is None
    for door in doors:
        assert (await door("users.check", username="demo")).slug == "rate-limited"


async def test_a_change_of_name_tells_no_more_than_the_check_does(door: Door, token: str) -> None:
    for _ in range(CHECKS.calls):
        assert (await door("users.update", token, username="demo")).slug is None
    assert (await door("users.update", token, username="other")).slug == "rate-limited"
    assert (await door("users.update", token, display_name="Other")).slug is None


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("2001:db8:1:2::3", "2001:db8:1:2:ffff::4", True),
        ("2001:db8:1:2::3", "2001:db8:1:3::3", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
    ],
)
async def test_an_ipv6_address_stands_for_its_64(
    door_type: Open, gateway: Gateway, one: str, other: str, is_one: bool
) -> None:
    first: Door = door_type(gate_from(gateway, one))
    second: Door = door_type(gate_from(gateway, other))
    for _ in range(CHECKS.calls):
        await first("users.check", username="demo")
    refused = (await second("users.check", username="demo")).slug == "rate-limited"
    assert refused is is_one


@pytest.mark.parametrize(("trusted", "is_believed"), [("203.0.113.9", True), ("10.0.0.1", False)])
async def test_only_a_trusted_proxy_says_from_where_a_call_comes(
    gateway: Gateway, trusted: str, is_believed: bool
) -> None:
    gate = gate_from(gateway, "203.0.113.9", Settings(trusted_proxies=[trusted]))  # type: ignore[arg-type]
    statuses = set()
    for number in range(CHECKS.calls + 1):
        forwarded = {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}
        response = await gate.rest("HEAD", "/users/demo", headers=forwarded)
        statuses.add(response.status_code)
    assert statuses == ({404} if is_believed else {404, 429})


# ------------------------------------------------------------------------------ by key


def guess(number: int) -> str:
    return f"GUESS{number:03}-aaaa-bbbb-cccc-{number:08}"


async def test_after_too_many_wrong_keys_no_key_from_there_is_looked_at(
    door: Door, door_type: Open, gateway: Gateway, token: str
) -> None:
    for number in range(WRONG_KEYS.calls):
        assert (await door("users.self", guess(number))).slug == "unauthenticated"
    assert (await door("users.self", guess(999))).slug == "rate-limited"
    assert (await door("admin.users.list", gateway.admin_key, limit=1)).slug == "rate-limited"
    assert (await door("keys.create", gateway.admin_key, name="x")).slug == "rate-limited"
    assert (await door("users.self", token)).slug is None
    assert (await door("users.self", "a.forged.token")).slug == "unauthenticated"
    elsewhere = door_type(gate_from(gateway, STRANGER))
    assert (await elsewhere("users.self", gateway.admin_key)).slug is None
    gateway.clock.turn(timedelta(seconds=2 * WRONG_KEYS.seconds))
    assert (await door("users.self", gateway.admin_key)).slug is None


async def test_a_revoked_key_that_keeps_asking_is_no_guess(door: Door, gateway: Gateway) -> None:
    for _ in range(2 * WRONG_KEYS.calls):
        assert (await door("users.self", guess(1))).slug == "unauthenticated"
    assert (await door("users.self", gateway.admin_key)).slug is None


# ------------------------------------------------------------------------- switched off


@pytest.fixture
async def lenient(database: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(database, Settings(rate_limits="off")) as opened:
        await opened.sign_up("demo")
        yield opened


async def test_without_limits_nobody_waits(door_type: Open, lenient: Gateway) -> None:
    door = door_type(lenient)
    await fail(door, 2 * LOGINS.calls)
    assert await log_in(door) is None
    for number in range(2 * WRONG_KEYS.calls):
        assert (await door("users.self", guess(number))).slug == "unauthenticated"


# ----------------------------------------------------------------------- as it looks


async def test_rest_says_429_and_when_to_come_back(gateway: Gateway) -> None:
    await gateway.sign_up("demo")
    await fail(RestDoor(gateway))
    body = {"username": "demo", "password": PASSWORD}
    response = await gateway.rest("POST", "/users/auth", json=body)
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "15"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "/errors/rate-limited",
        "title": "Too many attempts",
        "status": 429,
        "detail": "Too many attempts; try again in 15 seconds.",
        "code": "rate-limited",
        "request_id": response.headers["X-Request-ID"],
    }


async def test_the_chats_door_says_it_in_both_of_its_dialects(gateway: Gateway) -> None:
    await gateway.sign_up("demo")
    await fail(ChatDoor(gateway))
    login = ("users.auth", ["demo", PASSWORD])
    sentence = "Too many attempts; try again in 15 seconds."
    error = (await gateway.rpc(*login))["error"]
    assert error == {"code": -32603, "message": "内部错误", "data": sentence}
    problem = (await gateway.rpc(*login, query="?errors=problem"))["error"]
    assert (problem["code"], problem["data"]["detail"]) == (-32021, sentence)


async def test_each_call_of_a_batch_counts(gateway: Gateway) -> None:
    call = {"jsonrpc": "2.0", "method": "users.check", "params": ["demo"]}
    for start in range(0, CHECKS.calls, 100):
        calls = [{**call, "id": start + number} for number in range(100)]
        replies = (await gateway.client.post("/rpc", json=calls)).json()
        assert all(reply["result"] is False for reply in replies)
    notifications = [call, {**call, "id": 1}]
    (refused,) = (await gateway.client.post("/rpc", json=notifications)).json()
    assert "Too many attempts" in refused["error"]["data"]


@pytest.mark.usefixtures("token")
async def test_of_logins_in_a_batch_no_more_are_judged_than_are_free(gateway: Gateway) -> None:
    login = {"jsonrpc": "2.0", "method": "users.auth", "params": ["demo", WRONG]}
    for expected in ("invalid-credentials", "rate-limited"):
        calls = [{**login, "id": number} for number in range(10)]
        replies = (await gateway.client.post("/rpc?errors=problem", json=calls)).json()
        slugs = Counter(reply["error"]["data"]["code"] for reply in replies)
        assert slugs == {expected: 10}


@pytest.mark.usefixtures("token")
async def test_of_two_hundred_guesses_at_once_no_more_are_judged_than_are_free(
    door: Door,
) -> None:
    slugs = Counter(await asyncio.gather(*(log_in(door, WRONG) for _ in range(200))))
    assert slugs == {"invalid-credentials": FREE_FAILURES, "rate-limited": 200 - FREE_FAILURES}
