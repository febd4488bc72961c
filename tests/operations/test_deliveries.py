"""The courier of a process that serves: at once, a few at a time, and clean in the end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.errors import Overloaded
from app.domain.outbox import Delivery, Message, State
from app.domain.ports.store import Transaction
from app.operations.framework.services import Services
from app.operations.panel_sync import SERVERS
from app.server import outbox_worker
from app.server.outbox_worker import CONCURRENT_MAX, deliver_outbox
from tests.fakes.memory import MemoryStore
from tests.fakes.services import as_admin, do, make_services, sign_up

pytestmark = pytest.mark.anyio

SECONDS = 20.0
NEVER = 3600.0


class Handler:
    """A handler that holds every delivery until it is released."""

    def __init__(self) -> None:
        self.begun: list[Delivery] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, delivery: Delivery) -> None:
        self.begun.append(delivery)
        await self.gate.wait()


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def services(handler: Handler) -> Services:
    return make_services(handlers={SERVERS: handler})


async def add(services: Services, *subjects: int) -> None:
    """As another process does, unknown to this one."""

    def work(tx: Transaction) -> None:
        for subject in subjects:
            tx.outbox.add(Delivery.from_message(Message(SERVERS, subject), services.clock.now()))

    await services.store.write(work)


async def depth(services: Services) -> int:
    found = await services.store.scan(lambda tx: tx.outbox.depth())
    return sum(each.messages for each in found)


async def eventually(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_empty(services: Services) -> None:
    async with asyncio.timeout(SECONDS):
        while await depth(services):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_messages_of_this_process_are_delivered_without_a_wait(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "POLL_SECONDS", NEVER)
    admin = await as_admin(services)
    uuid = (await sign_up(services, "alice")).uuid
    async with deliver_outbox(services):
        # It has looked, found nothing, and waits.
        await eventually(lambda: not services.outbox_changed.is_set())
        for disabled in (True, False, True):
            await do(services, "admin.users.update", admin, uuid=uuid, disabled=disabled)
        await until_empty(services)
    messages = (await do(services, "admin.outbox.list", admin))["messages"]
    assert [message["state"] for message in messages] == ["done"] * 3


async def test_messages_of_other_processes_are_found_soon(
    services: Services, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "POLL_SECONDS", 0.01)
    async with deliver_outbox(services):
        await asyncio.sleep(0.05)
        await add(services, 1)
        await until_empty(services)
    assert len(handler.begun) == 1


async def test_no_more_than_a_few_are_under_way_at_once(
    services: Services, handler: Handler
) -> None:
    handler.gate.clear()
    await add(services, *range(3 * CONCURRENT_MAX))
    async with deliver_outbox(services):
        await eventually(lambda: len(handler.begun) == CONCURRENT_MAX)
        services.outbox_changed.set()
        await asyncio.sleep(0.05)
        assert len(handler.begun) == CONCURRENT_MAX
        handler.gate.set()
        await until_empty(services)
    assert len(handler.begun) == 3 * CONCURRENT_MAX


async def test_a_slow_delivery_delays_no_other(services: Services, handler: Handler) -> None:
    handler.gate.clear()
    await add(services, 1)
    async with deliver_outbox(services):
        await eventually(lambda: handler.begun)
        await add(services, 1, 2)
        services.outbox_changed.set()
        await eventually(lambda: len(handler.begun) == 2)
        assert [delivery.message.subject for delivery in handler.begun] == [1, 2]
        handler.gate.set()
        await until_empty(services)


async def test_at_the_end_what_is_under_way_is_given_back(
    services: Services, handler: Handler
) -> None:
    handler.gate.clear()
    await add(services, 1)
    async with asyncio.timeout(SECONDS):
        async with deliver_outbox(services):
            await eventually(lambda: handler.begun)
    now = services.clock.now()
    (again,) = await services.store.write(lambda tx: tx.outbox.claim([SERVERS], now, "next", 1))
    assert (again.state, again.attempts) == (State.WAITING, 1)


async def test_without_handlers_no_task_runs() -> None:
    before = asyncio.all_tasks()
    async with deliver_outbox(make_services()):
        assert asyncio.all_tasks() == before


class Weak(MemoryStore):
    """Fails at first."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def scan(self, work: Callable[[Transaction], Any]) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return await super().scan(work)


async def test_a_store_that_fails_for_a_while_stops_no_worker(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "POLL_SECONDS", 0.01)
    services = make_services(
        store=Weak(Overloaded(), ZeroDivisionError()), handlers={SERVERS: handler}
    )
    await add(services, 1)
    async with deliver_outbox(services):
        await eventually(lambda: handler.begun)
        await until_empty(services)
