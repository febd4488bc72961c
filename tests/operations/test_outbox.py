"""The outbox: one attempt at a delivery, what an admin sees of it, what the operator does to it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import InvalidInput, NotFound, Overloaded, UpstreamFailed
from app.domain.outbox import Delivery, State
from app.operations import operator, outbox
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.outbox import LeaseLostError, claim_messages, deliver_message
from app.operations.panel_sync import SERVERS
from tests.fakes.ports import FakeClock
from tests.fakes.services import account, as_admin, do, make_services, sign_up

pytestmark = pytest.mark.anyio


class Handler:
    """A handler that behaves as configured, and records its messages."""

    def __init__(self) -> None:
        self.does: Any = None
        self.got: list[Delivery] = []

    async def __call__(self, delivery: Delivery) -> Any:
        self.got.append(delivery)
        if isinstance(self.does, BaseException):
            raise self.does
        if callable(self.does):
            return await self.does()
        return self.does


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def services(clock: FakeClock, handler: Handler) -> Services:
    return make_services(clock=clock, handlers={SERVERS: handler})


@pytest.fixture
async def admin(services: Services) -> Caller:
    return await as_admin(services)


async def disable(services: Services, admin: Caller, name: str = "alice") -> None:
    uuid = (await sign_up(services, name)).uuid
    await do(services, "admin.users.disable", admin, uuid=uuid)


async def listed(services: Services, admin: Caller, **wanted: Any) -> Any:
    return (await do(services, "admin.outbox.list", admin, **wanted))["messages"]


async def attempt(services: Services) -> Delivery:
    (delivery,) = await claim_messages(services, "test", 1)
    return await deliver_message(services, delivery, "test")


async def test_a_message_is_announced_when_its_change_is_kept(
    services: Services, admin: Caller
) -> None:
    assert not services.outbox_changed.is_set()
    await disable(services, admin)
    assert services.outbox_changed.is_set()


async def test_the_handler_gets_the_message_with_its_number(
    services: Services, admin: Caller, handler: Handler
) -> None:
    await disable(services, admin)
    done = await attempt(services)
    (got,) = handler.got
    assert got.number == done.number > 0
    assert got.message.subject == (await account(services, "alice")).id
    assert got.message.payload == {"disabled": True}


@pytest.mark.parametrize(
    ("does", "error"),
    [
        (UpstreamFailed("panel"), UpstreamFailed("panel").detail),
        (Overloaded(), Overloaded().detail),
        (ZeroDivisionError("secret"), "Internal error; see the log of the gateway."),
    ],
)
async def test_a_failure_is_recorded_without_secrets_and_retried(
    services: Services,
    admin: Caller,
    handler: Handler,
    clock: FakeClock,
    does: Exception,
    error: str,
) -> None:
    await disable(services, admin)
    handler.does = does
    failed = await attempt(services)
    assert (failed.state, failed.error, failed.attempts) == (State.WAITING, error, 1)
    assert await claim_messages(services, "test", 1) == []
    clock.turn(timedelta(seconds=1))
    handler.does = {"well": True}
    done = await attempt(services)
    assert (done.state, done.error, done.outcome) == (State.DONE, None, {"well": True})


async def test_a_delivery_has_its_time(
    services: Services, admin: Caller, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "DELIVERY_MAX", timedelta(seconds=0.01))
    handler.does = lambda: asyncio.sleep(60)
    await disable(services, admin)
    failed = await attempt(services)
    assert (failed.state, failed.error) == (
        State.WAITING,
        "The delivery took longer than 0 seconds.",
    )


async def test_one_that_is_broken_off_is_given_back_at_once(
    services: Services, admin: Caller, handler: Handler
) -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    handler.does = wait
    await disable(services, admin)
    (delivery,) = await claim_messages(services, "test", 1)
    task = asyncio.create_task(deliver_message(services, delivery, "test"))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (again,) = await claim_messages(services, "other", 1)
    assert again.attempts == 1


async def test_an_admin_sees_how_far_it_got(
    services: Services, admin: Caller, handler: Handler, clock: FakeClock
) -> None:
    await disable(services, admin)
    user = await account(services, "alice")
    begun = clock.now()
    waiting: dict[str, Any] = {
        "id": 1,
        "kind": SERVERS,
        "user_id": str(user.id),
        "payload": {"disabled": True},
        "state": "waiting",
        "created_at": begun,
        "attempts": 0,
        "due_at": begun,
        "ended_at": None,
        "outcome": None,
        "error": None,
    }
    assert await listed(services, admin) == [waiting]
    handler.does = UpstreamFailed("panel")
    failed = await attempt(services)
    tried = {**waiting, "attempts": 1, "due_at": failed.due_at, "error": failed.error}
    assert await listed(services, admin, user=user.uuid) == [tried]
    clock.turn(timedelta(seconds=1))
    handler.does = {"stopped": []}
    await attempt(services)
    done = {**waiting, "attempts": 2, "state": "done", "due_at": None, "ended_at": clock.now()}
    assert await listed(services, admin, user=str(user.id)) == [
        {**done, "outcome": {"stopped": []}}
    ]


async def test_pages_end_to_end_are_the_whole_outbox(services: Services, admin: Caller) -> None:
    for name in ("alice", "bobby", "clara"):
        await disable(services, admin, name)
    first = await do(services, "admin.outbox.list", admin, limit=2)
    second = await do(services, "admin.outbox.list", admin, limit=2, cursor=first["next"])
    assert [m["id"] for m in first["messages"] + second["messages"]] == [3, 2, 1]
    assert second["next"] is None
    with pytest.raises(InvalidInput, match="cursor"):
        await do(services, "admin.outbox.list", admin, state="done", cursor=first["next"])


async def dead(services: Services, admin: Caller, handler: Handler, clock: FakeClock) -> int:
    await disable(services, admin)
    clock.turn(timedelta(days=8))
    handler.does = UpstreamFailed("panel")
    ended = await attempt(services)
    assert ended.state is State.DEAD
    return ended.number


async def test_the_operator_has_a_dead_message_tried_again(
    services: Services, admin: Caller, handler: Handler, clock: FakeClock
) -> None:
    number = await dead(services, admin, handler, clock)
    assert await claim_messages(services, "test", 1) == []
    await operator.retry_message(services, number)
    handler.does = None
    assert (await attempt(services)).state is State.DONE
    with pytest.raises(NotFound, match="no message"):
        await operator.retry_message(services, number)
    (entry, *_) = (await do(services, "admin.audit.list", admin))["entries"]
    assert (entry["action"], entry["actor"]) == ("outbox.retry", "operator")
    assert entry["target"] == {"kind": "message", "id": str(number)}
    assert entry["changes"] == {"state": {"before": "dead", "after": "waiting"}}


async def test_the_operator_does_not_wait_for_the_end_of_a_pause(
    services: Services, admin: Caller, handler: Handler
) -> None:
    await disable(services, admin)
    handler.does = UpstreamFailed("panel")
    number = (await attempt(services)).number
    await operator.retry_message(services, number)
    assert (await attempt(services)).number == number


async def test_the_operator_drops_a_message_that_is_not_being_delivered(
    services: Services, admin: Caller, handler: Handler, clock: FakeClock
) -> None:
    number = await dead(services, admin, handler, clock)
    await operator.drop_message(services, number)
    assert await listed(services, admin) == []
    with pytest.raises(NotFound):
        await operator.drop_message(services, number)
    (entry, *_) = (await do(services, "admin.audit.list", admin))["entries"]
    assert entry["changes"] == {"state": {"before": "dead", "after": None}}
    await disable(services, admin, "bobby")
    (held,) = await claim_messages(services, "test", 1)
    with pytest.raises(InvalidInput, match="is being delivered"):
        await operator.drop_message(services, held.number)


async def test_a_delivery_whose_lease_another_process_has_is_an_error(
    services: Services, admin: Caller
) -> None:
    await disable(services, admin)
    (delivery,) = await claim_messages(services, "another", 1)
    with pytest.raises(LeaseLostError, match=str(delivery.number)):
        await deliver_message(services, delivery, "test")
    (message,) = await listed(services, admin)
    assert message["state"] == "waiting"
