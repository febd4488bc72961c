"""Login locks and rate limits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import RateLimited
from app.domain.rate_limits import (
    CHANGES,
    FAILURES_BEFORE_LOCK,
    FAILURES_EXPIRE_AFTER,
    FAMILIAR_FOR,
    LOCK_MAX,
    LOCK_MIN,
    RENAMES_MAX,
    RENAMES_WITHIN,
    UNFAMILIAR_PLACES,
    UNKNOWN,
    Limit,
    LoginAttempts,
    add_rename,
    client_network,
    last_lock_end,
    unknown_name_subject,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TEN_A_MINUTE = Limit("test", 10, 60)


def failed(times: int, now: datetime = NOW) -> LoginAttempts:
    """So many wrong passwords, each at the first moment at which it is taken."""
    attempts = LoginAttempts(1)
    for _ in range(times):
        try:
            attempts = attempts.add_failure(now)
        except RateLimited as error:
            now += timedelta(seconds=error.retry_after)
            attempts = attempts.add_failure(now)
    return attempts


def wait(attempts: LoginAttempts) -> int:
    """Return how long the next attempt has to wait."""
    assert attempts.failed_at is not None
    with pytest.raises(RateLimited) as refused:
        attempts.add_failure(attempts.failed_at)
    return refused.value.retry_after


def test_the_first_wrong_passwords_cause_no_wait() -> None:
    attempts = LoginAttempts(1)
    for number in range(1, FAILURES_BEFORE_LOCK + 1):
        attempts = attempts.add_failure(NOW)
        assert attempts.failures == number


def test_each_further_wrong_password_doubles_the_wait_up_to_the_longest() -> None:
    waits = [wait(failed(times)) for times in range(FAILURES_BEFORE_LOCK, FAILURES_BEFORE_LOCK + 9)]
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert (LOCK_MIN.seconds, LOCK_MAX.seconds) == (15, 900)


@pytest.mark.parametrize(
    "times", [FAILURES_BEFORE_LOCK, FAILURES_BEFORE_LOCK + 3, FAILURES_BEFORE_LOCK + 500]
)
def test_a_lock_ends_at_its_announced_time_and_not_before(times: int) -> None:
    locked = failed(times)
    assert locked.failed_at is not None
    opens_at = locked.failed_at + timedelta(seconds=wait(locked))
    with pytest.raises(RateLimited) as refused:
        locked.add_failure(opens_at - SECOND)
    assert refused.value.retry_after == 1
    assert locked.add_failure(opens_at).failures == times + 1


def test_the_last_lock_of_an_account_is_that_of_a_place_that_counts() -> None:
    strangers = failed(FAILURES_BEFORE_LOCK)
    later = NOW + 10 * SECOND
    home = replace(
        failed(FAILURES_BEFORE_LOCK, later), place="home", familiar_until=later + LOCK_MAX
    )
    forgotten = replace(failed(FAILURES_BEFORE_LOCK + 5), place="old", familiar_until=NOW)
    everywhere = [LoginAttempts(1, "work"), strangers, home, forgotten]
    assert last_lock_end(everywhere, later) == later + LOCK_MIN
    assert last_lock_end([strangers, forgotten], later) == NOW + LOCK_MIN
    assert last_lock_end(everywhere, later + LOCK_MIN) is None
    assert last_lock_end([], NOW) is None
    # Of a clock that was set back.
    assert last_lock_end([strangers], NOW - LOCK_MAX) == NOW - LOCK_MAX + LOCK_MIN


def test_wrong_passwords_are_forgotten_after_a_day_without_one() -> None:
    locked = failed(FAILURES_BEFORE_LOCK + 9)
    assert locked.failed_at is not None
    assert (
        locked.add_failure(locked.failed_at + FAILURES_EXPIRE_AFTER - SECOND).failures
        > FAILURES_BEFORE_LOCK
    )
    assert locked.add_failure(locked.failed_at + FAILURES_EXPIRE_AFTER).failures == 1


def test_an_unverified_attempt_is_taken_off_the_count() -> None:
    assert (
        failed(FAILURES_BEFORE_LOCK).remove_failure().add_failure(NOW).failures
        == FAILURES_BEFORE_LOCK
    )
    assert LoginAttempts(1).remove_failure().failures == 0


def test_a_familiar_place_is_so_for_a_while_and_an_unfamiliar_one_never() -> None:
    home = LoginAttempts.at_familiar_place(1, "203.0.113.7", NOW)
    assert home.is_familiar(NOW + FAMILIAR_FOR - SECOND)
    assert not home.is_familiar(NOW + FAMILIAR_FOR)
    assert not LoginAttempts(1, UNFAMILIAR_PLACES).is_familiar(NOW)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("2001:db8:1:3::6", "2001:db8:1:3::/64"),
        ("not:an:address", UNKNOWN),
        ("203.0.113.7:80", UNKNOWN),
        ("203.0.113.256", UNKNOWN),
        ("localhost", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_calls_are_counted_by_address_and_in_ipv6_by_the_first_half_of_it(
    address: str | None, network: str
) -> None:
    assert client_network(address) == network


def test_unknown_names_are_counted_apart_from_accounts_and_in_few_buckets() -> None:
    subjects = {unknown_name_subject(f"name{number}") for number in range(2000)}
    assert all(-(2**20) <= subject < 0 for subject in subjects)
    assert len(subjects) > 1900
    assert unknown_name_subject("name1") == unknown_name_subject("name1")
    assert unknown_name_subject("\ud800") < 0


@pytest.mark.parametrize(
    ("earlier", "current", "left", "seconds"),
    [
        (0, 0, 60, 0),
        (0, 9, 1, 0),
        (10, 0, 54, 0),
        (10, 0, 60, 6),
        (10, 4, 60, 30),
        (10, 5, 30, 6),
        (0, 10, 20, 26),
        (10, 10, 20, 26),
    ],
)
def test_a_window_slides_over_two_that_stand_still(
    earlier: int, current: int, left: float, seconds: float
) -> None:
    assert TEN_A_MINUTE.wait(earlier, current, left) == pytest.approx(seconds)


@pytest.mark.parametrize(("parts", "allowed"), [(1, 10), (2, 5), (3, 4), (10, 1), (50, 1)])
def test_a_part_of_a_limit_is_rounded_up(parts: int, allowed: int) -> None:
    assert not TEN_A_MINUTE.wait(0, allowed - 1, 30, parts)
    assert TEN_A_MINUTE.wait(0, allowed, 30, parts)


def test_renames_of_a_clock_that_was_far_ahead_do_not_count() -> None:
    assert add_rename([NOW + timedelta(days=365)] * RENAMES_MAX, NOW) == [NOW]
    with pytest.raises(RateLimited) as refusal:
        add_rename([NOW + timedelta(hours=1)] * RENAMES_MAX, NOW)
    assert refusal.value.retry_after == (RENAMES_WITHIN + timedelta(hours=1)).total_seconds()


def test_a_bucket_of_the_furthest_time_that_a_clock_may_show_stays_empty() -> None:
    now = 1_000_000.0
    furthest = now + 2 * CHANGES.seconds
    assert CHANGES.take(furthest, now, 1)[0] == 0
    assert CHANGES.take(furthest + 0.001, now, 1)[0] == 1


def test_a_rename_counts_for_less_than_a_day() -> None:
    now = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert add_rename([now - RENAMES_WITHIN] * RENAMES_MAX, now) == [now]
    almost = now - RENAMES_WITHIN + timedelta(milliseconds=1)
    with pytest.raises(RateLimited):
        add_rename([almost] * RENAMES_MAX, now)
