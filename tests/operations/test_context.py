"""A call: when its credential is resolved, and when its use is noted."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.domain.credentials import LAST_SEEN_INTERVAL
from app.domain.errors import Unauthenticated
from app.domain.ports.store import Transaction
from app.operations.catalog import OPERATIONS
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import FakeClock
from tests.fakes.services import as_user, do, make_services

pytestmark = pytest.mark.anyio


async def test_a_token_that_ends_while_its_call_goes_on_lets_in_no_more() -> None:
    """Its session goes on: it was refreshed."""
    clock = FakeClock()
    services = make_services(clock=clock)
    alice = await as_user(services, "alice")
    clock.turn(timedelta(days=1))
    await do(services, "users.refresh", alice)
    context = OPERATIONS["users.self"].context(services, alice, None)
    clock.turn(services.rules.token_ttl - timedelta(days=1, milliseconds=1))
    assert (await context.actor()).user.username == "alice"
    clock.turn(timedelta(milliseconds=1))
    with pytest.raises(Unauthenticated):
        await context.actor()


class NotingStore(MemoryStore):
    """Remembers what was noted."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def defer(self, about: str, work: Callable[[Transaction], None]) -> None:
        self.noted.append(about)
        super().defer(about, work)


async def test_a_use_is_noted_once_a_minute_wherever_the_clock_goes() -> None:
    clock, store = FakeClock(), NotingStore()
    services = make_services(clock=clock, store=store)
    alice = await as_user(services, "alice")
    for turned, count in (
        (timedelta(), 0),
        (LAST_SEEN_INTERVAL - timedelta(milliseconds=1), 0),
        (timedelta(milliseconds=1), 1),
        (timedelta(), 1),
        # Set back: by so little that nothing is wrong with the time on record, and by more.
        (-timedelta(milliseconds=1), 2),
        (timedelta(), 2),
        (-timedelta(days=1), 3),
        (timedelta(), 3),
    ):
        clock.turn(turned)
        await do(services, "users.self", alice)
        assert len(store.noted) == count, turned


async def test_nothing_is_noted_of_the_operator() -> None:
    store = NotingStore()
    await do(make_services(store=store), "admin.servers.list", OPERATOR_CALLER)
    assert store.noted == []
