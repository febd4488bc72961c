"""Metrics that are read from the store."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import Overloaded
from app.domain.outbox import Delivery, Message
from app.domain.rate_limits import LoginAttempts, lock_durations
from app.http import store_metrics
from app.http.store_metrics import TOTALS_KEPT_SECONDS, StoreMetrics
from tests.contracts.rows import add_users
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import START, FakeClock
from tests.fakes.services import make_services

pytestmark = pytest.mark.anyio


class Stopwatch:
    """A monotonic clock that a test sets."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    made = Stopwatch()
    monkeypatch.setattr(store_metrics, "monotonic", made)
    return made


async def measured(metrics: StoreMetrics) -> Mapping[str, float]:
    found = await metrics.measure()
    return {" ".join([one.name, *(value for _, value in one.labels)]): one.value for one in found}


async def test_totals_are_counted_once_a_minute(stopwatch: Stopwatch) -> None:
    services = make_services()
    metrics = StoreMetrics(services)
    assert (await measured(metrics))["accounts active"] == 0
    await add_users(services.store, 3)
    stopwatch.seconds += TOTALS_KEPT_SECONDS - 1
    assert (await measured(metrics))["accounts active"] == 0
    stopwatch.seconds += 1
    assert (await measured(metrics))["accounts active"] == 3


async def test_without_limits_no_account_counts_as_locked() -> None:
    services = make_services()
    (user,) = await add_users(services.store, 1)
    attempts = LoginAttempts(user.id, failures=lock_durations()[-1][0], failed_at=START)
    await services.store.write(lambda tx: tx.login_attempts.save(attempts))
    assert (await measured(StoreMetrics(services)))["locked_accounts"] == 1
    unlimited = replace(services, rules=replace(services.rules, rate_limits=False))
    assert (await measured(StoreMetrics(unlimited)))["locked_accounts"] == 0


async def test_an_empty_outbox_has_zeros_and_a_filled_one_its_age() -> None:
    clock = FakeClock()

    async def deliver(_: Delivery) -> None: ...

    services = make_services(clock=clock, handlers={"servers": deliver})
    message = Message("servers", 1)
    queued = Delivery.from_message(message, clock.now())
    await services.store.write(lambda tx: tx.outbox.add(queued))
    clock.turn(timedelta(seconds=90))
    found = await measured(StoreMetrics(services))
    assert {name: value for name, value in found.items() if name.startswith("outbox")} == {
        "outbox_messages servers waiting": 1,
        "outbox_oldest_seconds servers waiting": 90,
        "outbox_messages servers dead": 0,
        "outbox_oldest_seconds servers dead": 0,
    }


class LockedStore(MemoryStore):
    """Is locked while `is_locked`."""

    is_locked = False

    async def scan(self, work: Any) -> Any:
        if self.is_locked:
            raise Overloaded
        return await super().scan(work)


async def test_an_unavailable_store_has_no_metrics_until_it_is_back() -> None:
    store = LockedStore()
    metrics = StoreMetrics(make_services(store=store))
    store.is_locked = True
    assert await metrics.measure() == ()
    store.is_locked = False
    assert (await measured(metrics))["accounts active"] == 0
    store.is_locked = True
    assert await metrics.measure() == ()
