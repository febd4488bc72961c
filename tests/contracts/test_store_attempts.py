"""Every store: attempts at passwords."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.domain.ports import Store, Transaction
from app.domain.throttling import STRANGERS, Attempts
from tests.contracts.rows import LATER, NOW

pytestmark = pytest.mark.anyio

HOME, WORK = "203.0.113.7", "2001:db8:1:2::/64"
SUBJECT, OTHER, NOBODY = 1 << 62, 7, -1


async def put(store: Store, *all_attempts: Attempts) -> None:
    def put_all(tx: Transaction) -> None:
        for attempts in all_attempts:
            tx.attempts.put(attempts)

    await store.write(put_all)


async def of(store: Store, subject: int, *places: str) -> Sequence[Attempts]:
    found = await store.read(lambda tx: tx.attempts.of(subject, *places))
    return sorted(found, key=lambda attempts: attempts.place)


async def test_nothing_is_counted_at_first(store: Store) -> None:
    assert await of(store, SUBJECT, HOME, STRANGERS) == []


@pytest.mark.parametrize("subject", [SUBJECT, OTHER, NOBODY])
async def test_what_is_put_is_found_by_subject_and_place(store: Store, subject: int) -> None:
    home = Attempts(subject, HOME, 3, NOW, LATER)
    strangers = Attempts(subject, STRANGERS, 12, NOW)
    await put(store, home, strangers)
    assert await of(store, subject, HOME) == [home]
    assert await of(store, subject, HOME, STRANGERS) == [strangers, home]
    assert await of(store, subject, STRANGERS, STRANGERS) == [strangers]
    assert await of(store, subject, WORK) == []
    assert await of(store, subject + 1, HOME, STRANGERS) == []


async def test_a_later_count_takes_the_place_of_an_earlier_one(store: Store) -> None:
    counted = Attempts(SUBJECT, HOME, 3, NOW, LATER)
    await put(store, counted, replace(counted, failures=4), Attempts(SUBJECT, HOME))
    assert await of(store, SUBJECT, HOME) == [Attempts(SUBJECT, HOME)]


async def test_clearing_forgets_one_place_and_those_familiar_no_longer(store: Store) -> None:
    work = Attempts(SUBJECT, WORK, familiar_until=LATER)
    strangers, others = Attempts(SUBJECT, failures=5), Attempts(OTHER, HOME, familiar_until=NOW)
    old = Attempts(SUBJECT, "198.51.100.1", familiar_until=NOW)
    await put(store, Attempts(SUBJECT, HOME, 3, NOW, LATER), work, strangers, others, old)
    await store.write(lambda tx: tx.attempts.clear(SUBJECT, HOME, NOW))
    assert await of(store, SUBJECT, HOME, WORK, STRANGERS, old.place) == [strangers, work]
    assert await of(store, OTHER, HOME) == [others]


async def test_forgiving_counts_from_zero_everywhere_and_keeps_what_is_familiar(
    store: Store,
) -> None:
    locked = [Attempts(SUBJECT, STRANGERS, 20, NOW), Attempts(SUBJECT, HOME, 11, NOW, LATER)]
    other = Attempts(OTHER, STRANGERS, 20, NOW)
    await put(store, *locked, other)
    await store.write(lambda tx: tx.attempts.forgive(SUBJECT))
    forgiven = await of(store, SUBJECT, STRANGERS, HOME)
    assert forgiven == [Attempts(SUBJECT), Attempts(SUBJECT, HOME, familiar_until=LATER)]
    assert await of(store, OTHER, STRANGERS) == [other]


async def test_an_attempt_that_is_undone_is_not_counted(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        tx.attempts.put(Attempts(SUBJECT, failures=2))
        raise LookupError

    counted = Attempts(SUBJECT, failures=1, failed_at=NOW)
    await put(store, counted)
    with pytest.raises(LookupError):
        await store.write(fail)
    assert await of(store, SUBJECT, STRANGERS) == [counted]
