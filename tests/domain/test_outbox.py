"""The outbox's rules: pauses, the deadline, what becomes of a message."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.outbox import (
    DELIVERY_MAX,
    GIVE_UP_AFTER,
    LEASE,
    RETRY_DELAY_MAX,
    RETRY_DELAY_MIN,
    Delivery,
    Message,
    State,
    retry_delay,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHANCES = st.floats(0, 1, exclude_max=True)
WAITING = replace(Delivery.from_message(Message("servers", 1), NOW), number=5, attempts=1)


def test_a_lease_outlives_the_longest_delivery() -> None:
    assert DELIVERY_MAX < LEASE


def test_pauses_double_up_to_the_longest() -> None:
    almost = 1 - 2**-53
    seconds = [retry_delay(attempts, almost).total_seconds() for attempts in range(1, 12)]
    assert seconds == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300], abs=0.001)


@given(st.integers(0, 10_000), CHANCES)
def test_a_pause_is_at_least_half_of_what_is_due_and_never_beyond_the_longest(
    attempts: int, chance: float
) -> None:
    found = retry_delay(attempts, chance)
    assert RETRY_DELAY_MIN / 2 <= found <= RETRY_DELAY_MAX
    assert found <= 2 * retry_delay(attempts, 0.0)


def test_those_that_failed_together_do_not_all_come_again_together() -> None:
    assert retry_delay(5, 0.1) < retry_delay(5, 0.9)


def test_one_that_failed_waits_and_says_why() -> None:
    failed = WAITING.failed("no", NOW, 0.5)
    assert (failed.state, failed.error, failed.ended_at) == (State.WAITING, "no", None)
    assert failed.due_at == NOW + retry_delay(1, 0.5)


def test_one_whose_next_attempt_would_come_too_late_is_dead() -> None:
    last = NOW + GIVE_UP_AFTER - retry_delay(1, 0.5)
    assert WAITING.failed("no", last, 0.5).state is State.WAITING
    dead = WAITING.failed("no", last + timedelta(milliseconds=1), 0.5)
    assert (dead.state, dead.error) == (State.DEAD, "no")
    assert dead.ended_at == last + timedelta(milliseconds=1)


def test_one_that_was_done_keeps_what_came_of_it() -> None:
    done = WAITING.failed("no", NOW, 0.5).delivered({"stopped": []}, NOW)
    assert (done.state, done.outcome, done.error, done.ended_at) == (
        State.DONE,
        {"stopped": []},
        None,
        NOW,
    )


def test_one_that_is_put_back_has_all_its_time_again() -> None:
    later = NOW + 2 * GIVE_UP_AFTER
    again = WAITING.failed("no", later, 0.5).requeued(later)
    assert again == replace(WAITING, attempts=0, due_at=later, deadline=later + GIVE_UP_AFTER)


def test_an_attempt_that_was_broken_off_does_not_count() -> None:
    assert WAITING.without_attempt() == replace(WAITING, attempts=0)
