"""Every store: the outbox gives each message to one at a time, in the order of its line."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import text
from sqlalchemy.util import await_only

from app.domain.outbox import (
    LEASE,
    LEASE_MARGIN,
    RETRY_DELAY_MAX,
    Delivery,
    Depth,
    Message,
    OutboxFilter,
    State,
)
from app.domain.ports.store import Store, Transaction
from app.storage.postgresql.store import PostgresStore
from app.storage.repositories.outbox import OutboxRepository
from app.storage.sqlite.store import SqliteStore
from app.storage.unit_of_work import SqlTransaction
from tests.contracts.rows import NOW, add_users
from tests.postgres import serializable

pytestmark = pytest.mark.anyio

ALICE, BOBBY = 1001, 1002
SECOND = timedelta(seconds=1)
KIND = "servers"


async def add(store: Store, *messages: Message) -> list[int]:
    """The numbers of messages that were added at the same time."""

    def work(tx: Transaction) -> None:
        for message in messages:
            tx.outbox.add(Delivery.from_message(message, NOW))

    await store.write(work)
    found = await page(store, limit=len(messages))
    return [delivery.number for delivery in reversed(found)]


async def add_for(store: Store, *subjects: int) -> list[int]:
    return await add(store, *(Message(KIND, subject) for subject in subjects))


async def page(store: Store, after: int | None = None, limit: int = 100, **wanted: Any) -> Any:
    return await store.read(lambda tx: tx.outbox.list_page(OutboxFilter(**wanted), after, limit))


async def claim(
    store: Store, holder: str = "one", max_count: int = 10, now: Any = NOW, kinds: Any = (KIND,)
) -> list[Delivery]:
    is_due = await store.scan(lambda tx: tx.outbox.has_due(kinds, now))
    claimed = await store.write(lambda tx: tx.outbox.claim(kinds, now, holder, max_count))
    assert is_due is bool(claimed)
    return list(claimed)


async def numbers(store: Store, **asked: Any) -> list[int]:
    return [delivery.number for delivery in await claim(store, **asked)]


async def settle(store: Store, delivery: Delivery, holder: str = "one") -> bool:
    return await store.write(lambda tx: tx.outbox.release(delivery, holder))


async def save(store: Store, delivery: Delivery) -> None:
    await store.write(lambda tx: tx.outbox.save(delivery))


async def test_a_message_comes_back_as_it_was_added(store: Store) -> None:
    message = Message(KIND, 2**62, {"name": "böse", "list": [1, None, True]})
    (number,) = await add(store, message)
    found = await store.read(lambda tx: tx.outbox.find(number))
    assert found == replace(Delivery.from_message(message, NOW), number=number)
    assert await store.read(lambda tx: tx.outbox.find(number + 1)) is None


async def test_a_message_is_there_only_where_the_change_is(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        tx.outbox.add(Delivery.from_message(Message(KIND, ALICE), NOW))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(fail)
    assert await page(store) == []


async def test_the_outcome_of_a_message_is_kept(store: Store) -> None:
    await add_for(store, ALICE)
    (claimed,) = await claim(store)
    assert claimed.attempts == 1
    done = claimed.delivered({"stopped": ["a"]}, NOW + SECOND)
    assert await settle(store, done)
    assert await page(store) == [done]
    assert await claim(store) == []


async def test_a_claimed_message_is_not_claimed_again(store: Store) -> None:
    await add_for(store, ALICE)
    (claimed,) = await claim(store)
    assert await claim(store, "other") == []
    assert not await settle(store, claimed.delivered(None, NOW), "other")
    assert (await page(store))[0].state is State.WAITING


async def test_a_later_message_of_a_line_waits_until_the_earlier_is_done(store: Store) -> None:
    first, second, other = await add_for(store, ALICE, ALICE, BOBBY)
    (mine, _) = await claim(store)
    assert (mine.number, _.number) == (first, other)
    assert await claim(store) == []
    await settle(store, mine.delivered(None, NOW))
    assert await numbers(store) == [second]


async def test_a_later_message_waits_through_the_pauses_of_the_earlier(store: Store) -> None:
    first, _ = await add_for(store, ALICE, ALICE)
    (mine,) = await claim(store)
    await settle(store, mine.failed("no", NOW, 0.5))
    assert await claim(store) == []
    assert await numbers(store, now=NOW + SECOND) == [first]


async def test_a_dead_message_delays_no_other(store: Store) -> None:
    _, second = await add_for(store, ALICE, ALICE)
    (mine,) = await claim(store)
    await settle(store, mine.failed("no", mine.deadline, 0.5))
    assert await numbers(store) == [second]


async def test_lines_of_different_kinds_do_not_wait_for_each_other(store: Store) -> None:
    first, second = await add(store, Message(KIND, ALICE), Message("hook", ALICE))
    assert await numbers(store, kinds=(KIND, "hook")) == [first, second]


async def test_only_the_kinds_that_are_asked_for_are_given(store: Store) -> None:
    await add(store, Message("hook", ALICE))
    assert await claim(store) == []
    assert await claim(store, kinds=()) == []


async def test_no_more_are_given_than_are_asked_for_and_the_longest_due_first(
    store: Store,
) -> None:
    first, second, third = await add_for(store, 1, 2, 3)
    found = await store.read(lambda tx: tx.outbox.find(first))
    assert found is not None
    await save(store, replace(found, due_at=NOW + SECOND))
    assert await numbers(store, max_count=1, now=NOW + SECOND) == [second]
    assert await numbers(store, max_count=5, now=NOW + SECOND) == [first, third]


async def test_one_that_is_put_back_waits_for_the_later_one_that_is_under_way(
    store: Store,
) -> None:
    first, _ = await add_for(store, ALICE, ALICE)
    (dead,) = await claim(store)
    await settle(store, dead.failed("no", dead.deadline, 0.5))
    (later,) = await claim(store)
    await save(store, dead.requeued(NOW))
    assert await claim(store) == []
    await settle(store, later.failed("no", NOW, 0.5))
    assert await numbers(store) == [first]


async def test_one_that_is_held_stays_so_when_it_is_put_back(store: Store) -> None:
    await add_for(store, ALICE)
    (held,) = await claim(store)
    await save(store, held.requeued(NOW))
    assert await claim(store) == []
    assert await settle(store, held.delivered(None, NOW))


async def test_an_unclaimed_message_can_be_dropped(store: Store) -> None:
    first, second = await add_for(store, ALICE, ALICE)
    await claim(store)
    assert not await store.write(lambda tx: tx.outbox.delete(first))
    assert await store.write(lambda tx: tx.outbox.delete(second))
    assert not await store.write(lambda tx: tx.outbox.delete(second))
    assert [found.number for found in await page(store)] == [first]


async def test_a_pause_of_a_clock_that_was_set_back_is_over(store: Store) -> None:
    (number,) = await add_for(store, ALICE)
    assert await claim(store, now=NOW - RETRY_DELAY_MAX) == []
    assert await numbers(store, now=NOW - RETRY_DELAY_MAX - SECOND) == [number]


async def test_pages_are_the_newest_first_and_hold_what_is_wanted(store: Store) -> None:
    first, second, third = await add_for(store, ALICE, BOBBY, ALICE)
    (mine, _) = await claim(store)
    await settle(store, mine.delivered(None, NOW))

    async def found(*asked: Any, **wanted: Any) -> list[int]:
        return [delivery.number for delivery in await page(store, *asked, **wanted)]

    assert await found() == [third, second, first]
    assert await found(None, 2) == [third, second]
    assert await found(second, 2) == [first]
    assert await found(2**63 - 1) == [third, second, first]
    assert await found(subject=ALICE) == [third, first]
    assert await found(subject=ALICE, state=State.WAITING) == [third]
    assert await found(state=State.DONE) == [first]


async def test_the_depth_is_what_waits_and_what_is_dead(store: Store) -> None:
    await add_for(store, 1, 2, 3)
    done, dead, _ = await claim(store)
    await settle(store, done.delivered(None, NOW))
    await settle(store, dead.failed("no", dead.deadline, 0.5))
    await add(store, Message("hook", ALICE))
    found = await store.scan(lambda tx: tx.outbox.depth())
    assert sorted(found, key=lambda depth: (depth.kind, depth.state)) == [
        Depth("hook", State.WAITING, 1, NOW),
        Depth(KIND, State.DEAD, 1, NOW),
        Depth(KIND, State.WAITING, 1, NOW),
    ]


async def test_of_many_that_claim_at_once_each_message_goes_to_one(store: Store) -> None:
    lines = range(1, 31)
    await add_for(store, *lines, *lines)
    given: list[int] = []

    async def work(holder: str) -> None:
        # What others are about to claim is passed over, so there may be nothing for a moment.
        while len(given) < len(lines):
            claimed = await store.write(lambda tx: tx.outbox.claim([KIND], NOW, holder, 3))
            given.extend(delivery.message.subject for delivery in claimed)
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for holder in range(5):
                group.start_soon(work, f"worker {holder}")
    assert sorted(given) == list(lines)
    assert not await store.write(lambda tx: tx.outbox.claim([KIND], NOW, "another", 3))


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def move_lease(store: SqliteStore | PostgresStore, by: timedelta) -> None:
    def work(tx: Transaction) -> None:
        assert isinstance(tx, SqlTransaction)
        moved = {"by": by // timedelta(milliseconds=1)}
        tx.connection.execute(text("UPDATE outbox SET leased_until = leased_until + :by"), moved)

    await store.write(work)


@pytest.mark.parametrize(
    "by",
    [-LEASE, LEASE_MARGIN + 2 * SECOND, timedelta(days=1)],
    ids=["its time has come", "the clock was set back", "the machine started anew"],
)
async def test_a_lease_that_has_ended_makes_the_message_free(engine: Any, by: timedelta) -> None:
    (number,) = await add_for(engine, ALICE)
    (lost,) = await claim(engine)
    assert await claim(engine, "other") == []
    await move_lease(engine, by)
    (found,) = await claim(engine, "other")
    assert (found.number, found.attempts) == (number, 2)
    assert not await settle(engine, lost.delivered(None, NOW))
    assert await settle(engine, found.delivered(None, NOW), "other")


async def test_a_corrected_clock_ends_no_lease(engine: Any) -> None:
    await add_for(engine, ALICE)
    await claim(engine)
    await move_lease(engine, LEASE_MARGIN - 2 * SECOND)
    assert await claim(engine, "other") == []
    number = (await page(engine))[0].number
    assert not await engine.write(lambda tx: tx.outbox.delete(number))


async def test_a_delayed_claim_takes_nothing_from_a_later_holder(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is that of the claiming statement, not of an earlier one."""
    monkeypatch.setattr("app.storage.repositories.outbox.LEASE_MARGIN", timedelta(0))
    await add_for(postgres, ALICE)
    later: list[Any] = []
    clock = OutboxRepository._clock

    def held_up(table: OutboxRepository) -> Any:
        now = clock(table)
        if not later:
            later.append(None)
            later.extend(await_only(claimed_later()))
        return now

    async def claimed_later() -> Any:
        await anyio.sleep(0.01)
        async with serializable(postgres).connect() as connection, connection.begin():
            return await connection.run_sync(
                lambda c: SqlTransaction(c).outbox.claim([KIND], NOW, "later", 1)
            )

    monkeypatch.setattr(OutboxRepository, "_clock", held_up)
    assert await postgres.write(lambda tx: tx.outbox.claim([KIND], NOW, "first", 1)) == []
    assert len(later) == 2


