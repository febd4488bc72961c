"""Every store: accounts, what is unique about them, and their numbers."""

from dataclasses import replace

import pytest

from app.domain.errors import EmailTaken, UsernameTaken
from app.domain.ports.store import Store
from app.domain.presence import Presence
from app.domain.users import AccountRef, User
from tests.contracts.rows import UNKNOWN_ID, add, add_users, new_user, save

pytestmark = pytest.mark.anyio


async def find(store: Store, user_id: int) -> User | None:
    return await store.read(lambda tx: tx.users.find(AccountRef(id=user_id)))


async def test_an_account_is_stored_as_it_was_added(store: Store) -> None:
    new = new_user(1, username="张三李四", display_name="😀 '\"\\", email="Ñ@例え.jp", admin=True)
    (user,) = await add(store, new)
    assert user == User(
        number=user.number,
        id=new.id,
        uuid=new.uuid,
        username="张三李四",
        display_name="😀 '\"\\",
        email="Ñ@例え.jp",
        password_hash="hash",
        admin=True,
        disabled=False,
        version=user.version,
    )


@pytest.mark.parametrize("presence", [*Presence, None])
async def test_a_presence_is_stored_as_it_was_set(store: Store, presence: Presence | None) -> None:
    (user,) = await add_users(store, 1)
    await save(store, await save(store, user, presence=Presence.IDLE), presence=presence)
    found = await find(store, user.id)
    assert found is not None
    assert found.presence is presence


async def test_a_presence_is_set_without_the_rest_of_the_account(store: Store) -> None:
    user, other = await add_users(store, 2)
    await store.write(lambda tx: tx.users.set_presence(user.id, Presence.DND))
    assert await find(store, user.id) == replace(user, presence=Presence.DND)
    assert await find(store, other.id) == other


async def test_an_account_is_found_by_each_of_its_names(store: Store) -> None:
    _, user, _ = await add_users(store, 3)
    assert await find(store, user.id) == user
    assert await store.read(lambda tx: tx.users.find(AccountRef(uuid=user.uuid))) == user
    assert await store.read(lambda tx: tx.users.get_by_username(user.username)) == user


async def test_accounts_are_found_by_any_of_their_names_by_one_query(store: Store) -> None:
    users = await add_users(store, 3)
    refs = [
        AccountRef(id=users[0].id),
        AccountRef(uuid=users[1].uuid),
        AccountRef(username=users[2].username),
        AccountRef(username=users[0].username),
        AccountRef(id=UNKNOWN_ID),
        AccountRef(username="nobody"),
        AccountRef(username=users[0].uuid),
    ]
    found = await store.read(lambda tx: tx.users.find_many(refs))
    assert found == dict(zip(refs[:4], [*users, users[0]], strict=True))
    assert await store.read(lambda tx: tx.users.find_many(refs[-2:])) == {}
    assert await store.read(lambda tx: tx.users.find_many([])) == {}


async def test_an_account_that_is_not_there_is_none(store: Store) -> None:
    await add_users(store, 1)
    unknown = new_user(UNKNOWN_ID)
    assert await find(store, unknown.id) is None
    assert await store.read(lambda tx: tx.users.find(AccountRef(uuid=unknown.uuid))) is None
    assert await store.read(lambda tx: tx.users.get_by_username(unknown.username)) is None
    assert await store.read(lambda tx: tx.users.get_by_username("")) is None


async def test_the_largest_snowflake_is_kept_to_the_last_digit(store: Store) -> None:
    await add(store, new_user(1, id=2**63 - 1), new_user(2, id=2**63 - 2))
    found = await find(store, 2**63 - 1)
    assert found is not None
    assert found.username == "user1"


async def test_an_account_may_have_neither_address_nor_password(store: Store) -> None:
    (user,) = await add(store, new_user(1, email=None, password_hash=None))
    found = await find(store, user.id)
    assert found is not None
    assert (found.email, found.password_hash) == (None, None)


# --------------------------------------------------------------------------------- unique


async def test_two_accounts_have_not_one_username(store: Store) -> None:
    await add(store, new_user(1, username="demo1"))
    with pytest.raises(UsernameTaken, match="User with username demo1 already exists"):
        await add(store, new_user(2, username="demo1"))


@pytest.mark.parametrize("other", ["new@example.com", "NEW@EXAMPLE.COM", "New@Example.Com"])
async def test_two_accounts_have_not_one_address_in_any_case(store: Store, other: str) -> None:
    await add(store, new_user(1, email="new@example.com"))
    with pytest.raises(EmailTaken) as refusal:
        await add(store, new_user(2, email=other))
    assert other in refusal.value.detail


async def test_addresses_beyond_ascii_are_unique_in_any_case_and_form(store: Store) -> None:
    await add(store, new_user(1, email="ñandú@example.com"))
    for other in ("ÑANDÚ@example.com", "n\u0303andu\u0301@example.com"):
        with pytest.raises(EmailTaken):
            await add(store, new_user(2, email=other))


