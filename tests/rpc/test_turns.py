"""A batch of calls that wait for nothing lets others have their turn."""

import asyncio
import json
from itertools import count
from typing import Any

import pytest

from app.rpc import exchange
from tests.gateway import Gateway

pytestmark = pytest.mark.anyio

CALLS = 40


async def answered(gateway: Gateway, calls: list[dict[str, Any]]) -> list[Any]:
    """The replies to a batch, asked for without anything that waits."""
    body = json.dumps(calls).encode()
    sent = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/rpc",
        "raw_path": b"/rpc",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("203.0.113.9", 4711),
    }
    await gateway.app(scope, receive, send)  # type: ignore[arg-type]
    replies: list[Any] = json.loads(sent)
    return replies


@pytest.mark.parametrize("seconds", [exchange.TURN_SECONDS / 4, exchange.TURN_SECONDS * 2])
async def test_others_have_their_turn_as_often_as_a_batch_takes_too_long(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Each look at the clock is so many seconds after the one before."""
    ticks = count()
    monkeypatch.setattr(exchange, "perf_counter", lambda: next(ticks) * seconds)
    turns = 0

    async def wait_for_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    calls = [{"jsonrpc": "2.0", "method": f"no.{number}", "id": number} for number in range(CALLS)]
    other = asyncio.ensure_future(wait_for_turns())
    await asyncio.sleep(0)
    before = turns
    replies = await answered(gateway, calls)
    had = turns - before
    other.cancel()
    assert [reply["id"] for reply in replies] == [*range(CALLS)]
    expected = CALLS if seconds > exchange.TURN_SECONDS else CALLS * seconds / exchange.TURN_SECONDS
    assert expected / 2 <= had <= expected + 1
