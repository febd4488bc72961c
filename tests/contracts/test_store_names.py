"""Every store: claims on names, and names held back."""

from datetime import datetime, timedelta

import pytest

from app.domain.ports.store import Store, Transaction
from app.domain.users import User
from tests.contracts.rows import LATER, NOW, add_users

pytestmark = pytest.mark.anyio

A_MOMENT = timedelta(milliseconds=1)


async def claim(
    store: Store, name: str, user: User, *, now: datetime = NOW, include_held: bool = False
) -> bool:
    return await store.write(
        lambda tx: tx.name_claims.claim(name, user.id, now=now, include_held=include_held)
    )


async def leave(store: Store, user: User, held_until: datetime = LATER) -> None:
    await store.write(lambda tx: tx.name_claims.hold_current(user.id, held_until))


async def is_taken(store: Store, name: str, now: datetime = NOW) -> bool:
    return await store.read(lambda tx: name in tx.name_claims.find_taken([name], now))


async def test_an_unused_name_is_free(store: Store) -> None:
    assert not await is_taken(store, "name")


@pytest.mark.parametrize("name", ["name", "名字名字", "O'Neill\"%_\\", "𠀀"])
async def test_a_claimed_name_is_taken(store: Store, name: str) -> None:
    user, other = await add_users(store, 2)
    assert await claim(store, name, user)
    assert await is_taken(store, name)
    assert not await claim(store, name, other)


@pytest.mark.parametrize("other_name", ["Name", "name ", "nam", "namé"])
async def test_skeletons_are_compared_exactly(store: Store, other_name: str) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "name", user)
    assert not await is_taken(store, other_name)
    assert await claim(store, other_name, other)


@pytest.mark.parametrize("include_held", [False, True])
async def test_no_account_takes_the_name_of_another(store: Store, include_held: bool) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "name", user)
    assert not await claim(store, "name", other, include_held=include_held)
    assert not await claim(store, "name", other, now=LATER, include_held=include_held)


async def test_a_claim_that_fails_changes_nothing(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "name", user)
    await claim(store, "other", other)
    assert not await claim(store, "name", other)
    await leave(store, user, NOW)
    assert not await is_taken(store, "name")
    assert await is_taken(store, "other")


@pytest.mark.parametrize("include_held", [False, True])
async def test_an_account_is_not_blocked_by_its_own_claim(store: Store, include_held: bool) -> None:
    (user,) = await add_users(store, 1)
    assert await claim(store, "name", user)
    assert await claim(store, "name", user, include_held=include_held)
    assert await is_taken(store, "name")


async def test_a_name_is_found_with_the_account_that_has_it_now(store: Store) -> None:
    async def owner(skeleton: str) -> int | None:
        return await store.read(lambda tx: tx.name_claims.find_current_owner(skeleton))

    user, _ = await add_users(store, 2)
    assert await owner("name") is None
    await claim(store, "name", user)
    assert await owner("name") == user.id
    await leave(store, user)
    assert await owner("name") is None


async def test_of_many_names_those_are_found_that_are_taken(store: Store) -> None:
    user, other = await add_users(store, 2)
    names = ["first", "second", 'a "quoted" one', "νίκος", "张三李四", "it's", "{}", "1"]
    for name in names:
        await claim(store, name, user)
        await leave(store, user, LATER if name != "second" else NOW)
    await claim(store, "present", other)

    async def taken(*asked: str) -> list[str]:
        return sorted(await store.read(lambda tx: tx.name_claims.find_taken(asked, NOW)))

    still = sorted({*names, "present"} - {"second"})
    assert await taken(*names, "present", "nobody", "it''s", "2", "") == still
    assert await taken("νίκος", "νίκος") == ["νίκος"]
    assert await taken("nobody", "second") == []
    assert await taken() == []


