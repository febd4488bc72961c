"""The clock is set back and forward, while a gateway runs and while it does not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.domain.credentials import TokenClaims
from app.domain.rate_limits import FAILURES_BEFORE_LOCK, LOCK_MIN, REGISTRATIONS
from app.security.ids import EPOCH, Snowflakes, snowflake_time
from app.security.rate_limiter import MemoryRateLimiter
from app.security.signing_keys import SigningKeyFile
from app.security.tokens import JoseTokens
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import FakeClock, FakeIds
from tests.fakes.services import PASSWORD
from tests.faults.load import eventually
from tests.faults.shifted import shift
from tests.gateway import Gateway
from tests.postgres import new_database
from tests.rest.wire import problem_of
from tests.server_process import Server, serving

pytestmark = pytest.mark.anyio

HOUR, DAY, DECADE = timedelta(hours=1), timedelta(days=1), timedelta(days=3653)


# --------------------------------------------------------------------- a real process


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    if request.param == "sqlite":
        yield {}
        return
    with new_database() as url:
        yield {"GATEHOUSE_DATABASE_URL": url}


@contextmanager
def serving_by(clock: Path, folder: Path, settings: dict[str, str]) -> Iterator[Server]:
    """A server that is as far ahead as the file `clock` says."""
    with serving(folder, partial(shift, clock), **settings) as server:
        yield server


def test_ids_go_on_increasing_and_tokens_open_whatever_the_clock_does(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    clock, ids, tokens = tmp_path / "ahead", list[int](), list[str]()

    def turn(by: timedelta) -> None:
        draft = tmp_path / "draft"
        draft.write_text(f"{by // timedelta(seconds=1)}")
        os.replace(draft, clock)

    def visit(server: Server, by: timedelta) -> None:
        """Sign up and log in a user; the credentials of all users are accepted."""
        turn(by)
        login = {"username": f"visitor{len(ids)}", "password": PASSWORD}
        ids.append(int(server.client.post("/users/@self", json=login).json()["id"]))
        tokens.append(server.client.post("/users/auth", json=login).json()["token"])
        for token in tokens:
            headers = {"X-Access-Token": token}
            assert server.client.get("/users/@self", headers=headers).status_code == 200

    turn(timedelta())
    with serving_by(clock, tmp_path, settings) as server:
        for by in (timedelta(), -HOUR, DAY, timedelta()):
            visit(server, by)
    turn(-HOUR)
    with serving_by(clock, tmp_path, settings) as server:
        for by in (-HOUR, DAY, timedelta()):
            visit(server, by)
    assert ids == sorted(set(ids))


def test_machines_at_one_database_go_by_its_clock(tmp_path: Path) -> None:
    clock = tmp_path / "ahead"
    clock.write_text(f"{20 * 60}")
    with (
        new_database() as url,
        serving_by(clock, tmp_path, {"GATEHOUSE_DATABASE_URL": url}) as server,
    ):
        eventually(lambda: server.client.get("/health/ready").json().get("failing") == ["clock"])
        assert "1200 s ahead of the database clock" in server.log.so_far
        login = {"username": "visitor", "password": PASSWORD}
        made = server.client.post("/users/@self", json=login).json()
        assert abs(snowflake_time(int(made["id"])) - datetime.now(UTC)) < timedelta(minutes=1)


# ------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("back", [HOUR, DECADE, timedelta(days=20_000)])
def test_snowflakes_neither_repeat_nor_wait_after_the_clock_was_set_back(back: timedelta) -> None:
    """More ids than fit into one millisecond, while the clock does not move."""
    clock = FakeClock()
    ids = Snowflakes(clock, worker=lambda: 0)
    given = [ids.new_snowflake()]
    clock.turn(-back)
    given += [ids.new_snowflake() for _ in range(10_000)]
    again = Snowflakes(clock, worker=lambda: 0, floor=given[-1])
    given += [again.new_snowflake() for _ in range(10_000)]
    assert given == sorted(set(given))
    # Four thousand to a millisecond: the time in them runs ahead by no more than is used up.
    ahead = (given[-1] >> 22) - (given[0] >> 22)
    assert ahead < 10
    assert given[0] >> 22 == (clock.now() + back - EPOCH) // timedelta(milliseconds=1)


# ------------------------------------------------------------------- tokens, sessions, keys


async def test_a_token_goes_on_after_the_clock_was_set_back_and_ends_by_the_clock(
    gateway: Gateway,
) -> None:
    token = await gateway.user("alice")
    gateway.clock.turn(-HOUR)
    tokens = [token, await gateway.log_in("alice")]

    async def statuses() -> list[int]:
        return [(await gateway.rest("GET", "/users/@self", token)).status_code for token in tokens]

    assert await statuses() == [200, 200]
    gateway.clock.turn(timedelta(days=7))
    assert await statuses() == [200, 401]
    gateway.clock.turn(HOUR)
    assert await statuses() == [401, 401]
    # Nothing but the clock has ended them.
    gateway.clock.turn(-DAY)
    assert await statuses() == [200, 200]


async def test_a_token_is_renewed_after_the_clock_was_set_back(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    gateway.clock.turn(-HOUR)
    renewed = await gateway.rest("POST", "/users/@self/token", token)
    assert renewed.status_code == 200
    answer = await gateway.rest("GET", "/users/@self", renewed.json()["token"])
    assert answer.status_code == 200


async def test_a_key_ends_by_the_clock(gateway: Gateway) -> None:
    ends = {"name": "x", "expires_at": "2026-01-01T13:00:00Z"}
    made = await gateway.rest("POST", "/users/@self/keys", gateway.admin_key, json=ends)
    key = made.json()["key"]
    for turned, status in ((-HOUR, 200), (DAY, 401), (-DAY, 200), (2 * HOUR, 401)):
        gateway.clock.turn(turned)
        assert (await gateway.rest("GET", "/users/@self", key)).status_code == status


@pytest.mark.parametrize("back", [HOUR, DECADE])
async def test_a_use_is_noted_after_the_clock_was_set_back(
    gateway: Gateway, back: timedelta
) -> None:
    token = await gateway.user("alice")
    gateway.clock.turn(-back)
    await gateway.rest("PATCH", "/users/@self", token, json={"display_name": "Alice"})
    (session,) = (await gateway.rest("GET", "/users/@self/sessions", token)).json()
    assert session["last_seen_at"] == f"{gateway.clock.now():%Y-%m-%dT%H:%M:%SZ}"


async def test_a_key_that_is_trusted_no_more_is_noticed_after_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    clock, store, ids = FakeClock(), MemoryStore(), FakeIds()
    signing = SigningKeyFile(tmp_path, clock)
    await signing.ensure(store)
    kid = signing.current().kid
    tokens = JoseTokens(signing, store, clock)
    token = tokens.issue(
        TokenClaims(
            ids.new_snowflake(), ids.new_uuid(), clock.now(), clock.now() + DAY, ids.new_uuid()
        )
    )
    assert await tokens.verify(token) is not None
    clock.turn(-HOUR)
    await store.write(lambda tx: tx.signing_keys.retire(kid, clock.now() - timedelta(days=90)))
    assert await tokens.verify(token) is None


# ---------------------------------------------------------------------------- throttling


async def log_in(gateway: Gateway, password: str = PASSWORD, name: str = "alice") -> Any:
    login = {"username": name, "password": password}
    return await gateway.rest("POST", "/users/auth", json=login)


@pytest.mark.parametrize("name", ["alice", "nobody"])
@pytest.mark.parametrize("back", [timedelta(minutes=1), HOUR, DECADE])
async def test_a_lock_is_as_long_as_ever_after_the_clock_was_set_back(
    gateway: Gateway, back: timedelta, name: str
) -> None:
    await gateway.sign_up("alice")
    for _ in range(FAILURES_BEFORE_LOCK):
        assert (await log_in(gateway, "wrong horse", name)).status_code == 401
    gateway.clock.turn(-back)
    wait = LOCK_MIN // timedelta(seconds=1)
    refused = await log_in(gateway, name=name)
    problem_of(refused, 429, "rate-limited")
    assert int(refused.headers["retry-after"]) == wait
    gateway.clock.turn(timedelta(seconds=wait - 1))
    refused = await log_in(gateway, name=name)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    gateway.clock.turn(timedelta(seconds=1))
    assert (await log_in(gateway, name=name)).status_code == (200 if name == "alice" else 401)


async def test_a_lock_is_over_when_the_clock_is_a_day_further(gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    for _ in range(FAILURES_BEFORE_LOCK):
        await log_in(gateway, "wrong horse")
    gateway.clock.turn(DAY)
    assert (await log_in(gateway)).status_code == 200


@pytest.mark.parametrize("turned", [-HOUR, -DECADE, DAY])
async def test_an_address_waits_no_longer_than_its_limit_says(turned: timedelta) -> None:
    clock = FakeClock()
    rate_limiter = MemoryRateLimiter(clock)
    for _ in range(REGISTRATIONS.calls):
        assert not await rate_limiter.count(REGISTRATIONS, "203.0.113.7")
    assert await rate_limiter.count(REGISTRATIONS, "203.0.113.7")
    clock.turn(turned)
    assert rate_limiter.peek(REGISTRATIONS, "203.0.113.7") <= REGISTRATIONS.seconds
    for _ in range(REGISTRATIONS.calls):
        await rate_limiter.count(REGISTRATIONS, "203.0.113.7")
    assert 0 < await rate_limiter.count(REGISTRATIONS, "203.0.113.7") <= 2 * REGISTRATIONS.seconds


# ------------------------------------------------------------------------------ the rest


async def test_a_name_is_held_back_for_as_long_by_the_clock(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    await gateway.rest("PATCH", "/users/@self", token, json={"username": "carol"})

    async def is_taken() -> bool:
        return (await gateway.rest("HEAD", "/users/alice")).status_code == 204

    for turned, taken in ((-HOUR, True), (DAY, True), (timedelta(days=30), False), (-DAY, True)):
        gateway.clock.turn(turned)
        assert await is_taken() is taken


async def test_a_request_is_repeated_after_the_clock_was_set_back(gateway: Gateway) -> None:
    body, headers = {"name": "robot"}, {"Idempotency-Key": "x"}

    async def made() -> str:
        path = "/users/@self/keys"
        answer = await gateway.rest("POST", path, gateway.admin_key, json=body, headers=headers)
        return str(answer.json()["id"])

    first = await made()
    gateway.clock.turn(-HOUR)
    assert await made() == first
    gateway.clock.turn(DAY + HOUR)
    second = await made()
    assert second != first
    # One of a clock that was far ahead is no more one of the last 24 hours.
    gateway.clock.turn(-DECADE)
    assert await made() not in {first, second}


@pytest.mark.parametrize("back", [HOUR, DECADE])
async def test_a_refusal_is_on_record_after_the_clock_was_set_back(
    gateway: Gateway, back: timedelta
) -> None:
    await gateway.sign_up("alice")

    async def refusals() -> int:
        query = {"outcome": "invalid-credentials"}
        found = await gateway.rest("GET", "/audit", gateway.admin_key, params=query)
        return len(found.json())

    async def eventually(count: int) -> None:
        with anyio.fail_after(20):
            # Refusals are written together; nothing tells when.
            while await refusals() < count:  # noqa: ASYNC110
                await anyio.sleep(0.05)

    await log_in(gateway, "wrong horse")
    await eventually(1)
    gateway.clock.turn(-back)
    await log_in(gateway, "wrong horse")
    await eventually(2)
