"""`GET /audit`: pages, links, and what it refuses."""

from datetime import timedelta
from typing import Any

import pytest

from tests.gateway import Gateway

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["", "/api"])
def path(request: pytest.FixtureRequest) -> str:
    return f"{request.param}/audit"


async def links(gateway: Gateway, path: str) -> dict[str, str]:
    """The Link header's targets by relation."""
    answer = await gateway.rest("GET", path, gateway.admin_key)
    assert answer.status_code == 200
    return {name: str(link["url"]) for name, link in answer.links.items() if name}


async def entries(gateway: Gateway, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await gateway.rest("GET", path, gateway.admin_key)).json()
    return found


async def test_the_trail_is_an_array_with_the_newest_first(gateway: Gateway, path: str) -> None:
    answer = await gateway.rest("POST", "/users/@self", json=SIGN_UP)
    newest, first = await entries(gateway, path)
    assert (newest["action"], first["action"]) == ("users.create", "admin.users.create")
    assert newest["request_id"] == answer.headers["x-request-id"]
    assert (newest["door"], newest["address"]) == ("rest", "203.0.113.9")
    assert newest["at"] == "2026-01-01T12:00:00Z"


SIGN_UP = {"username": "alice", "password": "correct horse battery"}


async def test_links_lead_through_all_pages_and_keep_the_prefix_and_filters(
    gateway: Gateway, path: str
) -> None:
    for name in ("alice", "bobby", "clara"):
        await gateway.user(name)
    whole = await entries(gateway, f"{path}?action=users.auth")
    found, at = [], f"{path}?action=users.auth&limit=2"
    while at:
        found += await entries(gateway, at)
        following = await links(gateway, at)
        assert following["first"] == f"{path}?action=users.auth&limit=2"
        at = following.get("next", "")
    assert found == whole
    assert len(whole) == 3


async def test_a_follower_gets_new_entries_in_order(gateway: Gateway, path: str) -> None:
    await gateway.user("alice")
    whole = await entries(gateway, path)
    assert await entries(gateway, f"{path}?after=0") == whole[::-1]
    assert await entries(gateway, f"{path}?after=1&limit=1") == [whole[-2]]
    last = whole[0]["id"]
    assert await entries(gateway, f"{path}?after={last}") == []
    assert "next" not in await links(gateway, f"{path}?after=0&limit=1")
    await gateway.log_in("alice")
    (new,) = await entries(gateway, f"{path}?after={last}&action=users.auth")
    assert new["id"] == last + 1


async def test_without_a_limit_there_are_a_hundred(gateway: Gateway) -> None:
    for number in range(101):
        await gateway.sign_up(f"user{number}")
        # One address may sign up a hundred in an hour.
        gateway.clock.turn(timedelta(minutes=1))
    assert len(await entries(gateway, "/audit")) == 100
    assert len(await entries(gateway, "/audit?limit=1000")) == 102
    assert (await links(gateway, "/audit"))["first"] == "/audit?limit=100"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("after=0&cursor=nonsense", "cursor"),
        ("after=-1", "after"),
        ("after=9007199254740992", "after"),
        ("after=x", "after"),
        ("since=yesterday", "since"),
        ("actor=", "actor"),
        ("target=", "target"),
        ("action=", "action"),
        ("outcome=", "outcome"),
        ("until=2026-01-01", "until"),
        ("who=alice", "who"),
        ("actor=a&actor=b", "actor"),
    ],
)
async def test_a_query_that_means_nothing_is_refused_by_name(
    gateway: Gateway, path: str, query: str, name: str
) -> None:
    answer = await gateway.rest("GET", f"{path}?{query}", gateway.admin_key)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-input")
    assert [field_error["query"] for field_error in answer.json()["errors"]] == [name]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_caller_writes_the_audit_log(gateway: Gateway, path: str, method: str) -> None:
    answer = await gateway.rest(method, path, gateway.admin_key)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
