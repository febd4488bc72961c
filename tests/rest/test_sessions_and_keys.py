"""One's own sessions and access keys."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from jose.jwt import get_unverified_claims

from tests.fakes.services import PASSWORD
from tests.gateway import CLIENT, Gateway
from tests.rest.wire import UNKNOWN, flaws_of, problem_of

pytestmark = pytest.mark.anyio

SESSIONS, KEYS = "/users/@self/sessions", "/users/@self/keys"


@pytest.fixture
async def token(gateway: Gateway) -> str:
    return await gateway.user("alice")


@pytest.fixture(scope="module")
async def alice(shared_gateway: Gateway) -> str:
    """A token of a user who changes nothing."""
    return await shared_gateway.log_in("alice")


async def sessions_of(gateway: Gateway, credential: str) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = (await gateway.rest("GET", SESSIONS, credential)).json()
    return sessions


async def create_key(gateway: Gateway, credential: str, **members: Any) -> Any:
    return await gateway.rest("POST", KEYS, credential, json={"name": "panel", **members})


async def status_of(gateway: Gateway, credential: str) -> int:
    return (await gateway.rest("GET", "/users/@self", credential)).status_code


# ------------------------------------------------------------------------- sessions


async def test_a_session_is_shown_in_full(gateway: Gateway, token: str) -> None:
    (session,) = await sessions_of(gateway, token)
    assert session == {
        "id": session["id"],
        "created_at": "2026-01-01T12:00:00Z",
        "expires_at": "2026-01-08T12:00:00Z",
        "last_seen_at": "2026-01-01T12:00:00Z",
        "address": CLIENT[0],
        "agent": gateway.client.headers["user-agent"],
        "current": True,
    }


async def test_the_current_session_is_the_one_that_asks(gateway: Gateway, token: str) -> None:
    other = await gateway.log_in("alice")
    assert [session["current"] for session in await sessions_of(gateway, token)] == [True, False]
    assert [session["current"] for session in await sessions_of(gateway, other)] == [False, True]


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_one_session_is_ended_by_its_id(gateway: Gateway, token: str, prefix: str) -> None:
    other = await gateway.log_in("alice")
    path = f"{prefix}{SESSIONS}/{(await sessions_of(gateway, token))[1]['id']}"
    response = await gateway.rest("DELETE", path, token)
    assert (response.status_code, response.content) == (204, b"")
    assert (await status_of(gateway, token), await status_of(gateway, other)) == (200, 401)
    problem_of(await gateway.rest("DELETE", path, token), 404, "not-found")


async def test_the_current_session_is_ended_by_its_name(gateway: Gateway, token: str) -> None:
    other = await gateway.log_in("alice")
    response = await gateway.rest("DELETE", f"{SESSIONS}/@current", token)
    assert response.status_code == 204
    assert (await status_of(gateway, token), await status_of(gateway, other)) == (401, 200)


async def test_without_an_id_all_sessions_but_this_one_end(gateway: Gateway, token: str) -> None:
    others = [await gateway.log_in("alice") for _ in range(3)]
    for _ in range(2):
        assert (await gateway.rest("DELETE", SESSIONS, token)).status_code == 204
    assert await status_of(gateway, token) == 200
    assert [await status_of(gateway, other) for other in others] == [401] * 3


@pytest.mark.parametrize("session_id", [UNKNOWN, "x", "@Current", "%00", "*", "x" * 5000])
async def test_a_session_of_another_user_is_not_found(
    shared_gateway: Gateway, alice: str, session_id: str
) -> None:
    response = await shared_gateway.rest("DELETE", f"{SESSIONS}/{session_id}", alice)
    problem_of(response, 404, "not-found")
    assert await status_of(shared_gateway, alice) == 200


async def test_anothers_session_is_not_found_and_goes_on(gateway: Gateway, token: str) -> None:
    other = await gateway.user("bobby")
    path = f"{SESSIONS}/{(await sessions_of(gateway, other))[0]['id']}"
    problem_of(await gateway.rest("DELETE", path, token), 404, "not-found")
    assert await status_of(gateway, other) == 200


async def test_an_access_key_has_no_session_to_end_or_to_refresh(gateway: Gateway) -> None:
    for verb, path in (("DELETE", f"{SESSIONS}/@current"), ("POST", "/users/@self/token")):
        problem_of(await gateway.rest(verb, path, gateway.admin_key), 403, "forbidden")


async def test_a_refreshed_token_is_of_the_same_session_and_the_old_one_goes_on(
    gateway: Gateway, token: str
) -> None:
    gateway.clock.turn(timedelta(days=1))
    response = await gateway.rest("POST", "/users/@self/token", token)
    assert response.status_code == 200
    assert list(response.json()) == ["user_id", "token", "expires_at"]
    (session,) = await sessions_of(gateway, response.json()["token"])
    assert session["current"] is True
    assert session["expires_at"] == "2026-01-09T12:00:00Z"
    assert response.json()["token"] != token
    assert await status_of(gateway, token) == 200


async def test_both_apis_say_when_the_token_expires(gateway: Gateway, token: str) -> None:
    gateway.clock.turn(timedelta(hours=1, milliseconds=1750))
    login = {"username": "alice", "password": PASSWORD}
    issued = [
        (await gateway.rest("POST", "/users/auth", json=login)).json(),
        (await gateway.rest("POST", "/users/@self/token", token)).json(),
        (await gateway.rpc("users.refresh", auth=token))["result"],
    ]
    for answer in issued:
        expires_at = datetime.fromisoformat(answer["expires_at"])
        assert expires_at == datetime(2026, 1, 8, 13, 0, 1, tzinfo=UTC)
        assert get_unverified_claims(answer["token"])["exp"] == expires_at.timestamp()
    # The chat document's own answer has two members.
    answer = await gateway.rpc("users.auth", login)
    assert answer["result"].keys() == {"user_id", "token"}


# ----------------------------------------------------------------------------- keys


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_key_is_created_and_shown_once(gateway: Gateway, token: str, prefix: str) -> None:
    response = await gateway.rest("POST", f"{prefix}{KEYS}", token, json={"name": "panel"})
    created = response.json()
    key = created.pop("key")
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    assert key.startswith(created["id"] + "-")
    assert created == {
        "id": created["id"],
        "name": "panel",
        "created_at": "2026-01-01T12:00:00Z",
        "expires_at": None,
        "last_used_at": None,
        "scope": "admin",
        "networks": None,
    }
    listed = await gateway.rest("GET", f"{prefix}{KEYS}", token)
    assert listed.json() == [created]
    assert key[9:] not in listed.text


async def test_a_key_opens_its_owners_account_and_says_when(gateway: Gateway, token: str) -> None:
    key = (await create_key(gateway, token)).json()["key"]
    gateway.clock.turn(timedelta(hours=1))
    assert await status_of(gateway, key) == 200
    with anyio.fail_after(10):
        # Notes of use are written together; nothing tells when.
        while (  # noqa: ASYNC110
            await gateway.rest("GET", KEYS, token)
        ).json()[0]["last_used_at"] is None:
            await anyio.sleep(0.05)
    (shown,) = (await gateway.rest("GET", KEYS, token)).json()
    assert shown["last_used_at"] == "2026-01-01T13:00:00Z"


async def test_a_key_may_end(gateway: Gateway, token: str) -> None:
    created = (await create_key(gateway, token, expires_at="2026-01-01T14:00:00+01:00")).json()
    assert created["expires_at"] == "2026-01-01T13:00:00Z"
    assert await status_of(gateway, created["key"]) == 200
    gateway.clock.turn(timedelta(hours=1))
    assert await status_of(gateway, created["key"]) == 401


@pytest.mark.parametrize(
    "expires_at", ["", "tomorrow", "2030-01-31", "2030-01-31T12:00:00", "2020-01-31T12:00:00Z"]
)
async def test_an_end_that_cannot_be_is_pointed_at(
    shared_gateway: Gateway, alice: str, expires_at: str
) -> None:
    response = await create_key(shared_gateway, alice, expires_at=expires_at)
    assert flaws_of(response) == ["#/expires_at"]


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "a\u0000b"])
async def test_a_name_that_cannot_be_is_pointed_at(
    shared_gateway: Gateway, alice: str, name: str
) -> None:
    assert flaws_of(await create_key(shared_gateway, alice, name=name)) == ["#/name"]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"scope": "write"}, "#/scope"),
        ({"scope": None}, "#/scope"),
        ({"networks": []}, "#/networks"),
        ({"networks": "10.0.0.0/8"}, "#/networks"),
        ({"networks": ["10.0.0.0/8", 1]}, "#/networks"),
        ({"networks": ["10.0.0.1/8"]}, "#/networks"),
    ],
)
async def test_a_limit_that_cannot_be_is_pointed_at(
    shared_gateway: Gateway, alice: str, members: dict[str, Any], pointer: str
) -> None:
    assert flaws_of(await create_key(shared_gateway, alice, **members)) == [pointer]


async def test_a_limited_key_shows_its_limits(gateway: Gateway, token: str) -> None:
    limits = {"scope": "self", "networks": ["2001:DB8::/32", CLIENT[0]]}
    created = (await create_key(gateway, token, **limits)).json()
    assert (created["scope"], created["networks"]) == ("self", [f"{CLIENT[0]}/32", "2001:db8::/32"])
    assert await status_of(gateway, created["key"]) == 200


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_revoked_key_is_dead_at_once(gateway: Gateway, token: str, prefix: str) -> None:
    created = (await create_key(gateway, token)).json()
    path = f"{prefix}{KEYS}/{created['id']}"
    response = await gateway.rest("DELETE", path, token)
    assert (response.status_code, response.content) == (204, b"")
    assert await status_of(gateway, created["key"]) == 401
    problem_of(await gateway.rest("DELETE", path, token), 404, "not-found")


async def test_anothers_key_is_not_found_and_goes_on(gateway: Gateway, token: str) -> None:
    path = f"{KEYS}/{gateway.admin_key[:8]}"
    problem_of(await gateway.rest("DELETE", path, token), 404, "not-found")
    assert await status_of(gateway, gateway.admin_key) == 200


async def test_keys_are_not_revoked_all_at_once_by_mistake(
    shared_gateway: Gateway, alice: str
) -> None:
    problem_of(await shared_gateway.rest("DELETE", KEYS, alice), 405, "method-not-allowed")