async def test_a_name_left_is_held_back_until_its_time(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "name", user)
    await leave(store, user)
    assert await is_taken(store, "name", LATER - A_MOMENT)
    assert not await claim(store, "name", other, now=LATER - A_MOMENT)
    assert not await is_taken(store, "name", LATER + A_MOMENT)
    assert await claim(store, "name", other, now=LATER + A_MOMENT)


async def test_is_taken_and_claim_agree_at_the_very_end(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "name", user)
    await leave(store, user)
    taken = await is_taken(store, "name", LATER)
    assert await claim(store, "name", other, now=LATER) is not taken


async def test_the_old_owner_may_come_back(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await claim(store, "name", user)
    await leave(store, user)
    assert await claim(store, "name", user)
    assert await is_taken(store, "name", LATER + A_MOMENT)


async def test_held_too_takes_a_name_that_is_held_back(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "name", user)
    await leave(store, user)
    assert await claim(store, "name", other, include_held=True)
    assert not await claim(store, "name", user)
    assert await is_taken(store, "name", LATER + A_MOMENT)


async def test_release_holds_back_the_present_name_alone(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "first", user)
    await leave(store, user, NOW + timedelta(days=1))
    await claim(store, "second", user)
    await leave(store, user, NOW + timedelta(days=2))
    assert not await is_taken(store, "first", NOW + timedelta(days=1, hours=1))
    assert await is_taken(store, "second", NOW + timedelta(days=1, hours=1))
    assert await claim(store, "first", other, now=NOW + timedelta(days=1, hours=1))


async def test_release_touches_no_other_accounts_name(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "mine", user)
    await claim(store, "his", other)
    await leave(store, user, NOW)
    assert not await is_taken(store, "mine")
    assert await is_taken(store, "his")


async def test_release_of_nothing_does_nothing(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await leave(store, user)
    assert await claim(store, "name", user)


async def test_several_names_may_be_held_for_one_account(store: Store) -> None:
    user, other = await add_users(store, 2)
    for name in ("first", "second", "third"):
        await claim(store, name, user)
        await leave(store, user)
    assert not any([await claim(store, name, other) for name in ("first", "second", "third")])
    assert await claim(store, "second", user)


async def test_a_rename_in_one_write_swaps_the_names(store: Store) -> None:
    user, other = await add_users(store, 2)
    await claim(store, "old", user)

    def rename(tx: Transaction) -> bool:
        tx.name_claims.hold_current(user.id, LATER)
        return tx.name_claims.claim("new", user.id, now=NOW, include_held=False)

    assert await store.write(rename)
    assert not await claim(store, "old", other)
    assert not await claim(store, "new", other, now=LATER + A_MOMENT)
    assert await claim(store, "old", other, now=LATER + A_MOMENT)


async def test_of_names_held_back_for_an_account_the_last_left_stay(store: Store) -> None:
    user, other = await add_users(store, 2)
    for days, name in enumerate(("first", "second", "third", "fourth")):
        await claim(store, name, user)
        await leave(store, user, LATER + timedelta(days=days))
    await claim(store, "present", user)
    await claim(store, "another", other)
    await leave(store, other)
    await store.write(lambda tx: tx.name_claims.release_oldest_held(user.id, 2))
    taken = {
        name: await is_taken(store, name)
        for name in ("first", "second", "third", "fourth", "present", "another")
    }
    assert [name for name, is_held in taken.items() if not is_held] == ["first", "second"]


async def test_renames_are_kept_as_they_were_put(store: Store) -> None:
    user, other = await add_users(store, 2)
    assert await renames(store, user) == []
    several: list[list[datetime]] = [[NOW], [NOW, NOW, LATER + A_MOMENT]]
    for times in several:
        await save_renames(store, user, times)
        assert await renames(store, user) == times
    assert await renames(store, other) == []


async def save_renames(store: Store, user: User, times: list[datetime]) -> None:
    await store.write(lambda tx: tx.name_claims.save_renames(user.id, times))


async def renames(store: Store, user: User) -> list[datetime]:
    return list(await store.read(lambda tx: tx.name_claims.list_renames(user.id)))
