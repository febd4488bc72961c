"""Every clock, every source of identifiers, every source of secrets."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from app.domain.credentials import KeyText
from app.domain.passwords import new_password
from app.domain.ports import Clock, Ids, Randomness
from app.domain.users import SNOWFLAKE_MAX, parse_snowflake, parse_uuid
from app.security.ids import Snowflakes
from tests.fakes.ports import FakeClock


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
    given = [ids.snowflake() for _ in range(10_000)]
    assert given == sorted(set(given))


def test_a_snowflake_is_one_that_is_read_back(ids: Ids) -> None:
    snowflake = ids.snowflake()
    assert 0 < snowflake <= SNOWFLAKE_MAX
    assert parse_snowflake(str(snowflake)) == snowflake


def test_a_uuid_is_one_that_is_read_back(ids: Ids) -> None:
    given = [ids.uuid() for _ in range(1_000)]
    assert len(set(given)) == 1_000
    assert [parse_uuid(uuid) for uuid in given] == given
    assert {UUID(uuid).version for uuid in given} == {4}


def test_the_order_of_snowflakes_is_the_order_of_time() -> None:
    clock = FakeClock()
    one, other = Snowflakes(clock, worker=lambda: 1023), Snowflakes(clock, worker=lambda: 0)
    first = [one.snowflake() for _ in range(100)]
    clock.turn(timedelta(milliseconds=1))
    assert max(first) < other.snowflake()


def test_two_workers_never_give_the_same_snowflake() -> None:
    clock = FakeClock()
    workers = [Snowflakes(clock, worker=partial(int, number)) for number in (0, 1, 1023)]
    given = [worker.snowflake() for worker in workers for _ in range(5_000)]
    assert len(set(given)) == len(given)


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(days=400)])
def test_snowflakes_increase_though_the_clock_goes_back(back: timedelta) -> None:
    clock = FakeClock()
    ids = Snowflakes(clock, worker=lambda: 0)
    before = ids.snowflake()
    clock.turn(-back)
    assert ids.snowflake() > before


def test_snowflakes_increase_over_a_restart_with_a_clock_that_went_back() -> None:
    clock = FakeClock()
    before = Snowflakes(clock, worker=lambda: 1023).snowflake()
    clock.turn(-timedelta(hours=1))
    assert Snowflakes(clock, worker=lambda: 0, floor=before).snowflake() > before


def test_a_generated_access_key_is_well_formed_and_new(randomness: Randomness) -> None:
    keys = [KeyText.parse(randomness.access_key()) for _ in range(50)]
    assert None not in keys
    assert len({key.id for key in keys if key is not None}) == 50
    assert len({key.secret_hash for key in keys if key is not None}) == 50


def test_a_generated_password_is_new_and_keeps_the_policy(randomness: Randomness) -> None:
    passwords = {randomness.password() for _ in range(50)}
    assert len(passwords) == 50
    for password in passwords:
        assert new_password(password, username="demo", email=None) == password
