"""Rate limits: one count for both APIs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.rate_limits import (
    CHECKS,
    FAILURES_BEFORE_LOCK,
    FAILURES_EXPIRE_AFTER,
    LOCK_MAX,
    LOCK_MIN,
    LOGINS,
    REGISTRATIONS,
    WRONG_KEYS,
)
from app.main import create_app
from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import CLIENT, Gate, Gateway, open_gateway
from tests.parity.apis import Api, RestApi, RpcApi

pytestmark = pytest.mark.anyio

WRONG = "wrong horse battery"
SECOND = timedelta(seconds=1)
STRANGER, OTHER_STRANGER = "198.51.100.1", "198.51.100.2"
Open = type[RpcApi | RestApi]


@pytest.fixture(params=[RestApi, RpcApi])
def api_type(request: pytest.FixtureRequest) -> Open:
    found: Open = request.param
    return found


@pytest.fixture
def api(api_type: Open, gateway: Gateway) -> Api:
    return api_type(gateway)


def gate_from(gateway: Gateway, address: str, settings: Settings | None = None) -> Gate:
    """The same server, called from another address."""
    app = create_app(settings or Settings(), gateway.services)
    transport = httpx.ASGITransport(app, client=(address, 4711))
    return Gate(httpx.AsyncClient(transport=transport, base_url="http://gateway"))


async def log_in(api: Api, password: str = PASSWORD, username: str = "demo") -> str | None:
    return (await api("users.auth", username=username, password=password)).slug


async def fail(api: Api, times: int = FAILURES_BEFORE_LOCK, username: str = "demo") -> None:
    for _ in range(times):
        assert await log_in(api, WRONG, username) == "invalid-credentials"


@pytest.fixture
async def token(gateway: Gateway) -> str:
    """A live session of `demo`, whose home is where the tests ask from."""
    return await gateway.user("demo")


# ---------------------------------------------------------------------------- by account


@pytest.mark.usefixtures("token")
async def test_wrong_passwords_lock_an_account_which_opens_as_time_goes_by(
    api: Api, gateway: Gateway
) -> None:
    await fail(api)
    assert await log_in(api, WRONG) == await log_in(api) == "rate-limited"
    gateway.clock.turn(LOCK_MIN - SECOND)
    assert await log_in(api) == "rate-limited"
    gateway.clock.turn(SECOND)
    assert await log_in(api) is None


@pytest.mark.usefixtures("token")
async def test_the_lock_grows_to_a_quarter_of_an_hour_and_no_further(
    api: Api, gateway: Gateway
) -> None:
    await fail(api)
    for _ in range(12):
        gateway.clock.turn(LOCK_MAX)
        await fail(api, 1)
    gateway.clock.turn(LOCK_MAX - SECOND)
    assert await log_in(api) == "rate-limited"
    gateway.clock.turn(SECOND)
    assert await log_in(api) is None


@pytest.mark.usefixtures("token")
async def test_a_right_password_or_a_day_without_a_wrong_one_resets_the_count(
    api: Api, gateway: Gateway
) -> None:
    await fail(api, FAILURES_BEFORE_LOCK - 1)
    assert await log_in(api) is None
    await fail(api, FAILURES_BEFORE_LOCK - 1)
    gateway.clock.turn(FAILURES_EXPIRE_AFTER)
    await fail(api)
    assert await log_in(api) == "rate-limited"


async def test_a_locked_account_goes_on_with_what_it_has(
    api: Api, gateway: Gateway, token: str
) -> None:
    key = (await api("keys.create", token, name="bot")).value["key"]
    await fail(api)
    assert await log_in(api) == "rate-limited"
    assert (await api("users.self", token)).slug is None
    assert (await api("users.refresh", token)).slug is None
    assert (await api("users.self", key)).slug is None


async def test_wrong_current_passwords_count_as_those_of_logins_do(api: Api, token: str) -> None:
    await fail(api, FAILURES_BEFORE_LOCK - 1)
    change = {"current": WRONG, "password": "another horse, another battery"}
    assert (await api("users.password", token, **change)).slug == "wrong-password"
    for current in (WRONG, PASSWORD):
        changed = await api("users.password", token, **{**change, "current": current})
        assert changed.slug == "rate-limited"
    assert await log_in(api) == "rate-limited"


async def test_a_new_name_is_no_new_count(api: Api, token: str) -> None:
    await fail(api)
    assert (await api("users.update", token, username="demo2")).slug is None
    assert await log_in(api, username="demo2") == "rate-limited"


@pytest.mark.usefixtures("token")
async def test_a_password_set_by_an_admin_lifts_the_lock(api: Api, gateway: Gateway) -> None:
    await fail(api)
    uuid = await gateway.uuid_of("demo")
    members = {"uuid": uuid, "password": "another horse, another battery"}
    assert (await api("admin.users.update", gateway.admin_key, **members)).slug is None
    assert await log_in(api, members["password"]) is None


@pytest.mark.usefixtures("token")
async def test_the_right_password_of_a_disabled_account_is_no_failure(
    api: Api, gateway: Gateway
) -> None:
    uuid = await gateway.uuid_of("demo")
    await api("admin.users.disable", gateway.admin_key, uuid=uuid)
    for _ in range(2 * FAILURES_BEFORE_LOCK):
        assert await log_in(api) == "account-disabled"


@pytest.mark.usefixtures("token")
async def test_unfamiliar_places_lock_each_other_out_but_not_the_owner(
    api_type: Open, gateway: Gateway
) -> None:
    home: Api = api_type(gateway)
    near: Api = api_type(gate_from(gateway, STRANGER))
    far: Api = api_type(gate_from(gateway, OTHER_STRANGER))
    await fail(near, FAILURES_BEFORE_LOCK // 2)
    await fail(far, FAILURES_BEFORE_LOCK // 2)
    assert await log_in(near) == await log_in(far) == "rate-limited"
    assert await log_in(home) is None
    assert await log_in(far) == "rate-limited"


async def test_unknown_and_known_names_get_equal_responses(
    api_type: Open, gateway: Gateway
) -> None:
    """From unfamiliar addresses; through lock, wait and lock again."""
    await gateway.user("demo")
    answers = []
    for number, name in enumerate(["demo", "nobody"]):
        api = api_type(gate_from(gateway, f"198.51.100.{number}"))
        said = []
        for step in range(3 * FAILURES_BEFORE_LOCK):
            said.append(await log_in(api, WRONG, name))
            if step % 4 == 3:
                gateway.clock.turn(LOCK_MIN)
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
    api: Api, gateway: Gateway, operation: str, limit: Any, members: dict[str, str]
) -> None:
    async def ask(number: int) -> str | None:
        sent = {name: value.format(number) for name, value in members.items()}
        return (await api(operation, **sent)).slug

    slugs = Counter([await ask(number) for number in range(limit.calls + 10)])
    assert slugs["rate-limited"] == 10
    gateway.clock.turn(timedelta(seconds=2 * limit.seconds))
    assert await ask(0) != "rate-limited"


async def test_both_apis_count_together(gateway: Gateway) -> None:
    apis: list[Api] = [RestApi(gateway), RpcApi(gateway)]
    for number in range(CHECKS.calls):
        assert (await apis[number % 2]("users.check", username="demo")).slug is None
    for api in apis:
        assert (await api("users.check", username="demo")).slug == "rate-limited"


async def test_a_change_of_name_tells_no_more_than_the_check_does(api: Api, token: str) -> None:
    for _ in range(CHECKS.calls):
        assert (await api("users.update", token, username="demo")).slug is None
    assert (await api("users.update", token, username="other")).slug == "rate-limited"
    assert (await api("users.update", token, display_name="Other")).slug is None


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
    api_type: Open, gateway: Gateway, one: str, other: str, is_one: bool
) -> None:
    first: Api = api_type(gate_from(gateway, one))
    second: Api = api_type(gate_from(gateway, other))
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
    api: Api, api_type: Open, gateway: Gateway, token: str
) -> None:
    for number in range(WRONG_KEYS.calls):
        assert (await api("users.self", guess(number))).slug == "unauthenticated"
    assert (await api("users.self", guess(999))).slug == "rate-limited"
    assert (await api("admin.users.list", gateway.admin_key, limit=1)).slug == "rate-limited"
    assert (await api("keys.create", gateway.admin_key, name="x")).slug == "rate-limited"
    assert (await api("users.self", token)).slug is None
    assert (await api("users.self", "a.forged.token")).slug == "unauthenticated"
    elsewhere = api_type(gate_from(gateway, STRANGER))
    assert (await elsewhere("users.self", gateway.admin_key)).slug is None
    gateway.clock.turn(timedelta(seconds=2 * WRONG_KEYS.seconds))
    assert (await api("users.self", gateway.admin_key)).slug is None


async def test_a_revoked_key_that_keeps_asking_is_no_guess(api: Api, gateway: Gateway) -> None:
    for _ in range(2 * WRONG_KEYS.calls):
        assert (await api("users.self", guess(1))).slug == "unauthenticated"
    assert (await api("users.self", gateway.admin_key)).slug is None


# ------------------------------------------------------------------------- switched off


@pytest.fixture
async def lenient(database: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(database, Settings(rate_limits="off")) as opened:
        await opened.sign_up("demo")
        yield opened


async def test_without_limits_no_request_waits(api_type: Open, lenient: Gateway) -> None:
    api = api_type(lenient)
    await fail(api, 2 * LOGINS.calls)
    assert await log_in(api) is None
    for number in range(2 * WRONG_KEYS.calls):
        assert (await api("users.self", guess(number))).slug == "unauthenticated"


# ------------------------------------------------------------------------------- exempt


async def test_an_exempt_network_has_limits_of_accounts_alone(
    api_type: Open, database: Path
) -> None:
    settings = Settings(rate_limit_exempt=(ip_network(CLIENT[0]),))
    async with open_gateway(database, settings) as gateway:
        await gateway.sign_up("demo")
        api = api_type(gateway)
        for number in range(LOGINS.calls + 1):
            assert await log_in(api, WRONG, f"n{number}") == "invalid-credentials"
            assert (await api("users.self", guess(number))).slug == "unauthenticated"
            refused = await api("users.create", username="no", password=WRONG)
            assert refused.slug == "invalid-username"
        check = {"jsonrpc": "2.0", "id": 1, "method": "users.check", "params": ["demo"]}
        for _ in range(CHECKS.calls // 100 + 1):
            replies = (await gateway.client.post("/rpc", json=[check] * 100)).json()
            assert [reply["result"] for reply in replies] == [True] * 100
        await fail(api)
        assert await log_in(api) == "rate-limited"


# ----------------------------------------------------------------------- as it looks


async def test_rest_says_429_and_when_to_come_back(gateway: Gateway) -> None:
    await gateway.sign_up("demo")
    await fail(RestApi(gateway))
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
        "retry_after": 15,
    }


async def test_rpc_says_it_in_both_of_its_dialects(gateway: Gateway) -> None:
    await gateway.sign_up("demo")
    await fail(RpcApi(gateway))
    login = ("users.auth", ["demo", PASSWORD])
    sentence = "Too many attempts; try again in 15 seconds."
    error = (await gateway.rpc(*login))["error"]
    assert error == {"code": -32603, "message": "内部错误", "data": sentence}
    problem = (await gateway.rpc(*login, query="?errors=problem"))["error"]
    assert (problem["code"], problem["data"]["detail"]) == (-32021, sentence)
    assert problem["data"]["retry_after"] == 15


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
    api: Api,
) -> None:
    slugs = Counter(await asyncio.gather(*(log_in(api, WRONG) for _ in range(200))))
    assert slugs == {
        "invalid-credentials": FAILURES_BEFORE_LOCK,
        "rate-limited": 200 - FAILURES_BEFORE_LOCK,
    }
