"""Every store: what was answered to requests that may come again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.idempotency import KEPT_FOR, RECORDS_PER_CALLER, IdempotencyRecord, hash_of_key
from app.domain.ports import Store, Transaction
from tests.contracts.rows import NOW

pytestmark = pytest.mark.anyio

ALICE, NETWORK, UNKNOWN = "0f8fad5b-d9cb-469f-a165-70867728950e", "2001:db8:1:2::/64", ""
TICK = timedelta(milliseconds=1)


def record(number: int = 1, caller: str = ALICE) -> IdempotencyRecord:
    return IdempotencyRecord(caller, hash_of_key(f"key {number}"), b"\x00\xff" * 16, NOW, '{"ö":1}')


async def put(store: Store, *records: IdempotencyRecord) -> None:
    def put_all(tx: Transaction) -> None:
        for one in records:
            tx.idempotency.put(one)

    await store.write(put_all)


async def find(store: Store, wanted: IdempotencyRecord) -> IdempotencyRecord | None:
    return await store.read(lambda tx: tx.idempotency.find(wanted.caller, wanted.key))


@pytest.mark.parametrize("caller", [ALICE, NETWORK, UNKNOWN])
async def test_what_is_put_is_found_by_caller_and_key(store: Store, caller: str) -> None:
    kept, other = record(1, caller), record(2, caller)
    assert await find(store, kept) is None
    await put(store, kept)
    assert await find(store, kept) == kept
    assert await find(store, other) is None
    assert await find(store, replace(kept, caller="198.51.100.1")) is None


async def test_a_later_one_takes_the_place_of_an_earlier_one(store: Store) -> None:
    later = replace(record(), fingerprint=b"other", made_at=NOW + TICK, answer="{}")
    await put(store, record(), later)
    assert await find(store, later) == later


async def test_one_of_a_write_that_fails_is_not_kept(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        tx.idempotency.put(record())
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fail)
    assert await find(store, record()) is None


async def test_sweeping_deletes_what_is_kept_no_longer_whosever_it_is(store: Store) -> None:
    gone = [
        replace(record(1), made_at=NOW - KEPT_FOR),
        replace(record(2, NETWORK), made_at=NOW - timedelta(days=400)),
        # Of a clock that was wrong.
        replace(record(3), made_at=NOW + KEPT_FOR),
    ]
    kept = [
        replace(record(4), made_at=NOW - KEPT_FOR + TICK),
        replace(record(5, NETWORK), made_at=NOW),
        replace(record(6), made_at=NOW + KEPT_FOR - TICK),
    ]
    await put(store, *gone, *kept)
    await store.write(lambda tx: tx.idempotency.sweep(ALICE, NOW))
    assert [await find(store, one) for one in gone] == [None] * 3
    assert [await find(store, one) for one in kept] == kept


async def test_sweeping_deletes_the_oldest_of_a_caller_who_has_too_many(store: Store) -> None:
    excess = 3
    own = [
        replace(record(n), made_at=NOW + TICK * (n // 2))
        for n in range(RECORDS_PER_CALLER + excess)
    ]
    await put(store, record(1, NETWORK), *own)
    await store.write(lambda tx: tx.idempotency.sweep(ALICE, NOW))
    found = [await find(store, one) is not None for one in own]
    assert found.count(False) == excess
    assert all(found[4:])
    assert await find(store, record(1, NETWORK)) == record(1, NETWORK)
