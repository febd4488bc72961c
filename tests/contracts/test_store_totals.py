"""Every store: totals of accounts and credentials."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.ports.repositories import AccountTotals, LiveCredentials
from app.domain.ports.store import Store, Transaction
from app.domain.rate_limits import (
    FAILURES_BEFORE_LOCK,
    LOCK_MAX,
    UNFAMILIAR_PLACES,
    LoginAttempts,
    last_lock_end,
    lock_durations,
    unknown_name_subject,
)
from tests.contracts.rows import LATER, NOW, access_key, add, add_users, new_user, session

pytestmark = pytest.mark.anyio

HOME = "203.0.113.7"
SUBJECT = 1 << 62
SECOND = timedelta(seconds=1)
MOST, _ = lock_durations()[-1]


async def count_locked(store: Store) -> int:
    return (await store.read(lambda tx: tx.totals.count_accounts(NOW))).locked


async def test_accounts_are_counted_by_state(store: Store) -> None:
    empty = await store.scan(lambda tx: tx.totals.count_accounts(NOW))
    assert empty == AccountTotals(active=0, disabled=0, admins=0, locked=0)
    await add_users(store, 3)
    await add(
        store,
        new_user(4, disabled=True),
        new_user(5, admin=True),
        new_user(6, admin=True, disabled=True),
    )
    counted = await store.scan(lambda tx: tx.totals.count_accounts(NOW))
    assert counted == AccountTotals(active=4, disabled=2, admins=1, locked=0)


@pytest.mark.parametrize("place", [UNFAMILIAR_PLACES, HOME])
async def test_an_account_is_counted_as_locked_when_the_domain_says_so(
    store: Store, place: str
) -> None:
    ages = {lock + shift for _, lock in lock_durations() for shift in (-SECOND, SECOND)}
    cases = [
        LoginAttempts(SUBJECT, place, failures, NOW - age, LATER if place == HOME else None)
        for failures in range(FAILURES_BEFORE_LOCK - 1, MOST + 2)
        for age in sorted({-SECOND, *ages})
    ]

    def count(tx: Transaction) -> list[int]:
        counts = []
        for attempts in cases:
            tx.login_attempts.save(attempts)
            counts.append(tx.totals.count_accounts(NOW).locked)
        return counts

    assert await store.write(count) == [bool(last_lock_end([case], NOW)) for case in cases]


async def test_an_account_locked_at_two_places_is_counted_once(store: Store) -> None:
    users = await add_users(store, 3)
    locked = LoginAttempts(0, failures=MOST, failed_at=NOW)

    def save(tx: Transaction) -> None:
        for user in users[:2]:
            tx.login_attempts.save(replace(locked, subject=user.id))
        at_home = replace(locked, place=HOME, familiar_until=LATER)
        tx.login_attempts.save(replace(at_home, subject=users[0].id))
        # Neither of these is a locked account.
        tx.login_attempts.save(replace(at_home, subject=users[2].id, familiar_until=NOW))
        tx.login_attempts.save(replace(locked, subject=unknown_name_subject("ghost")))

    await store.write(save)
    assert await count_locked(store) == 2
    later = await store.read(lambda tx: tx.totals.count_accounts(NOW + LOCK_MAX))
    assert later.locked == 0


async def test_valid_credentials_are_counted(store: Store) -> None:
    (user,) = await add_users(store, 1)

    def add_credentials(tx: Transaction) -> None:
        tx.sessions.add(session("s1", user))
        tx.sessions.add(replace(session("s2", user), expires_at=NOW))
        tx.keys.add(replace(access_key("AAAAAAAA", user), expires_at=None))
        tx.keys.add(replace(access_key("BBBBBBBB", user), expires_at=NOW))

    await store.write(add_credentials)
    counted = await store.read(lambda tx: tx.totals.count_credentials(NOW))
    assert counted == LiveCredentials(sessions=1, keys=1)
    later = await store.read(lambda tx: tx.totals.count_credentials(NOW.replace(year=2100)))
    assert later == LiveCredentials(sessions=0, keys=1)
