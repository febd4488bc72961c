"""`locked_until`: an account that wrong passwords lock, as an admin sees it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.rate_limits import FAILURES_BEFORE_LOCK, LOCK_MIN
from app.domain.timestamps import format_time
from app.main import create_app
from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import CLIENT, Gateway, client_of
from tests.rest.wire import create

pytestmark = pytest.mark.anyio


@pytest.fixture
async def locked(gateway: Gateway) -> str:
    """The uuid of an account that was locked just now; another one is not."""
    for name in ("alice", "bobby"):
        await create(gateway, name, email=f"{name}@example.com", password=PASSWORD)
    for _ in range(FAILURES_BEFORE_LOCK):
        reply = await gateway.rpc("users.auth", ["alice", "wrong horse"])
        assert "error" in reply
    return await gateway.uuid_of("alice")


async def seen(gateway: Gateway, path: str) -> dict[str, Any]:
    response = await gateway.rest("GET", path, gateway.admin_key)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def all_views(gateway: Gateway, uuid: str) -> list[dict[str, Any]]:
    """The account in each place where an admin sees it."""
    page = await gateway.rpc("admin.users.list", auth=gateway.admin_key)
    detail = await gateway.rpc("admin.users.get", [uuid], gateway.admin_key)
    return [
        (await seen(gateway, "/users"))[uuid],
        (await seen(gateway, "/users?sort=-username"))[uuid],
        (await seen(gateway, "/users?limit=10"))[uuid],
        await seen(gateway, f"/users/{uuid}"),
        page["result"]["users"][uuid],
        detail["result"],
    ]


async def test_the_end_of_the_lock_is_shown_for_as_long_as_it_lasts(
    gateway: Gateway, locked: str
) -> None:
    ends_at = format_time(gateway.clock.now() + LOCK_MIN)
    for _ in range(2):
        assert [view["locked_until"] for view in await all_views(gateway, locked)] == [ends_at] * 6
    others = [view for uuid, view in (await seen(gateway, "/users")).items() if uuid != locked]
    assert len(others) == 2
    assert not any("locked_until" in view for view in others)
    gateway.clock.turn(LOCK_MIN - timedelta(milliseconds=1))
    assert all("locked_until" in view for view in await all_views(gateway, locked))
    # Without a commit, which alone would empty the cache.
    gateway.clock.turn(timedelta(milliseconds=1))
    assert not any("locked_until" in view for view in await all_views(gateway, locked))


async def test_it_goes_when_an_admin_lifts_the_lock(gateway: Gateway, locked: str) -> None:
    await gateway.rest("DELETE", f"/users/{locked}/lock", gateway.admin_key)
    assert not any("locked_until" in view for view in await all_views(gateway, locked))


async def test_the_entity_tag_tells_of_the_lock_and_does_not_guard_a_change_against_it(
    gateway: Gateway, locked: str
) -> None:
    path = f"/users/{locked}"
    view = await gateway.rest("GET", path, gateway.admin_key)
    gateway.clock.turn(LOCK_MIN)
    after = await gateway.rest("GET", path, gateway.admin_key)
    assert view.headers["ETag"] != after.headers["ETag"]
    stale = {"If-None-Match": view.headers["ETag"]}
    assert (await gateway.rest("GET", path, gateway.admin_key, headers=stale)).status_code == 200
    sent_back = await gateway.rest(
        "PUT",
        path,
        gateway.admin_key,
        json={**view.json(), "email": "new@example.com"},
        headers={"If-Match": view.headers["ETag"]},
    )
    assert sent_back.status_code == 204, sent_back.text
    assert (await seen(gateway, path))["email"] == "new@example.com"


async def test_without_rate_limits_no_account_is_locked(gateway: Gateway, locked: str) -> None:
    rules = replace(gateway.services.rules, rate_limits=False)
    app = create_app(Settings(rate_limits="off"), replace(gateway.services, rules=rules))
    async with client_of(app, CLIENT[0]) as client:
        headers = {"X-Access-Token": gateway.admin_key}
        view = (await client.get(f"/users/{locked}", headers=headers)).json()
    assert view["username"] == "alice"
    assert "locked_until" not in view
