"""The outbox: one attempt at a delivery, what an admin sees of it, what the operator does to it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import InvalidInput, NotFound, Overloaded, UpstreamFailed
from app.domain.outbox import KEPT_FOR, Delivery, State
from app.usecases import operator, outbox
from app.usecases.call import Caller
from app.usecases.outbox import claim, deliver
from app.usecases.services import Services
from app.usecases.suspension import SERVERS
from tests.fakes.ports import FakeClock
from tests.fakes.services import account, as_admin, do, make_services, sign_up

pytestmark = pytest.mark.anyio


class Handler:
    """Does as it is told, and remembers the messages that it got."""

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
    (delivery,) = await claim(services, "test", 1)
    return await deliver(services, delivery, "test")


async def test_a_message_is_announced_when_its_change_is_kept(
    services: Services, admin: Caller
) -> None:
    assert not services.posted.is_set()
    await disable(services, admin)
    assert services.posted.is_set()


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
        (ZeroDivisionError("secret"), "A fault of the gateway's own; its log says more."),
    ],
)
async def test_what_went_wrong_is_a_sentence_without_a_secret_and_tried_again(
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
    assert await claim(services, "test", 1) == []
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
    assert (failed.state, failed.error) == (State.WAITING, "It took longer than 0 seconds.")


async def test_one_that_is_broken_off_is_given_back_at_once(
    services: Services, admin: Caller, handler: Handler
) -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    handler.does = wait
    await disable(services, admin)
    (delivery,) = await claim(services, "test", 1)
    task = asyncio.create_task(deliver(services, delivery, "test"))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (again,) = await claim(services, "other", 1)
    assert again.attempts == 1


async def test_what_was_done_is_forgotten_when_something_else_is_done_a_month_later(
    services: Services, admin: Caller, clock: FakeClock
) -> None:
    await disable(services, admin)
    await attempt(services)
    clock.turn(KEPT_FOR + timedelta(seconds=1))
    assert len(await listed(services, admin)) == 1
    await disable(services, admin, "bobby")
    await attempt(services)
    (left,) = await listed(services, admin)
    assert left["user_id"] == str((await account(services, "bobby")).id)


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
    assert await claim(services, "test", 1) == []
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


async def test_the_operator_drops_a_message_that_nobody_is_delivering(
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
    (held,) = await claim(services, "test", 1)
    with pytest.raises(InvalidInput, match="at this moment"):
        await operator.drop_message(services, held.number)