async def test_accounts_without_an_address_never_collide(store: Store) -> None:
    users = await add(store, *(new_user(n, email=None) for n in range(1, 5)))
    users.append((await add(store, new_user(5, email="only@example.com")))[0])
    for user in users:
        await save(store, user, email=None)
    assert [user.email for user in users[:4]] == [None] * 4


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"username": "user1"}, UsernameTaken), ({"email": "ONE@example.com"}, EmailTaken)],
)
async def test_a_change_to_what_another_has_is_refused(
    store: Store, changes: dict[str, str], error: type[Exception]
) -> None:
    _, other = await add(store, new_user(1, email="one@example.com"), new_user(2))
    with pytest.raises(error):
        await save(store, other, **changes)
    assert await find(store, other.id) == other


async def test_an_account_never_collides_with_itself(store: Store) -> None:
    (user,) = await add(store, new_user(1, email="one@example.com"))
    changed = await save(store, user, email="ONE@example.com", display_name="Other")
    assert await find(store, user.id) == changed


@pytest.mark.parametrize("change", [{"email": None}, {"email": "other@example.com"}])
async def test_an_address_left_behind_is_free(store: Store, change: dict[str, str | None]) -> None:
    (user,) = await add(store, new_user(1, email="one@example.com"))
    await save(store, user, **change)
    (other,) = await add(store, new_user(2, email="one@example.com"))
    assert other.email == "one@example.com"


async def test_a_disabled_account_keeps_its_name_and_address(store: Store) -> None:
    (user,) = await add(store, new_user(1, email="one@example.com"))
    await save(store, user, disabled=True)
    with pytest.raises(UsernameTaken):
        await add(store, new_user(2, username=user.username))
    with pytest.raises(EmailTaken):
        await add(store, new_user(2, email=user.email))


# --------------------------------------------------------------------------------- change


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "renamed"},
        {"display_name": "Renamed"},
        {"email": "one@example.com"},
        {"password_hash": "other"},
        {"password_hash": None},
        {"admin": True},
        {"disabled": True},
        {"version": 2},
        {"username": "renamed", "email": "one@example.com", "admin": True, "version": 9},
    ],
)
async def test_a_changed_account_is_stored_and_no_other(
    store: Store, changes: dict[str, object]
) -> None:
    user, other = await add_users(store, 2)
    changed = await save(store, user, **changes)
    assert await find(store, user.id) == changed == replace(user, **changes)  # type: ignore[arg-type]
    assert await find(store, other.id) == other


# -------------------------------------------------------------------------------- numbers


async def test_numbers_begin_with_1_and_increase(store: Store) -> None:
    users = await add_users(store, 5)
    numbers = [user.number for user in users]
    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))


async def test_a_number_is_never_given_again(store: Store) -> None:
    given = [user.number for user in await add_users(store, 3)]
    with pytest.raises(UsernameTaken):
        await add(store, new_user(4), new_user(5, username="user1"))
    given += [user.number for user in await add(store, new_user(6), new_user(7))]
    assert given == sorted(set(given))


async def test_a_changed_account_keeps_its_number(store: Store) -> None:
    user, _ = await add_users(store, 2)
    await save(store, user, username="renamed", disabled=True)
    found = await store.read(lambda tx: tx.users.get_by_username("renamed"))
    assert found is not None
    assert (found.number, found.id, found.uuid) == (user.number, user.id, user.uuid)


async def test_the_newest_id_is_the_highest(store: Store) -> None:
    assert await store.read(lambda tx: tx.users.newest_id()) == 0
    await add(store, new_user(1, id=30), new_user(2, id=2**62), new_user(3, id=4))
    assert await store.read(lambda tx: tx.users.newest_id()) == 2**62


# --------------------------------------------------------------------------------- admins


@pytest.mark.parametrize(
    ("others", "answer"),
    [
        ([], False),
        ([new_user(2)], False),
        ([new_user(2, admin=True)], True),
        ([new_user(2), new_user(3, admin=True)], True),
    ],
    ids=["nobody", "a user", "an admin", "a user and an admin"],
)
@pytest.mark.parametrize("admin", [True, False])
async def test_another_active_admin_is_one_who_is_another(
    store: Store, others: list[User], answer: bool, admin: bool
) -> None:
    user, *_ = await add(store, new_user(1, admin=admin), *others)
    assert await store.read(lambda tx: tx.users.has_other_active_admin(user.id)) is answer


async def test_a_disabled_admin_is_no_active_one(store: Store) -> None:
    user, other = await add(store, new_user(1, admin=True), new_user(2, admin=True))
    await save(store, other, disabled=True)
    assert not await store.read(lambda tx: tx.users.has_other_active_admin(user.id))
    assert await store.read(lambda tx: tx.users.has_other_active_admin(other.id))
