"""Disabling an account stops its servers at the panel, and enabling starts just those again."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest

from app.domain.errors import UpstreamFailed, UpstreamTimeout
from app.domain.guilds_and_servers import SERVERS_MAX, PanelServer
from app.domain.outbox import Delivery, OutboxFilter, State, retry_delay
from app.domain.ports.store import Transaction
from app.domain.ports.upstreams import Cached
from app.operations import operator
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.outbox import claim_messages, deliver_message
from app.operations.panel_sync import SERVERS, make_panel_handler
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import FakeClock
from tests.fakes.services import account, as_admin, do, make_services, sign_up

pytestmark = pytest.mark.anyio

A, B, C = (f"7c9e6679-7425-40de-944b-e07fc1f90a{n:02}" for n in range(3))


class FakePanel:
    """Servers by owner, each with whether it is active; it writes down which it switches.

    While `is_down`, it refuses; `fails_after` is how many more it switches before it does. Of those
    that `hangs` has it switches none, and two of them take all the time there is.
    """

    def __init__(self) -> None:
        self.servers: dict[str, dict[str, bool]] = {}
        self.told: list[tuple[str, str]] = []
        self.is_down = False
        self.fails_after: int | None = None
        self.hangs: set[str] = set()

    async def list_servers(self, owner: str) -> Cached[Sequence[PanelServer]]:
        return Cached(await self.fetch_servers(owner))

    async def fetch_servers(self, owner: str) -> Sequence[PanelServer]:
        if self.is_down:
            raise UpstreamFailed("panel")
        return [PanelServer(uuid, active) for uuid, active in self.servers.get(owner, {}).items()]

    async def stop_servers(self, owner: str, servers: Sequence[str]) -> None:
        await self._switch(owner, servers, on=False)

    async def start_servers(self, owner: str, servers: Sequence[str]) -> None:
        await self._switch(owner, servers, on=True)

    async def _switch(self, owner: str, servers: Sequence[str], *, on: bool) -> None:
        there = {server.uuid: server for server in await self.fetch_servers(owner)}
        hanging = 0
        for server in filter(None, map(there.get, servers)):
            if server.active is not on:
                if server.uuid in self.hangs:
                    hanging += 1
                    if hanging == 2:
                        # An attempt has no time for more.
                        raise TimeoutError
                    continue
                if self.fails_after == 0:
                    raise UpstreamTimeout("panel")
                if self.fails_after is not None:
                    self.fails_after -= 1
                self.servers[owner][server.uuid] = on
                self.told.append(("start" if on else "stop", server.uuid))


@pytest.fixture
def panel() -> FakePanel:
    return FakePanel()


@pytest.fixture
def services(clock: FakeClock, panel: FakePanel) -> Services:
    store = MemoryStore()
    return make_services(
        store=store, clock=clock, handlers={SERVERS: make_panel_handler(store, panel)}
    )


@pytest.fixture
async def admin(services: Services) -> Caller:
    return await as_admin(services)


@pytest.fixture
async def owner(services: Services, panel: FakePanel) -> str:
    """The uuid of `alice`, who has two running servers and a suspended one."""
    uuid = (await sign_up(services, "alice")).uuid
    panel.servers[uuid] = {A: True, B: True, C: False}
    return uuid


async def set_disabled(services: Services, admin: Caller, uuid: str, disabled: bool) -> None:
    await do(services, "admin.users.update", admin, uuid=uuid, disabled=disabled)


async def deliver_due(services: Services) -> list[Delivery]:
    """Everything that is due, one after the other; what became of each."""
    ended: list[Delivery] = []
    while claimed := await claim_messages(services, "test", 1):
        ended += [await deliver_message(services, delivery, "test") for delivery in claimed]
    return ended


async def test_disabling_stops_what_runs_and_enabling_starts_just_that(
    services: Services, admin: Caller, owner: str, panel: FakePanel
) -> None:
    await set_disabled(services, admin, owner, True)
    (stopped,) = await deliver_due(services)
    assert panel.servers[owner] == {A: False, B: False, C: False}
    assert stopped.outcome == {"stopped": [A, B]}
    await set_disabled(services, admin, owner, False)
    (started,) = await deliver_due(services)
    assert panel.servers[owner] == {A: True, B: True, C: False}
    assert started.outcome == {"started": [A, B]}


async def test_every_way_of_disabling_tells_the_panel(
    services: Services, admin: Caller, owner: str, panel: FakePanel
) -> None:
    await do(services, "admin.users.disable", admin, uuid=owner)
    await deliver_due(services)
    assert panel.told == [("stop", A), ("stop", B)]
    await operator.set_disabled(services, "alice", False)
    await deliver_due(services)
    assert panel.told[2:] == [("start", A), ("start", B)]
    await operator.set_disabled(services, "alice", True)
    await deliver_due(services)
    assert panel.told[4:] == [("stop", A), ("stop", B)]


def drop(number: int, tx: Transaction) -> None:
    tx.outbox.delete(number)


async def test_an_unreachable_panel_is_reported_to_the_operator(
    services: Services, admin: Caller, owner: str, clock: FakeClock
) -> None:
    elsewhere = make_services(store=services.store, clock=clock)

    async def is_informed(at: Services, name: str, disabled: bool) -> bool:
        view, is_informed = await operator.set_disabled(at, name, disabled)
        assert (view["username"], view.get("disabled", 0)) == (name, int(disabled))
        return is_informed

    await sign_up(services, "bobby")
    assert await is_informed(elsewhere, "bobby", True)
    await set_disabled(services, admin, owner, True)
    assert not await is_informed(elsewhere, "bobby", False)
    assert await is_informed(services, "bobby", True)
    await deliver_due(services)
    # What is done is deleted some day.
    for done in await services.store.scan(lambda tx: tx.outbox.list_page(OutboxFilter(), None, 9)):
        await services.store.write(partial(drop, done.number))
    assert await is_informed(elsewhere, "bobby", False)
    assert not await is_informed(elsewhere, "alice", False)


async def test_an_operation_without_a_change_sends_no_message(
    services: Services, admin: Caller, owner: str
) -> None:
    await set_disabled(services, admin, owner, False)
    await do(services, "admin.users.update", admin, uuid=owner, display_name="Alice")
    await set_disabled(services, admin, owner, True)
    await set_disabled(services, admin, owner, True)
    assert len(await deliver_due(services)) == 1


async def test_without_a_panel_nothing_is_kept(clock: FakeClock) -> None:
    services = make_services(clock=clock)
    admin = await as_admin(services)
    uuid = (await sign_up(services, "alice")).uuid
    await set_disabled(services, admin, uuid, True)
    assert (await do(services, "admin.outbox.list", admin))["messages"] == []
    assert not services.outbox_changed.is_set()


@pytest.mark.parametrize("ups", range(1, 4))
async def test_however_soon_it_is_changed_again_the_end_is_right(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock, ups: int
) -> None:
    panel.is_down = True
    for number in range(ups):
        await set_disabled(services, admin, owner, number % 2 == 0)
        await deliver_due(services)
    panel.is_down = False
    clock.turn(timedelta(minutes=5))
    ended = await deliver_due(services)
    assert [delivery.state for delivery in ended] == [State.DONE] * ups
    is_active = ups % 2 == 0
    assert panel.servers[owner] == {A: is_active, B: is_active, C: False}
    await set_disabled(services, admin, owner, not is_active or False)
    await set_disabled(services, admin, owner, False)
    await deliver_due(services)
    assert panel.servers[owner] == {A: True, B: True, C: False}


@pytest.mark.parametrize("done", [0, 1])
async def test_servers_stopped_by_an_interrupted_attempt_are_started_again(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock, done: int
) -> None:
    panel.fails_after = done
    await set_disabled(services, admin, owner, True)
    (failed,) = await deliver_due(services)
    assert failed.state is State.WAITING
    assert failed.error == UpstreamTimeout("panel").detail
    panel.fails_after = None
    clock.turn(retry_delay(1, 1))
    (stopped,) = await deliver_due(services)
    assert stopped.outcome == {"stopped": [A, B]}
    await set_disabled(services, admin, owner, False)
    await deliver_due(services)
    assert panel.servers[owner] == {A: True, B: True, C: False}


async def test_servers_that_hang_keep_no_other_running_for_good(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock
) -> None:
    panel.servers[owner] = dict.fromkeys((A, B, C), True)
    panel.hangs = {A, B}
    await set_disabled(services, admin, owner, True)
    for attempt in range(1, 4):
        (failed,) = await deliver_due(services)
        assert failed.state is State.WAITING
        clock.turn(retry_delay(attempt, 1))
    assert panel.told == [("stop", C)]
    panel.hangs = set()
    (stopped,) = await deliver_due(services)
    assert stopped.outcome == {"stopped": [A, B, C]}


async def test_servers_invented_by_a_panel_at_each_attempt_are_bounded(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock
) -> None:
    known, user_id = panel.servers[owner], (await account(services, "alice")).id

    async def kept() -> Sequence[str]:
        return await services.store.read(lambda tx: tx.stopped_servers.list_for_user(user_id))

    panel.fails_after = 1
    await set_disabled(services, admin, owner, True)
    await deliver_due(services)
    for attempt in range(1, 4):
        made_up = {f"{attempt}-{number}": True for number in range(SERVERS_MAX)}
        panel.servers[owner], panel.fails_after = made_up, 0
        clock.turn(retry_delay(attempt, 1))
        await deliver_due(services)
        assert len(await kept()) == SERVERS_MAX
    panel.servers[owner], panel.fails_after = known, None
    clock.turn(retry_delay(4, 1))
    (stopped,) = await deliver_due(services)
    assert stopped.state is State.DONE
    assert panel.servers[owner] == {A: False, B: False, C: False}
    assert B in await kept()


async def test_a_panel_that_does_not_know_the_owner_is_asked_again(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock
) -> None:
    await set_disabled(services, admin, owner, True)
    await deliver_due(services)
    known = panel.servers.pop(owner)
    await set_disabled(services, admin, owner, False)
    (failed,) = await deliver_due(services)
    assert failed.state is State.WAITING
    panel.servers[owner] = known
    clock.turn(retry_delay(1, 1))
    (started,) = await deliver_due(services)
    assert started.outcome == {"started": [A, B]}
    assert panel.servers[owner] == {A: True, B: True, C: False}


async def test_a_deleted_server_is_not_reported_as_started(
    services: Services, admin: Caller, owner: str, panel: FakePanel
) -> None:
    await set_disabled(services, admin, owner, True)
    await deliver_due(services)
    del panel.servers[owner][A]
    await set_disabled(services, admin, owner, False)
    (started,) = await deliver_due(services)
    assert started.outcome == {"started": [B]}


async def test_a_start_that_broke_off_and_a_new_disabling_lose_nothing(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock
) -> None:
    await set_disabled(services, admin, owner, True)
    await deliver_due(services)
    panel.fails_after = 1
    await set_disabled(services, admin, owner, False)
    await deliver_due(services)
    await set_disabled(services, admin, owner, True)
    panel.fails_after = None
    clock.turn(retry_delay(1, 1))
    await deliver_due(services)
    assert panel.servers[owner] == {A: False, B: False, C: False}
    await set_disabled(services, admin, owner, False)
    await deliver_due(services)
    assert panel.servers[owner] == {A: True, B: True, C: False}


async def test_a_dead_message_that_is_put_back_undoes_nothing_newer(
    services: Services, admin: Caller, owner: str, panel: FakePanel, clock: FakeClock
) -> None:
    panel.is_down = True
    await set_disabled(services, admin, owner, True)
    clock.turn(timedelta(days=8))
    (dead,) = await deliver_due(services)
    assert (dead.state, dead.error) == (State.DEAD, UpstreamFailed("panel").detail)
    panel.is_down = False
    await set_disabled(services, admin, owner, False)
    await deliver_due(services)
    await operator.retry_message(services, dead.number)
    (again,) = await deliver_due(services)
    assert (again.state, panel.told) == (State.DONE, [])


async def test_servers_deleted_or_added_at_the_panel_are_left_alone(
    services: Services, admin: Caller, owner: str, panel: FakePanel
) -> None:
    await set_disabled(services, admin, owner, True)
    await deliver_due(services)
    panel.servers[owner] = {B: False, "new": False}
    await set_disabled(services, admin, owner, False)
    await deliver_due(services)
    assert panel.servers[owner] == {B: True, "new": False}


async def test_an_account_that_the_panel_does_not_know_is_done_with(
    services: Services, admin: Caller
) -> None:
    await sign_up(services, "bobby")
    await set_disabled(services, admin, (await account(services, "bobby")).uuid, True)
    (done,) = await deliver_due(services)
    assert (done.state, done.outcome) == (State.DONE, {"stopped": []})
