"""Every store: attempts at passwords."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.domain.ports.store import Store, Transaction
from app.domain.rate_limits import FAILURES_BEFORE_LOCK, UNFAMILIAR_PLACES, LoginAttempts
from tests.contracts.rows import LATER, NOW, add_users

pytestmark = pytest.mark.anyio

HOME, WORK = "203.0.113.7", "2001:db8:1:2::/64"
SUBJECT, OTHER, NOBODY = 1 << 62, 7, -1


async def put(store: Store, *all_attempts: LoginAttempts) -> None:
    def put_all(tx: Transaction) -> None:
        for attempts in all_attempts:
            tx.login_attempts.save(attempts)

    await store.write(put_all)


async def of(store: Store, subject: int, *places: str) -> Sequence[LoginAttempts]:
    found = await store.read(lambda tx: tx.login_attempts.list_for_subject(subject, *places))
    return sorted(found, key=lambda attempts: attempts.place)


async def test_nothing_is_counted_at_first(store: Store) -> None:
    assert await of(store, SUBJECT, HOME, UNFAMILIAR_PLACES) == []


@pytest.mark.parametrize("subject", [SUBJECT, OTHER, NOBODY])
async def test_saved_attempts_are_found_by_subject_and_place(store: Store, subject: int) -> None:
    home = LoginAttempts(subject, HOME, 3, NOW, LATER)
    strangers = LoginAttempts(subject, UNFAMILIAR_PLACES, 12, NOW)
    await put(store, home, strangers)
    assert await of(store, subject, HOME) == [home]
    assert await of(store, subject, HOME, UNFAMILIAR_PLACES) == [strangers, home]
    assert await of(store, subject, UNFAMILIAR_PLACES, UNFAMILIAR_PLACES) == [strangers]
    assert await of(store, subject, WORK) == []
    assert await of(store, subject + 1, HOME, UNFAMILIAR_PLACES) == []


async def test_accounts_with_enough_failures_for_a_lock_are_found_by_uuid(store: Store) -> None:
    await put(store, LoginAttempts(SUBJECT, failures=FAILURES_BEFORE_LOCK, failed_at=NOW))
    users = await add_users(store, 4)
    locked, also_at_home, below, _ = users
    strangers = LoginAttempts(locked.id, failures=FAILURES_BEFORE_LOCK, failed_at=NOW)
    home = replace(strangers, subject=also_at_home.id, place=HOME, familiar_until=LATER)
    everywhere = replace(strangers, subject=also_at_home.id, failures=99)
    few = replace(strangers, subject=below.id, failures=FAILURES_BEFORE_LOCK - 1)
    await put(store, strangers, home, everywhere, few)

    async def find(uuids: list[str], since: datetime) -> dict[str, list[LoginAttempts]]:
        found = await store.read(lambda tx: tx.login_attempts.list_locking(uuids, since))
        by_place = {
            uuid: sorted(all_attempts, key=lambda attempts: attempts.place)
            for uuid, all_attempts in found.items()
        }
        return {uuid: attempts for uuid, attempts in by_place.items() if attempts}

    uuids = [user.uuid for user in users]
    assert await find(uuids, NOW - timedelta(seconds=1)) == {
        locked.uuid: [strangers],
        also_at_home.uuid: [everywhere, home],
    }
    assert await find([also_at_home.uuid], NOW - timedelta(seconds=1)) == {
        also_at_home.uuid: [everywhere, home]
    }
    assert await find(uuids, NOW) == {}
    assert await find([], NOW - timedelta(seconds=1)) == {}


async def test_the_failures_of_an_account_are_listed_the_newest_first(store: Store) -> None:
    home = LoginAttempts(SUBJECT, HOME, 3, NOW, LATER)
    elsewhere = LoginAttempts(SUBJECT, UNFAMILIAR_PLACES, 12, LATER)
    none = LoginAttempts(SUBJECT, WORK, 0, None, LATER)
    await put(store, home, elsewhere, none, LoginAttempts(OTHER, HOME, 1, NOW))
    found = await store.read(lambda tx: tx.login_attempts.list_failed(SUBJECT))
    assert list(found) == [elsewhere, home]


async def test_a_later_count_takes_the_place_of_an_earlier_one(store: Store) -> None:
    counted = LoginAttempts(SUBJECT, HOME, 3, NOW, LATER)
    await put(store, counted, replace(counted, failures=4), LoginAttempts(SUBJECT, HOME))
    assert await of(store, SUBJECT, HOME) == [LoginAttempts(SUBJECT, HOME)]


async def test_clearing_forgets_one_place_and_those_familiar_no_longer(store: Store) -> None:
    work = LoginAttempts(SUBJECT, WORK, familiar_until=LATER)
    strangers, others = (
        LoginAttempts(SUBJECT, failures=5),
        LoginAttempts(OTHER, HOME, familiar_until=NOW),
    )
    old = LoginAttempts(SUBJECT, "198.51.100.1", familiar_until=NOW)
    await put(store, LoginAttempts(SUBJECT, HOME, 3, NOW, LATER), work, strangers, others, old)
    await store.write(lambda tx: tx.login_attempts.clear(SUBJECT, HOME, NOW))
    assert await of(store, SUBJECT, HOME, WORK, UNFAMILIAR_PLACES, old.place) == [strangers, work]
    assert await of(store, OTHER, HOME) == [others]


async def test_forgiving_counts_from_zero_everywhere_and_keeps_what_is_familiar(
    store: Store,
) -> None:
    locked = [
        LoginAttempts(SUBJECT, UNFAMILIAR_PLACES, 20, NOW),
        LoginAttempts(SUBJECT, HOME, 11, NOW, LATER),
    ]
    other = LoginAttempts(OTHER, UNFAMILIAR_PLACES, 20, NOW)
    await put(store, *locked, other)
    await store.write(lambda tx: tx.login_attempts.reset(SUBJECT))
    forgiven = await of(store, SUBJECT, UNFAMILIAR_PLACES, HOME)
    assert forgiven == [LoginAttempts(SUBJECT), LoginAttempts(SUBJECT, HOME, familiar_until=LATER)]
    assert await of(store, OTHER, UNFAMILIAR_PLACES) == [other]


async def test_an_attempt_that_is_undone_is_not_counted(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        tx.login_attempts.save(LoginAttempts(SUBJECT, failures=2))
        raise LookupError

    counted = LoginAttempts(SUBJECT, failures=1, failed_at=NOW)
    await put(store, counted)
    with pytest.raises(LookupError):
        await store.write(fail)
    assert await of(store, SUBJECT, UNFAMILIAR_PLACES) == [counted]


async def test_of_familiar_places_the_newest_are_kept(store: Store) -> None:
    places = [
        LoginAttempts(SUBJECT, f"192.0.2.{n}", familiar_until=LATER + n * timedelta(seconds=1))
        for n in range(5)
    ]
    strangers, other = (
        LoginAttempts(SUBJECT, failures=5),
        LoginAttempts(OTHER, HOME, familiar_until=NOW),
    )
    await put(store, *places, strangers, other)
    await store.write(
        lambda tx: tx.login_attempts.delete_oldest(SUBJECT, max_count=3, keep=places[0].place)
    )
    assert await of(store, SUBJECT, UNFAMILIAR_PLACES, *(place.place for place in places)) == [
        strangers,
        places[0],
        places[3],
        places[4],
    ]
    assert await of(store, OTHER, HOME) == [other]
