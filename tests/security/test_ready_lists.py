"""A page of the list that is ready is never older than the store, and outlives no admin."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.http import response_cache
from app.storage.sqlite.lookups import SqliteLookups
from app.storage.sqlite.store import SqliteStore
from tests.gateway import Gateway
from tests.rest.wire import create
from tests.security.cast import make_admin, make_key
from tests.security.test_ready_answers import elsewhere, note_use

pytestmark = pytest.mark.anyio

Ask = Callable[[], Awaitable[Any]]


def by_rest(gateway: Gateway, credential: str) -> Ask:
    async def ask() -> Any:
        response = await gateway.rest("GET", "/users?limit=100", credential)
        if response.status_code != 200:
            return response.status_code
        return [user["username"] for user in response.json().values()]

    return ask


def by_rpc(gateway: Gateway, credential: str) -> Ask:
    async def ask() -> Any:
        reply = await gateway.rpc("admin.users.list", auth=credential)
        if "error" in reply:
            query = "?errors=problem"
            reply = await gateway.rpc("admin.users.list", auth=credential, query=query)
            return reply["error"]["data"]["status"]
        return [user["username"] for user in reply["result"]["users"].values()]

    return ask


@pytest.fixture
async def boss(gateway: Gateway) -> str:
    """The token of a second admin."""
    return await make_admin(gateway, "alice")


@pytest.fixture(params=[by_rest, by_rpc])
async def ask(request: pytest.FixtureRequest, gateway: Gateway, boss: str) -> Ask:
    """The second admin asks for the list, and has done so before."""
    asking: Ask = request.param(gateway, boss)
    for _ in range(3):
        assert await asking() == ["admin", "alice"]
    return asking


async def test_it_is_given_without_a_look_into_the_store(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unasked(*_: object) -> None:
        raise AssertionError("the store was read")

    monkeypatch.setattr(SqliteStore, "read", unasked)
    assert await ask() == ["admin", "alice"]


async def test_it_is_what_it_would_be_if_it_were_not(gateway: Gateway, boss: str) -> None:
    for prefix in ("", "/api"):
        path = f"{prefix}/users?limit=1"
        first = await gateway.rest("GET", path, boss)
        again = await gateway.rest("GET", path, boss)
        headed = await gateway.rest("HEAD", path, boss)
        names = [(name, value) for name, value in first.headers.items() if name != "x-request-id"]
        assert first.links["first"]["url"] == path
        assert first.links["next"]["url"].startswith(f"{path}&cursor=")
        assert again.content == first.content
        for other in (again, headed):
            assert [pair for pair in other.headers.items() if pair[0] != "x-request-id"] == names


async def test_a_new_user_is_in_the_next_response(gateway: Gateway, ask: Ask) -> None:
    await gateway.user("bobby")
    assert await ask() == ["admin", "alice", "bobby"]
    await create(gateway, "carol")
    assert await ask() == ["admin", "alice", "bobby", "carol"]


async def test_a_change_by_another_admin_is_in_the_next_response(
    gateway: Gateway, ask: Ask
) -> None:
    path = f"/users/{await gateway.uuid_of('alice')}"
    await gateway.rest("PUT", path, gateway.admin_key, json={"username": "other"})
    assert await ask() == ["admin", "other"]
    await gateway.rpc("users.update", {"username": "third"}, auth=await gateway.user("bobby"))
    assert await ask() == ["admin", "other", "third"]


async def test_a_commit_of_another_process_is_in_the_next_response(
    database: Path, ask: Ask
) -> None:
    elsewhere(database, "UPDATE users SET username = 'other' WHERE username = 'alice'")
    assert await ask() == ["admin", "other"]
    elsewhere(database, "UPDATE users SET disabled = 1 WHERE username = 'admin'")
    assert await ask() == ["other"]


async def test_an_admin_whose_token_ended_gets_none(gateway: Gateway, boss: str, ask: Ask) -> None:
    await gateway.rpc("users.logout", auth=boss)
    assert await ask() == 401


@pytest.mark.parametrize(("change", "status"), [({"admin": 0}, 403), ({"disabled": 1}, 401)])
async def test_a_former_admin_gets_no_cached_list(
    gateway: Gateway, ask: Ask, change: dict[str, Any], status: int
) -> None:
    path = f"/users/{await gateway.uuid_of('alice')}"
    await gateway.rest("PUT", path, gateway.admin_key, json=change)
    assert await ask() == status


async def test_an_admin_demoted_by_another_process_gets_none(database: Path, ask: Ask) -> None:
    elsewhere(database, "UPDATE users SET admin = 0 WHERE username = 'alice'")
    assert await ask() == 403


async def test_it_ends_with_the_token_to_the_second(gateway: Gateway, ask: Ask) -> None:
    gateway.clock.turn(timedelta(days=7, seconds=-1))
    for _ in range(2):
        assert await ask() == ["admin", "alice"]
    gateway.clock.turn(timedelta(seconds=1))
    assert await ask() == 401


@pytest.mark.parametrize("way", [by_rest, by_rpc])
async def test_a_key_that_is_bound_to_networks_gets_none_elsewhere(
    gateway: Gateway, boss: str, way: Callable[[Gateway, str], Ask]
) -> None:
    key = await make_key(gateway, boss, networks=["203.0.113.9"])
    await note_use(gateway, key)
    async with gateway.seen_at("203.0.113.8") as other:
        for _ in range(3):
            assert await way(gateway, key)() == ["admin", "alice"]
            assert await way(other, key)() == 401


async def test_another_question_has_another_answer(gateway: Gateway, boss: str) -> None:
    await by_rest(gateway, boss)()
    await by_rpc(gateway, boss)()
    for _ in range(2):
        found = await gateway.rest("GET", "/users?limit=1", boss)
        assert [user["username"] for user in found.json().values()] == ["admin"]
        for params in ({"limit": 1}, ["admin"]):
            reply = await gateway.rpc("admin.users.list", params, auth=boss)
            users = reply["result"]["users"].values()
            assert [user["username"] for user in users] == ["admin"]
        assert await by_rpc(gateway, boss)() == ["admin", "alice"]
        whole = await gateway.rest("GET", "/users", boss)
        assert "link" not in whole.headers
        assert len(whole.json()) == 2
    for query in ("limit=100&x=1", "limit=100&limit=100", "limit=0"):
        assert (await gateway.rest("GET", f"/users?{query}", boss)).status_code == 400


# ---------------------------------------------------------------------------------- bounds


async def test_cached_responses_have_a_bound_in_bytes(
    gateway: Gateway, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = [await gateway.user(name) for name in ("alice", "bobby", "carol")]
    queries: list[str] = []
    look_up = SqliteLookups.get_session_with_owner

    def counted(lookups: SqliteLookups, session_id: str) -> Any:
        queries.append(session_id)
        return look_up(lookups, session_id)

    async def from_cache(token: str) -> bool:
        queries.clear()
        assert (await gateway.rest("GET", "/users/@self", token)).status_code == 200
        return not queries

    async def cached() -> list[bool]:
        elsewhere(database, "UPDATE users SET version = version + 1")
        for token in tokens:
            assert not await from_cache(token)
        # The newest first: a miss would be kept in the place of an older one.
        return [await from_cache(token) for token in reversed(tokens)]

    monkeypatch.setattr(SqliteLookups, "get_session_with_owner", counted)
    assert await cached() == [True, True, True]
    monkeypatch.setattr(response_cache, "SIZE_MAX", 600)
    assert await cached() == [True, True, False]
    monkeypatch.setattr(response_cache, "RESPONSE_MAX", 200)
    assert await cached() == [False, False, False]
