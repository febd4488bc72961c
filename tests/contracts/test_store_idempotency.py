"""Every store: what was answered to requests that may come again."""

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from app.domain.idempotency import KEPT_FOR, IdempotencyRecord, hash_key
from app.domain.ports.store import Store, Transaction
from tests.contracts.rows import NOW

pytestmark = pytest.mark.anyio

ALICE, NETWORK, UNKNOWN = "0f8fad5b-d9cb-469f-a165-70867728950e", "2001:db8:1:2::/64", ""
TICK = timedelta(milliseconds=1)


def record(number: int = 1, caller: str = ALICE) -> IdempotencyRecord:
    return IdempotencyRecord(caller, hash_key(f"key {number}"), b"\x00\xff" * 16, NOW, '{"ö":1}')


async def claim(store: Store, *records: IdempotencyRecord) -> list[bool]:
    def claim_all(tx: Transaction) -> list[bool]:
        return [tx.idempotency.claim(one) for one in records]

    return await store.write(claim_all)


async def find(store: Store, wanted: IdempotencyRecord) -> IdempotencyRecord | None:
    return await store.read(lambda tx: tx.idempotency.find(wanted.caller, wanted.key))


@pytest.mark.parametrize("caller", [ALICE, NETWORK, UNKNOWN])
async def test_a_record_is_found_by_caller_and_key(store: Store, caller: str) -> None:
    kept, other = record(1, caller), record(2, caller)
    assert await find(store, kept) is None
    assert await claim(store, kept) == [True]
    assert await find(store, kept) == kept
    assert await find(store, other) is None
    assert await find(store, replace(kept, caller="198.51.100.1")) is None


@pytest.mark.parametrize("turned", [timedelta(), KEPT_FOR - TICK, TICK - KEPT_FOR])
async def test_one_that_is_kept_is_not_claimed_again(store: Store, turned: timedelta) -> None:
    later = replace(record(), fingerprint=b"other", made_at=NOW + turned, answer="{}")
    assert await claim(store, record(), later) == [True, False]
    assert await find(store, later) == record()
    assert await claim(store, replace(later, caller=NETWORK)) == [True]


@pytest.mark.parametrize("turned", [KEPT_FOR, -KEPT_FOR, timedelta(days=4000)])
async def test_one_that_is_kept_no_longer_gives_way(store: Store, turned: timedelta) -> None:
    later = replace(record(), fingerprint=b"other", made_at=NOW + turned, answer="{}")
    assert await claim(store, record(), later) == [True, True]
    assert await find(store, later) == later


async def test_a_claim_is_completed_with_its_answer(store: Store) -> None:
    other = record(2)
    await claim(store, replace(record(), answer=""), other)
    await store.write(lambda tx: tx.idempotency.complete(record()))
    assert [await find(store, one) for one in (record(), other)] == [record(), other]


async def test_of_many_that_claim_at_once_one_does(store: Store) -> None:
    claimed: list[bool] = []

    async def ask(number: int) -> None:
        claimed.extend(await claim(store, replace(record(), answer=str(number))))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(ask, number)
    assert sorted(claimed) == [False] * 7 + [True]


async def test_one_of_a_write_that_fails_is_not_kept(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        tx.idempotency.claim(record())
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fail)
    assert await find(store, record()) is None
