"""Every clock, every source of identifiers, every source of secrets."""

import sys
import time
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from app.domain.credentials import RawAccessKey
from app.domain.errors import Overloaded
from app.domain.passwords import validate_new_password
from app.domain.ports.services import Clock, Ids, Randomness
from app.domain.users import SNOWFLAKE_MAX, parse_snowflake, parse_uuid
from app.runtime.boot_clock import boottime
from app.security import clock as clocks
from app.security.clock import DatabaseClock
from app.security.ids import Snowflakes
from tests.fakes.ports import START, FakeClock


def test_the_time_is_utc_to_the_millisecond(clock: Clock) -> None:
    now = clock.now()
    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0


def test_the_time_does_not_go_back(clock: Clock) -> None:
    times = [clock.now() for _ in range(100)]
    assert times == sorted(times)


def test_a_fake_clock_moves_when_it_is_turned() -> None:
    clock = FakeClock()
    before = clock.now()
    assert clock.now() == before
    clock.turn(timedelta(days=1))
    assert clock.now() == before + timedelta(days=1)


def test_snowflakes_increase_and_are_never_the_same_twice(ids: Ids) -> None:
    given = [ids.new_snowflake() for _ in range(10_000)]
    assert given == sorted(set(given))


def test_a_snowflake_is_one_that_is_read_back(ids: Ids) -> None:
    snowflake = ids.new_snowflake()
    assert 0 < snowflake <= SNOWFLAKE_MAX
    assert parse_snowflake(str(snowflake)) == snowflake


def test_a_uuid_is_one_that_is_read_back(ids: Ids) -> None:
    given = [ids.new_uuid() for _ in range(1_000)]
    assert len(set(given)) == 1_000
    assert [parse_uuid(uuid) for uuid in given] == given
    assert {UUID(uuid).version for uuid in given} == {4}


def test_the_order_of_snowflakes_is_the_order_of_time() -> None:
    clock = FakeClock()
    one, other = Snowflakes(clock, worker=lambda: 1023), Snowflakes(clock, worker=lambda: 0)
    first = [one.new_snowflake() for _ in range(100)]
    clock.turn(timedelta(milliseconds=1))
    assert max(first) < other.new_snowflake()


def test_two_workers_never_give_the_same_snowflake() -> None:
    clock = FakeClock()
    workers = [Snowflakes(clock, worker=partial(int, number)) for number in (0, 1, 1023)]
    given = [worker.new_snowflake() for worker in workers for _ in range(5_000)]
    assert len(set(given)) == len(given)


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(days=400)])
def test_snowflakes_increase_though_the_clock_goes_back(back: timedelta) -> None:
    clock = FakeClock()
    ids = Snowflakes(clock, worker=lambda: 0)
    before = ids.new_snowflake()
    clock.turn(-back)
    assert ids.new_snowflake() > before


def test_snowflakes_increase_over_a_restart_with_a_clock_that_went_back() -> None:
    clock = FakeClock()
    before = Snowflakes(clock, worker=lambda: 1023).new_snowflake()
    clock.turn(-timedelta(hours=1))
    assert Snowflakes(clock, worker=lambda: 0, floor=before).new_snowflake() > before


def test_a_generated_access_key_is_well_formed_and_new(randomness: Randomness) -> None:
    keys = [RawAccessKey.parse(randomness.new_access_key()) for _ in range(50)]
    assert None not in keys
    assert len({key.id for key in keys if key is not None}) == 50
    assert len({key.secret_hash for key in keys if key is not None}) == 50


def test_a_generated_password_is_new_and_keeps_the_policy(randomness: Randomness) -> None:
    passwords = {randomness.new_password() for _ in range(50)}
    assert len(passwords) == 50
    for password in passwords:
        assert validate_new_password(password, username="demo", email=None) == password


# ------------------------------------------------------------------ the database's clock


class Times:
    """The times of the machine's clock, the database's clock and the monotonic clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.here = self.there = START
        self.passed, self.round_trip = 1000.0, 0.0
        patch.setattr(clocks, "time_ns", lambda: int(self.here.timestamp() * 1e9))
        patch.setattr(clocks, "boottime", lambda: self.passed)

    def go_on(self, by: timedelta) -> None:
        self.here, self.there = self.here + by, self.there + by
        self.passed += by.total_seconds()

    async def ask(self) -> datetime:
        self.passed += self.round_trip / 2
        there = self.there + timedelta(seconds=self.round_trip / 2)
        self.passed += self.round_trip / 2
        return there


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


@pytest.mark.anyio
async def test_the_time_is_the_databases_however_the_machines_clock_is_set(times: Times) -> None:
    times.here += timedelta(minutes=20)
    clock = DatabaseClock(times.ask)
    await clock.measure()
    assert clock.now() == START
    times.go_on(timedelta(seconds=5))
    times.here -= timedelta(days=1)
    assert clock.now() == START + timedelta(seconds=5)
    times.there += timedelta(hours=1)
    await clock.watch()
    assert clock.now() == START + timedelta(hours=1, seconds=5)


@pytest.mark.anyio
async def test_an_answer_that_took_long_moves_no_clock(times: Times) -> None:
    clock = DatabaseClock(times.ask)
    await clock.measure()
    times.there += timedelta(seconds=1)
    times.round_trip = 1.5
    await clock.watch()
    assert clock.now() == START + timedelta(seconds=1.5)


@pytest.mark.anyio
async def test_of_two_answers_that_agree_the_more_exact_one_counts(times: Times) -> None:
    clock = DatabaseClock(times.ask)
    await clock.measure()
    times.there += timedelta(milliseconds=200)
    times.round_trip = 0.5
    await clock.watch()
    assert clock.now() == START + timedelta(seconds=0.5)
    times.there += timedelta(seconds=1)
    await clock.watch()
    assert clock.now() == START + timedelta(seconds=1.7)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("apart", "is_logged", "trouble"),
    [
        (timedelta(seconds=1.9), False, None),
        (timedelta(seconds=2.1), True, None),
        (-timedelta(seconds=59), True, None),
        (timedelta(seconds=61), False, "61 s ahead of"),
        (-timedelta(minutes=20), False, "1200 s behind"),
    ],
)
async def test_a_machine_whose_clock_is_wrong_says_so(
    times: Times,
    caplog: pytest.LogCaptureFixture,
    apart: timedelta,
    is_logged: bool,
    trouble: str | None,
) -> None:
    times.here += apart
    clock = DatabaseClock(times.ask)
    await clock.measure()
    said = [await clock.watch() for _ in range(3)]
    assert [reason is None for reason in said] == [trouble is None] * 3
    assert all(trouble in (reason or "") for reason in said if trouble)
    assert len(caplog.records) == is_logged


@pytest.mark.anyio
async def test_the_time_goes_on_while_the_database_does_not_answer(times: Times) -> None:
    clock = DatabaseClock(times.ask)
    await clock.measure()

    async def refuse() -> datetime:
        raise Overloaded

    clock._query = refuse
    times.go_on(timedelta(seconds=5))
    with pytest.raises(Overloaded):
        await clock.watch()
    assert clock.now() == START + timedelta(seconds=5)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere CLOCK_MONOTONIC counts it, too")
def test_the_clock_of_leases_counts_while_the_machine_is_suspended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0}.__getitem__)
    assert boottime() == 7.0
