"""Lists of accounts: filters, pages, cursors, and the whole list in a stream."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInput, Unauthenticated
from app.domain.ports.store import Transaction
from app.domain.users import Sort, SortKey, Status, User, UserFilter
from app.operations.admin_user_lists import ListUsers, stream_users
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller
from app.operations.framework.pagination import make_user_cursor, parse_user_cursor
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from app.operations.views.accounts import PanelUser
from tests.fakes.services import account, as_user, do, sign_up, with_key
from tests.ids import named

pytestmark = pytest.mark.anyio

LISTING = OPERATIONS["admin.users.list"]
SORTS = ["id", "-id", "username", "-username", "email", "-email"]
PEOPLE = {
    "delta": "zoe@example.com",
    "alpha": "Anna@example.com",
    "straße": None,
    "张三李四": "100%@example.com",
    "bravo": None,
}


async def page(services: Services, caller: Caller = OPERATOR_CALLER, /, **members: Any) -> Any:
    return await do(services, "admin.users.list", caller, **members)


async def names(services: Services, **members: Any) -> list[str]:
    users = (await page(services, **members))["users"]
    return [user["username"] for user in users.values()]


async def streamed(services: Services, **members: Any) -> list[str]:
    command = ListUsers(**members)
    context = LISTING.context(services, OPERATOR_CALLER, command)
    pieces = stream_users(context, ListUsers(**members))
    return [user["username"] async for piece in pieces for user in json.loads(piece).values()]


@pytest.fixture
async def people(services: Services) -> None:
    """Five people: `delta` is an admin, `bravo` is disabled."""
    for username, email in PEOPLE.items():
        uuid = (await sign_up(services, username)).uuid
        await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, email=email,
                 admin=username == "delta")  # fmt: skip
    uuid = (await account(services, "bravo")).uuid
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=uuid)


# -------------------------------------------------------------------------------- filters


async def test_a_list_is_by_uuid_and_shows_the_members_of_the_contract(
    services: Services, people: None
) -> None:
    listed = await page(services, status="all")
    delta, bravo = await account(services, "delta"), await account(services, "bravo")
    assert listed["next"] is None
    assert len(listed["users"]) == 5
    assert listed["users"][delta.uuid] == {
        "id": delta.number,
        "username": "delta",
        "email": "zoe@example.com",
        "admin": 1,
    }
    assert listed["users"][bravo.uuid] == {
        "id": bravo.number,
        "username": "bravo",
        "email": None,
        "admin": 0,
        "disabled": 1,
    }


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, {"delta", "alpha", "straße", "张三李四"}),
        ({"status": "active"}, {"delta", "alpha", "straße", "张三李四"}),
        ({"status": "disabled"}, {"bravo"}),
        ({"status": "all"}, set(PEOPLE)),
        ({"username": "delta"}, {"delta"}),
        ({"username": "ＤＥＬＴＡ"}, {"delta"}),
        ({"username": "delt"}, set()),
        ({"username": "de1ta"}, set()),
        ({"username": "al"}, set()),
        ({"username": "bravo"}, set()),
        ({"username": "bravo", "status": "all"}, {"bravo"}),
        ({"email": "ANNA@Example.com"}, {"alpha"}),
        ({"email": "somebody@example.com"}, set()),
        ({"user_id": "1"}, set()),
        ({"admin": True}, {"delta"}),
        ({"admin": False}, {"alpha", "straße", "张三李四"}),
        ({"q": ""}, {"delta", "alpha", "straße", "张三李四"}),
        ({"q": "a"}, {"delta", "alpha", "straße", "张三李四"}),
        ({"q": "ANNA"}, {"alpha"}),
        ({"q": "Alph"}, {"alpha"}),
        ({"q": "%"}, {"张三李四"}),
        ({"q": "_"}, set()),
        ({"q": "三李"}, {"张三李四"}),
        ({"q": "'"}, set()),
        ({"q": '"'}, set()),
        ({"q": "\\"}, set()),
        ({"q": "example", "admin": False}, {"alpha", "张三李四"}),
    ],
    ids=named,
)
async def test_a_filter_chooses(
    services: Services, members: dict[str, Any], found: set[str]
) -> None:
    assert set(await names(services, **members)) == found
    assert set(await streamed(services, **members)) == found


async def test_a_snowflake_finds_its_account(services: Services, people: None) -> None:
    user_id = str((await account(services, "alpha")).id)
    assert await names(services, user_id=user_id) == ["alpha"]


@pytest.mark.parametrize("username", ["straße", "νίκος"])
@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_part_of_a_name_finds_it_whatever_its_letters(
    services: Services, username: str, is_whole: bool
) -> None:
    await sign_up(services, username)
    assert await names(services, q=username if is_whole else username[-3:]) == [username]


@pytest.mark.parametrize(
    ("members", "field_error"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": -1}, "limit"),
        ({"sort": "number"}, "sort"),
        ({"sort": ""}, "sort"),
        ({"status": "gone"}, "status"),
        ({"status": ""}, "status"),
        ({"user_id": "abc"}, "user_id"),
        ({"user_id": "0"}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"username": ""}, "username"),
        ({"username": "no such name!"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"email": ""}, "email"),
        ({"email": "anna"}, "email"),
        ({"email": "first tag@example.com"}, "email"),
        ({"email": "a" * 100_000}, "email"),
        ({"q": "x" * 255}, "q"),
        ({"q": "a\u0327\u0301" * 50_000}, "q"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "garbage"}, "cursor"),
    ],
    ids=str,
)
async def test_a_parameter_that_is_not_well_formed_is_refused_by_its_name(
    services: Services, members: dict[str, Any], field_error: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await page(services, **members)
    assert [
        (field_error.name, field_error.location) for field_error in refusal.value.field_errors
    ] == [(field_error, "body")]


# ---------------------------------------------------------------------------------- pages


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("id", ["delta", "alpha", "straße", "张三李四", "bravo"]),
        ("username", ["alpha", "bravo", "delta", "straße", "张三李四"]),
        ("email", ["straße", "bravo", "张三李四", "alpha", "delta"]),
    ],
)
async def test_a_list_is_in_the_order_asked_for(
    services: Services, sort: str, order: list[str]
) -> None:
    assert await names(services, status="all", sort=sort) == order
    assert await names(services, status="all", sort=f"-{sort}") == order[::-1]
    assert await streamed(services, status="all", sort=sort) == order


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 2, 4, 5, 1000])
async def test_pages_one_after_the_other_are_the_list(
    services: Services, sort: str, limit: int
) -> None:
    turned: list[str] = []
    cursor = None
    while cursor is not None or not turned:
        cut = await page(services, status="all", sort=sort, limit=limit, cursor=cursor)
        assert 1 <= len(cut["users"]) <= limit
        turned += [user["username"] for user in cut["users"].values()]
        assert len(turned) <= len(PEOPLE)
        cursor = cut["next"]
    assert turned == await names(services, status="all", sort=sort)


async def test_an_empty_list_is_one_empty_page(services: Services) -> None:
    assert await page(services) == {"users": {}, "next": None}


async def test_a_page_has_a_hundred_by_default(services: Services) -> None:
    await add_many(services, 101)
    first = await page(services)
    assert len(first["users"]) == 100
    rest = await page(services, cursor=first["next"])
    assert (len(rest["users"]), rest["next"]) == (1, None)


async def test_an_account_added_meanwhile_moves_no_other_to_another_page(
    services: Services,
) -> None:
    for name in ("bravo", "delta", "foxtrot"):
        await sign_up(services, name)
    first = await page(services, sort="username", limit=2)
    for name in ("alpha", "echo1"):
        await sign_up(services, name)
    assert await names(services, sort="username", limit=2, cursor=first["next"]) == [
        "echo1",
        "foxtrot",
    ]


# -------------------------------------------------------------------------------- cursors


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    "members",
    [
        {"sort": "-id"},
        {"sort": "username"},
        {"status": "all"},
        {"admin": False},
        {"q": "a"},
        {"username": "alpha"},
        {"email": "anna@example.com"},
        {"user_id": "1"},
    ],
    ids=str,
)
async def test_a_cursor_belongs_to_its_filters_and_its_order(
    services: Services, members: dict[str, Any]
) -> None:
    cursor = (await page(services, limit=1))["next"]
    with pytest.raises(InvalidInput, match="cursor"):
        await page(services, limit=1, cursor=cursor, **members)


@pytest.mark.usefixtures("people")
async def test_a_cursor_goes_with_another_limit_and_another_admin(services: Services) -> None:
    cursor = (await page(services, limit=1))["next"]
    key = await with_key(services, await as_user(services, "second"))
    uuid = (await account(services, "second")).uuid
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, admin=True)
    assert len((await page(services, key, limit=3, cursor=cursor))["users"]) == 3


SOMEBODY: PanelUser = {"id": 7, "username": "demo", "email": "D@example.com", "admin": 0}
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
any_sort = st.builds(Sort, st.sampled_from(SortKey), st.booleans())


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def accepts(cursor: str, sort: Sort) -> bool:
    """Return true if the cursor is accepted; errors other than InvalidInput pass through."""
    try:
        position = parse_user_cursor(cursor, UserFilter(), sort)
    except InvalidInput as refusal:
        assert [field_error.name for field_error in refusal.field_errors] == ["cursor"]  # noqa: PT017
        return False
    return isinstance(position.number, int)


@given(any_sort, st.booleans())
def test_a_cursor_of_ours_is_read_back(sort: Sort, admin: bool) -> None:
    wanted = UserFilter(Status.ALL, admin=admin, text="'\"\\%")
    position = parse_user_cursor(make_user_cursor(SOMEBODY, wanted, sort), wanted, sort)
    assert position.number == 7


@given(st.text(st.characters(), max_size=60), any_sort)
def test_any_text_is_no_cursor_of_ours(text: str, sort: Sort) -> None:
    assert not accepts(text, sort)


@given(any_json, any_sort)
def test_any_json_is_no_cursor_of_ours(value: object, sort: Sort) -> None:
    assert not accepts(encoded(value), sort)


@given(st.text() | any_json, st.integers() | any_json, any_sort)
def test_a_tampered_cursor_is_refused_or_is_a_place(
    value: object, number: object, sort: Sort
) -> None:
    genuine = make_user_cursor(SOMEBODY, UserFilter(), sort)
    digest = json.loads(urlsafe_b64decode(genuine + "=" * (-len(genuine) % 4)))[0]
    is_place = accepts(encoded([digest, value, number]), sort)
    assert is_place <= (type(number) is int and 0 <= number < 2**63)


@pytest.mark.parametrize("value", ["\ud800", 7, None])
def test_a_cursor_to_a_name_that_is_no_text_is_refused(value: object) -> None:
    sort = Sort(SortKey.USERNAME)
    genuine = make_user_cursor(SOMEBODY, UserFilter(), sort)
    digest = json.loads(urlsafe_b64decode(genuine + "=" * (-len(genuine) % 4)))[0]
    assert not accepts(encoded([digest, value, 7]), sort)


@pytest.mark.parametrize(
    "cursor",
    ["W" * 100_000, encoded([1] * 10_000), urlsafe_b64encode(b"[" * 50_000).decode()],
    ids=["long", "many", "deep"],
)
def test_a_huge_cursor_is_no_cursor_of_ours(cursor: str) -> None:
    assert not accepts(cursor, Sort())


# --------------------------------------------------------------------------------- stream


async def add_many(services: Services, count: int) -> None:
    def work(tx: Transaction) -> None:
        for number in range(count):
            name = f"user{number:05}"
            uuid = f"10000000-0000-4000-8000-{number:012}"
            tx.users.add(User(0, 10**6 + number, uuid, name, name, None, None))

    await services.store.write(work)


@pytest.mark.parametrize("sort", SORTS)
async def test_a_stream_shows_everybody_once(services: Services, sort: str) -> None:
    await add_many(services, 1001)
    shown = await streamed(services, sort=sort, limit=1)
    assert len(shown) == 1001
    assert set(shown) == {f"user{number:05}" for number in range(1001)}


@pytest.mark.parametrize("count", [0, 1, 999, 1000])
async def test_a_stream_ends(services: Services, count: int) -> None:
    await add_many(services, count)
    assert len(await streamed(services)) == count


@pytest.mark.parametrize("sort", SORTS)
async def test_an_account_renamed_meanwhile_is_shown_once(services: Services, sort: str) -> None:
    await add_many(services, 1500)
    command = ListUsers(sort=sort)
    pieces = stream_users(LISTING.context(services, OPERATOR_CALLER, command), command)
    shown = list(json.loads(await anext(pieces)))
    first, last = ("zzzz", "zzz@example.com"), ("aaaa", None)
    username, email = last if sort.startswith("-") else first
    members = {"uuid": shown[0], "username": username, "email": email}
    await do(services, "admin.users.update", OPERATOR_CALLER, **members)
    shown += [uuid async for piece in pieces for uuid in json.loads(piece)]
    assert len(shown) == len(set(shown)) == 1500


async def test_a_stream_ends_where_its_reader_is_no_admin_any_more(
    services: Services, admin: Caller
) -> None:
    await add_many(services, 1500)
    pieces = stream_users(LISTING.context(services, admin, ListUsers()), ListUsers())
    assert len(json.loads(await anext(pieces))) == 1000
    await do(services, "keys.revoke", admin, id=str(admin.credential)[:8])
    with pytest.raises(Unauthenticated):
        await anext(pieces)


async def test_a_stream_refuses_what_a_page_refuses(services: Services) -> None:
    with pytest.raises(InvalidInput):
        await streamed(services, sort="number")
