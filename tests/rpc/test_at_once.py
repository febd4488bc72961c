"""What only reads is answered where it is read from the socket, or goes on from there once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from app.domain.ports import Transaction
from app.domain.throttling import CHECKS
from app.main import Application
from app.wire.begun import Begun
from tests.fakes.memory import MemoryStore
from tests.gateway import CLIENT, Gateway, open_gateway
from tests.rpc.wire import call, notification, result

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Knocking:
    """A request as the server has it, which may be answered at once, and else by ASGI."""

    def __init__(self, gateway: Gateway, sent: object, query: bytes = b"") -> None:
        self.app = cast("Application", gateway.app)
        self.body = json.dumps(sent).encode()
        self.replies: list[bytes] = []
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/rpc",
            "raw_path": b"/rpc",
            "query_string": query,
            "headers": [(b"content-type", b"application/json")],
            "client": CLIENT,
        }

    def at_once(self) -> Any:
        answer = self.app.at_once(self.scope, self.body)
        return None if answer is None else json.loads(answer[1].partition(b"\r\n\r\n")[2])

    async def later(self) -> Any:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": self.body}

        async def send(message: Any) -> None:
            self.replies.append(message.get("body", b""))

        await self.app(self.scope, receive, send)
        return json.loads(b"".join(self.replies))


def check(name: str) -> dict[str, Any]:
    return call("users.check", [name])


async def test_a_check_is_answered_at_once(door: Gateway) -> None:
    assert Knocking(door, check("alice")).at_once() == result(True)
    assert Knocking(door, check("nobody")).at_once() == result(False)
    assert Knocking(door, call("users.check", [7])).at_once()["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("sent", "query"),
    [
        (notification("users.check", ["alice"]), b""),
        ([check("alice")], b""),
        (call("users.create", ["users.check"]), b""),
        (call("users.self"), b""),
        (check("alice"), b"errors=problem"),
        ({**check("alice"), "jsonrpc": "users.self"}, b""),
    ],
)
async def test_others_are_left_to_the_usual_way(door: Gateway, sent: object, query: bytes) -> None:
    assert Knocking(door, sent, query).at_once() is None


class Slow(MemoryStore):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.opened.set()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        await self.opened.wait()
        return await super().read(work)


async def test_a_check_that_has_to_wait_goes_on_and_is_counted_once(database: Path) -> None:
    store = Slow()
    async with open_gateway(database, store=store) as gateway:
        store.opened.clear()
        asked = [Knocking(gateway, check("nobody")) for _ in range(CHECKS.calls)]
        assert [one.at_once() for one in asked] == [None] * CHECKS.calls
        answers = asyncio.gather(*(one.later() for one in asked))
        await asyncio.sleep(0)
        store.opened.set()
        assert await answers == [result(False)] * CHECKS.calls
        refused = Knocking(gateway, check("nobody")).at_once()
    assert "Too many attempts" in refused["error"]["data"]


async def test_where_it_always_waits_nothing_is_begun(database: Path) -> None:
    store = MemoryStore()
    store.seldom_waits = False
    async with open_gateway(database, store=store) as gateway:
        knocking = Knocking(gateway, check("nobody"))
        assert knocking.at_once() is None
        assert await knocking.later() == result(False)


# ------------------------------------------------------------------- begun without a task


async def halting(*waits: asyncio.Future[int]) -> list[object]:
    """What comes of each future, errors among them."""
    return [await asyncio.gather(wait, return_exceptions=True) for wait in waits]


async def test_what_waits_for_nothing_is_done_when_it_is_begun() -> None:
    begun = Begun(halting())
    assert begun.is_done
    assert begun.result == []


async def test_what_waits_goes_on_in_a_task_of_any_kind() -> None:
    waits = [asyncio.get_running_loop().create_future() for _ in range(3)]
    begun = Begun(halting(*waits))
    assert not begun.is_done
    waits[0].set_result(1)

    async def rest() -> list[object]:
        return await begun

    going = asyncio.create_task(rest())
    await asyncio.sleep(0)
    waits[1].set_exception(error := ValueError())
    await asyncio.sleep(0)
    waits[2].set_result(3)
    assert await going == [[1], [error], [3]]


async def test_who_is_cancelled_where_he_waits_can_clean_up() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(True)

    async def rest(begun: Begun[None]) -> None:
        await begun

    going = asyncio.create_task(rest(Begun(work())))
    await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert cleaned == [True]


async def test_what_goes_wrong_at_once_is_raised() -> None:
    async def work() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        Begun(work())
