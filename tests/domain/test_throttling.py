"""How often is too often."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import RateLimited
from app.domain.throttling import (
    FAMILIAR_FOR,
    FIRST_WAIT,
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    LONGEST_WAIT,
    STRANGERS,
    Attempts,
    Limit,
    network_of,
    subject_of_unknown,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TEN_A_MINUTE = Limit("test", 10, 60)


def failed(times: int, now: datetime = NOW) -> Attempts:
    """So many wrong passwords, each at the first moment at which it is taken."""
    attempts = Attempts(1)
    for _ in range(times):
        try:
            attempts = attempts.one_more(now)
        except RateLimited as error:
            now += timedelta(seconds=error.retry_after)
            attempts = attempts.one_more(now)
    return attempts


def wait(attempts: Attempts) -> int:
    """How long the next attempt has to wait."""
    assert attempts.failed_at is not None
    with pytest.raises(RateLimited) as refused:
        attempts.one_more(attempts.failed_at)
    return refused.value.retry_after


def test_the_first_wrong_passwords_make_nobody_wait() -> None:
    attempts = Attempts(1)
    for number in range(1, FREE_FAILURES + 1):
        attempts = attempts.one_more(NOW)
        assert attempts.failures == number


def test_each_further_wrong_password_doubles_the_wait_up_to_the_longest() -> None:
    waits = [wait(failed(times)) for times in range(FREE_FAILURES, FREE_FAILURES + 9)]
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert (FIRST_WAIT.seconds, LONGEST_WAIT.seconds) == (15, 900)


@pytest.mark.parametrize("times", [FREE_FAILURES, FREE_FAILURES + 3, FREE_FAILURES + 500])
def test_a_lock_opens_when_it_said_it_would_and_not_before(times: int) -> None:
    locked = failed(times)
    assert locked.failed_at is not None
    opens_at = locked.failed_at + timedelta(seconds=wait(locked))
    with pytest.raises(RateLimited) as refused:
        locked.one_more(opens_at - SECOND)
    assert refused.value.retry_after == 1
    assert locked.one_more(opens_at).failures == times + 1


def test_wrong_passwords_are_forgotten_after_a_day_without_one() -> None:
    locked = failed(FREE_FAILURES + 9)
    assert locked.failed_at is not None
    assert locked.one_more(locked.failed_at + FORGOTTEN_AFTER - SECOND).failures > FREE_FAILURES
    assert locked.one_more(locked.failed_at + FORGOTTEN_AFTER).failures == 1


def test_what_was_not_judged_is_taken_off_the_count() -> None:
    assert failed(FREE_FAILURES).one_less().one_more(NOW).failures == FREE_FAILURES
    assert Attempts(1).one_less().failures == 0


def test_a_place_is_familiar_for_a_while_and_strangers_never_are() -> None:
    home = Attempts.familiar(1, "203.0.113.7", NOW)
    assert home.is_familiar(NOW + FAMILIAR_FOR - SECOND)
    assert not home.is_familiar(NOW + FAMILIAR_FOR)
    assert not Attempts(1, STRANGERS).is_familiar(NOW)


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
        ("not:an:address", "not:an:address"),
        (None, ""),
    ],
)
def test_calls_are_counted_by_address_and_in_ipv6_by_the_first_half_of_it(
    address: str | None, network: str
) -> None:
    assert network_of(address) == network


def test_names_that_nobody_has_are_counted_apart_from_accounts_and_in_few_places() -> None:
    subjects = {subject_of_unknown(f"name{number}") for number in range(2000)}
    assert all(-(2**20) <= subject < 0 for subject in subjects)
    assert len(subjects) > 1900
    assert subject_of_unknown("name1") == subject_of_unknown("name1")
    assert subject_of_unknown("\ud800") < 0


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
