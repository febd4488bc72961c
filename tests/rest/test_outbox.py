"""`GET /outbox`: pages, links, what it refuses; and what the metrics tell of it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import Overloaded
from app.domain.outbox import Delivery
from app.operations.panel_sync import SERVERS
from app.storage.sqlite.store import SqliteStore
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio


async def deliver_nothing(_: Delivery) -> None:
    """Here messages are only kept."""


@pytest.fixture
async def waiting(database: Path) -> AsyncIterator[Gateway]:
    """A gateway with pending messages about three accounts for the panel."""
    async with open_gateway(database, handlers={SERVERS: deliver_nothing}) as gateway:
        for name in ("alice", "bobby", "clara"):
            await gateway.sign_up(name)
            uuid = await gateway.uuid_of(name)
            await gateway.rest("DELETE", f"/users/{uuid}", gateway.admin_key)
        yield gateway


@pytest.fixture(params=["", "/api"])
def path(request: pytest.FixtureRequest) -> str:
    return f"{request.param}/outbox"


async def test_an_admin_sees_what_waits_the_newest_first(waiting: Gateway, path: str) -> None:
    answer = await waiting.rest("GET", path, waiting.admin_key)
    assert answer.status_code == 200
    messages: list[dict[str, Any]] = answer.json()
    assert [message["id"] for message in messages] == [3, 2, 1]
    user = (await waiting.rest("GET", "/users?username=alice&status=all", waiting.admin_key)).json()
    of_alice = await waiting.rest("GET", f"{path}?user={next(iter(user))}", waiting.admin_key)
    assert of_alice.json() == [messages[-1]]
    assert messages[-1]["created_at"] == "2026-01-01T12:00:00Z"


async def test_links_lead_through_all_pages(waiting: Gateway, path: str) -> None:
    first = await waiting.rest("GET", f"{path}?state=waiting&limit=2", waiting.admin_key)
    assert first.links["first"]["url"] == f"{path}?state=waiting&limit=2"
    following = first.links["next"]["url"]
    second = await waiting.rest("GET", following, waiting.admin_key)
    assert [message["id"] for message in first.json() + second.json()] == [3, 2, 1]
    assert "next" not in second.links


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("state=lost", 400, "invalid-input"),
        ("limit=0", 400, "invalid-input"),
        ("cursor=nonsense", 400, "invalid-input"),
        ("account=1", 400, "invalid-input"),
        ("user=nobody", 404, "user-not-found"),
    ],
)
async def test_unknown_parameters_are_refused(
    gateway: Gateway, query: str, status: int, code: str
) -> None:
    problem_of(await gateway.rest("GET", f"/outbox?{query}", gateway.admin_key), status, code)


async def test_metrics_tell_how_much_waits_and_since_when(waiting: Gateway) -> None:
    waiting.clock.turn(timedelta(minutes=2))
    text = (await waiting.rest("GET", "/metrics", waiting.admin_key)).text
    labels = '{kind="servers",state="waiting"}'
    assert f"gatehouse_outbox_messages{labels} 3.0" in text
    assert f"gatehouse_outbox_oldest_seconds{labels} 120.0" in text


async def test_metrics_do_without_a_store_that_cannot_be_asked(
    waiting: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise Overloaded

    monkeypatch.setattr(SqliteStore, "scan", refuse)
    answer = await waiting.rest("GET", "/metrics", waiting.admin_key)
    assert answer.status_code == 200
    assert "gatehouse_http_request_seconds" in answer.text
    assert "gatehouse_outbox" not in answer.text