async def test_those_that_claim_do_not_wait_for_each_other(postgres: PostgresStore) -> None:
    """FOR UPDATE SKIP LOCKED: what another is about to take is passed over."""
    first, second = await add_for(postgres, ALICE, BOBBY)
    async with serializable(postgres).connect() as connection, connection.begin():
        (taken,) = await connection.run_sync(
            lambda c: SqlTransaction(c).outbox.claim([KIND], NOW, "one", 1)
        )
        assert taken.number == first
        with anyio.fail_after(10):
            assert await numbers(postgres, holder="other") == [second]


async def test_a_release_during_a_claim_never_leaves_two_messages_of_a_subject_in_progress(
    postgres: PostgresStore,
) -> None:
    first, second = await add_for(postgres, ALICE, ALICE)
    (dead,) = await claim(postgres)
    await settle(postgres, replace(dead, state=State.DEAD))

    async def claimed_by_another() -> list[int]:
        found = await postgres.write(lambda tx: tx.outbox.claim([KIND], NOW, "other", 10))
        return [delivery.number for delivery in found]

    async with serializable(postgres).connect() as connection:
        async with connection.begin():
            (taken,) = await connection.run_sync(
                lambda c: SqlTransaction(c).outbox.claim([KIND], NOW, "one", 10)
            )
            put_back = asyncio.create_task(save(postgres, dead.requeued(NOW)))
            # As far as each gets, or until it waits for the other claim.
            await asyncio.wait({put_back}, timeout=0.3)
            another = asyncio.create_task(claimed_by_another())
            await asyncio.wait({another}, timeout=0.3)
        await put_back
    assert (taken.number, await another) == (second, [])
    assert await settle(postgres, taken.delivered(None, NOW))
    assert await numbers(postgres) == [first]


async def test_stopped_servers_are_remembered_by_their_owner(store: Store) -> None:
    alice, bobby = (user.id for user in await add_users(store, 2))

    def put_some(tx: Transaction) -> None:
        tx.stopped_servers.replace_for_user(alice, ["b", "a", "b"])
        tx.stopped_servers.replace_for_user(bobby, ["a"])

    await store.write(put_some)
    assert await store.read(lambda tx: tx.stopped_servers.list_for_user(alice)) == ["a", "b"]
    await store.write(lambda tx: tx.stopped_servers.replace_for_user(alice, ["c", "b"]))
    assert await store.read(lambda tx: tx.stopped_servers.list_for_user(alice)) == ["b", "c"]
    await store.write(lambda tx: tx.stopped_servers.replace_for_user(alice, []))
    assert await store.read(lambda tx: tx.stopped_servers.list_for_user(alice)) == []
    assert await store.read(lambda tx: tx.stopped_servers.list_for_user(bobby)) == ["a"]
