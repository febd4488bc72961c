"""Every store: lists of accounts, filtered, sorted and cut into pages."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from pydantic_core import to_json

from app.domain.json_rows import RowShape
from app.domain.names import email_key
from app.domain.ports.store import Store, Transaction
from app.domain.users import Position, Sort, SortKey, Status, User, UserFilter
from app.operations.framework.pagination import user_position
from app.operations.views.accounts import PANEL_USER, PanelUser, panel_user
from tests.contracts.rows import add, new_user, save
from tests.ids import named

pytestmark = pytest.mark.anyio

EVERYBODY = UserFilter(status=Status.ALL)
SORTS = [Sort(key, descending) for key in SortKey for descending in (False, True)]

# In the order of their numbers; the names and addresses are in another.
PEOPLE = [
    new_user(1, username="delta", email="zoe@example.com", admin=True),
    new_user(2, username="alpha", email=None),
    new_user(3, username="张三李四", email="Müller@example.com"),
    new_user(4, username="al_ha", email=None),
    new_user(5, username="alxha", email="100%_sure@example.com"),
    new_user(6, username="straße", email="ANNA@example.com", admin=True),
    new_user(7, username="𠀀𠀀𠀀𠀀", email=None),
    new_user(8, username="o.neill", email="o'neill@example.com"),
    new_user(9, username="éclair", email="back+slash@sub.example.com"),
    new_user(10, username="bravo-1", email=None),
]
DISABLED = {"alxha", "bravo-1", "straße"}


@pytest.fixture(scope="module")
async def people(shared_store: Store) -> list[User]:
    """The accounts of `shared_store`."""
    return await add_people(shared_store)


async def add_people(store: Store) -> list[User]:
    users = await add(store, *PEOPLE)
    return [
        await save(store, user, disabled=True) if user.username in DISABLED else user
        for user in users
    ]


async def page(
    store: Store,
    wanted: UserFilter = EVERYBODY,
    sort: Sort = Sort(),  # noqa: B008
    after: Position | None = None,
    limit: int = 100,
) -> list[PanelUser]:
    found = ",".join(await members(store, wanted, sort, after, limit))
    return [*json.loads(f"{{{found}}}").values()]


async def members(
    store: Store, wanted: UserFilter, sort: Sort, after: Position | None, limit: int
) -> Sequence[str]:
    return await store.read(lambda tx: tx.users.list_page(wanted, sort, after, limit, PANEL_USER))


async def names(store: Store, wanted: UserFilter) -> set[str]:
    found = {user["username"] for user in await page(store, wanted)}
    assert await store.read(lambda tx: tx.users.count(wanted)) == len(found)
    return found


# -------------------------------------------------------------------------------- filters


async def test_an_empty_store_has_empty_pages(store: Store) -> None:
    assert await page(store) == []


@pytest.mark.parametrize(
    ("status", "disabled"),
    [(Status.ACTIVE, {False}), (Status.DISABLED, {True}), (Status.ALL, {False, True})],
)
async def test_a_status_chooses_by_disabled(
    shared_store: Store, people: list[User], status: Status, disabled: set[bool]
) -> None:
    expected = [panel_user(user) for user in people if user.disabled in disabled]
    assert await page(shared_store, UserFilter(status=status)) == expected
    assert len(expected) == await shared_store.read(
        lambda tx: tx.users.count(UserFilter(status=status))
    )


@pytest.mark.parametrize("admin", [True, False])
async def test_admin_chooses_admins_or_the_others(
    shared_store: Store, people: list[User], admin: bool
) -> None:
    expected = [panel_user(user) for user in people if user.admin is admin]
    assert await page(shared_store, UserFilter(Status.ALL, admin=admin)) == expected


async def test_an_exact_filter_chooses_one(shared_store: Store, people: list[User]) -> None:
    for user in people:
        shown = [panel_user(user)]
        assert await page(shared_store, UserFilter(Status.ALL, username=user.username)) == shown
        assert await page(shared_store, UserFilter(Status.ALL, id=user.id)) == shown
        if user.email is not None:
            wanted = UserFilter(Status.ALL, email_key=email_key(user.email))
            assert await page(shared_store, wanted) == shown


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    "wanted",
    [
        UserFilter(Status.ALL, username=""),
        UserFilter(Status.ALL, username="alph"),
        UserFilter(Status.ALL, username="al%"),
        UserFilter(Status.ALL, email_key="anna@example"),
        UserFilter(Status.ALL, id=1),
        UserFilter(Status.ALL, id=2**63 - 1),
        UserFilter(Status.ACTIVE, username="straße"),
        UserFilter(Status.DISABLED, username="alpha"),
        UserFilter(Status.ALL, username="delta", admin=False),
        UserFilter(Status.ALL, username="delta", text="alpha"),
    ],
)
async def test_every_condition_must_hold_in_full(shared_store: Store, wanted: UserFilter) -> None:
    assert await page(shared_store, wanted) == []


@pytest.mark.usefixtures("people")
async def test_all_conditions_together_choose_whom_they_all_allow(shared_store: Store) -> None:
    wanted = UserFilter(
        Status.DISABLED,
        username="straße",
        email_key="anna@example.com",
        id=1006,
        admin=True,
        text="anna@",
    )
    assert await names(shared_store, wanted) == {"straße"}


# ----------------------------------------------------------------------------------- text


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "a",
            {
                "delta",
                "alpha",
                "al_ha",
                "alxha",
                "straße",
                "o.neill",
                "éclair",
                "bravo-1",
                "张三李四",
            },
        ),
        ("al", {"alpha", "al_ha", "alxha"}),
        ("alpha", {"alpha"}),
        ("lph", {"alpha"}),
        ("pha", {"alpha"}),
        ("_", {"al_ha", "alxha"}),
        ("l_h", {"al_ha"}),
        ("l_ha", {"al_ha"}),
        ("%", {"alxha"}),
        ("0%_", {"alxha"}),
        ("100%_sure", {"alxha"}),
        ("%a%", set()),
        ("'", {"o.neill"}),
        ("o'n", {"o.neill"}),
        ("o'neill@", {"o.neill"}),
        ('"', set()),
        ('"alpha"', set()),
        ('al" OR "pha', set()),
        ("\\", set()),
        ("al\\_ha", set()),
        ("*", set()),
        ("alp*", set()),
        ("al?ha", set()),
        ("[a-z]", set()),
        ("alpha OR delta", set()),
        ("NOT", set()),
        ("^alpha", set()),
        ("username:alpha", set()),
        ("-1", {"bravo-1"}),
        ("o-1", {"bravo-1"}),
        (".ne", {"o.neill"}),
        ("+sl", {"éclair"}),
        ("@su", {"éclair"}),
        ("张", {"张三李四"}),
        ("三李", {"张三李四"}),
        ("张三李", {"张三李四"}),
        ("三李四", {"张三李四"}),
        ("𠀀", {"𠀀𠀀𠀀𠀀"}),
        ("𠀀𠀀𠀀", {"𠀀𠀀𠀀𠀀"}),
        ("ü", {"张三李四"}),
        ("mül", {"张三李四"}),
        ("mul", set()),
        ("éclair", {"éclair"}),
        ("eclair", set()),
        ("ecl", set()),
        ("straße", {"straße"}),
        ("raß", {"straße"}),
        ("ß", {"straße"}),
        ("strasse", set()),
        ("@example.com", {"delta", "张三李四", "alxha", "straße", "o.neill"}),
        ("anna@example.com", {"straße"}),
        ("x" * 500, set()),
        ("alpha ", set()),
        (" alpha", set()),
        ("alpha\x00", set()),
        ("a\x00b", set()),
        ("\x00", set()),
        ("alp\nha", set()),
        ("zoe@example.com delta", set()),
        ("deltazoe", set()),
    ],
    ids=named,
)
async def test_text_is_a_literal_part_of_the_name_or_the_address(
    shared_store: Store, text: str, found: set[str]
) -> None:
    assert await names(shared_store, UserFilter(Status.ALL, text=text)) == found


def parts(text: str) -> Iterator[str]:
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            yield text[start:end]


@pytest.mark.parametrize("username", ["νίκος", "i̇stanbul", "אבגדה", "हिन्दी", "กรุงเทพ", "한국사람"])
async def test_every_part_of_a_name_finds_it(store: Store, username: str) -> None:
    await add(store, new_user(1, username=username))

    async def is_found(text: str) -> bool:
        return await names(store, UserFilter(text=text)) == {username}

    assert [part for part in parts(username) if not await is_found(part)] == []


async def test_every_part_of_an_address_finds_it(store: Store) -> None:
    key = email_key("Ünal.O'Neill+100%@sub-1.example.com")
    await add(store, new_user(1, username="alpha", email="Ünal.O'Neill+100%@sub-1.example.com"))

    missed = [part for part in parts(key) if await names(store, UserFilter(text=part)) != {"alpha"}]
    assert missed == []


async def test_text_follows_a_changed_name_and_address(store: Store) -> None:
    (user,) = await add(store, new_user(1, username="before", email="old@example.com"))
    await save(store, user, username="after1", email="new@example.com")
    assert await names(store, UserFilter(text="before")) == set()
    assert await names(store, UserFilter(text="old@")) == set()
    assert await names(store, UserFilter(text="after")) == {"after1"}
    assert await names(store, UserFilter(text="new@")) == {"after1"}


async def test_text_does_not_follow_what_was_undone(store: Store) -> None:
    (user,) = await add(store, new_user(1, username="before"))

    def fail(tx: Transaction) -> None:
        tx.users.save(replace(user, username="after1"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(fail)
    assert await names(store, UserFilter(text="before")) == {"before"}
    assert await names(store, UserFilter(text="after")) == set()


# ---------------------------------------------------------------------------------- shape

ODD = [
    '"',
    "\\",
    "/",
    "'",
    "</script>",
    '"},"x":{"id":1',
    "%s {0} $1 :name ?",
    "".join(map(chr, range(1, 32))),
    "\x7f\x80\x9f\xa0\u2028\u2029\ufeff\ufffd\uffff",
    "é張𠀀😀e\u0301\u202e",
]


@pytest.mark.parametrize("text", ODD, ids=ascii)
async def test_a_member_is_the_very_json_of_the_accounts_view(store: Store, text: str) -> None:
    users = await add(
        store,
        new_user(1, username=text),
        new_user(2, email=text, admin=True),
        new_user(3, username="", uuid=text),
    )
    users[1] = await save(store, users[1], disabled=True)
    found = await members(store, EVERYBODY, Sort(), None, 10)
    assert [member.encode() for member in found] == [
        to_json({user.uuid: panel_user(user)})[1:-1] for user in users
    ]


async def test_a_member_has_whatever_its_shape_says(store: Store) -> None:
    (user,) = await add(store, new_user(1, display_name="Ä", admin=True))
    shape = RowShape(
        (("flag", "admin"), ("not", "disabled"), ("n", "id"), ("name", "display_name"))
    )
    wanted = {user.uuid: {"flag": 1, "not": 0, "n": user.id, "name": "Ä"}}
    found = await store.read(lambda tx: tx.users.list_page(EVERYBODY, Sort(), None, 1, shape))
    assert [member.encode() for member in found] == [to_json(wanted)[1:-1]]


# ---------------------------------------------------------------------------------- order


@pytest.mark.parametrize("sort", SORTS, ids=str)
async def test_a_list_is_in_the_order_of_its_sort(
    shared_store: Store, people: list[User], sort: Sort
) -> None:
    def value(user: PanelUser) -> str | int:
        return user_position(user, sort).value

    expected = sorted(map(value, map(panel_user, people)), reverse=sort.descending)
    assert [value(user) for user in await page(shared_store, sort=sort)] == expected


@pytest.mark.usefixtures("people")
async def test_without_a_sort_the_oldest_come_first(shared_store: Store) -> None:
    assert [user["username"] for user in await page(shared_store)] == [
        new.username for new in PEOPLE
    ]


@pytest.mark.usefixtures("people")
async def test_ties_fall_to_the_number(shared_store: Store) -> None:
    sorted_up = await page(shared_store, sort=Sort(SortKey.EMAIL))
    numbers = [user["id"] for user in sorted_up if user["email"] is None]
    assert numbers == [2, 4, 7, 10]
    assert numbers == [user["id"] for user in sorted_up[:4]]
    sorted_down = await page(shared_store, sort=Sort(SortKey.EMAIL, descending=True))
    assert sorted_down == sorted_up[::-1]


async def test_addresses_are_sorted_without_regard_to_case(store: Store) -> None:
    emails = ["b@example.com", "A@example.com", "C@example.com", "a1@example.com"]
    await add(store, *(new_user(n, email=email) for n, email in enumerate(emails)))
    listed = [user["email"] for user in await page(store, sort=Sort(SortKey.EMAIL))]
    assert listed == ["a1@example.com", "A@example.com", "b@example.com", "C@example.com"]


# ---------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize("limit", [1, 3, 4, 10, 11])
async def test_pages_one_after_the_other_are_the_list(
    shared_store: Store, people: list[User], sort: Sort, limit: int
) -> None:
    turned: list[PanelUser] = []
    after = None
    while cut := await page(shared_store, sort=sort, after=after, limit=limit):
        assert len(cut) <= limit
        assert cut[0] not in turned
        turned += cut
        after = user_position(cut[-1], sort)
    assert turned == await page(shared_store, sort=sort)
    assert sorted(turned, key=lambda user: user["id"]) == list(map(panel_user, people))


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("sort", SORTS, ids=str)
async def test_a_page_keeps_to_its_filter(shared_store: Store, sort: Sort) -> None:
    wanted = UserFilter(Status.ACTIVE, admin=False, text="a")
    whole = await page(shared_store, wanted, sort)
    after = user_position(whole[1], sort)
    assert await page(shared_store, wanted, sort, after) == whole[2:]
    assert await page(shared_store, wanted, sort, after, limit=2) == whole[2:4]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("sort", SORTS, ids=str)
async def test_the_page_after_the_last_account_is_empty(shared_store: Store, sort: Sort) -> None:
    last = (await page(shared_store, sort=sort))[-1]
    assert await page(shared_store, sort=sort, after=user_position(last, sort)) == []


async def test_a_page_continues_after_a_deleted_place(store: Store) -> None:
    people = await add_people(store)
    sort = Sort(SortKey.USERNAME)
    whole = await page(store, sort=sort)
    place = user_position(whole[3], sort)
    (moved,) = (user for user in people if user.number == whole[3]["id"])
    await save(store, moved, username="aaaa")
    assert await page(store, sort=sort, after=place) == whole[4:]


@pytest.mark.usefixtures("people")
async def test_a_place_between_two_is_as_good_as_any(shared_store: Store) -> None:
    listed = await page(shared_store, sort=Sort(SortKey.USERNAME), after=Position("b", 0))
    assert all(user["username"] > "b" for user in listed)
    assert len(listed) == 7


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("value", ["'", '"', "%", "\\", "\x00", "😀", "x" * 5000], ids=ascii)
async def test_any_text_is_a_place(shared_store: Store, value: str) -> None:
    sort = Sort(SortKey.USERNAME)
    listed = await page(shared_store, sort=sort, after=Position(value, 0))
    assert listed == [
        user for user in await page(shared_store, sort=sort) if user["username"] > value
    ]


@pytest.mark.usefixtures("people")
async def test_a_limit_is_an_upper_bound(shared_store: Store) -> None:
    assert [len(await page(shared_store, limit=limit)) for limit in (1, 5, 10, 1001)] == [
        1,
        5,
        10,
        10,
    ]
