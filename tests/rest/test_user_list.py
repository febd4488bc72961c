"""`GET /users`: the whole list in a stream, or page by page."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest

from app.domain.ports.store import Transaction
from app.domain.users import User
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import create, flaws_of, problem_of

pytestmark = pytest.mark.anyio

PAGE_MAX = 1000
# Username, e-mail, admin; with the first admin (no e-mail) these are the numbers 2 to 7.
PEOPLE = [
    ("zoe.panel", "aa@example.com", 0),
    ("demo", "Some@Example.com", 1),
    ("demo2", "two%of@example.com", 0),
    ("demo_3", "zz@example.com", 0),
    ("张三丰丰", "bb@example.com", 0),
    ("gone", "gone@example.com", 0),
]
NAMES = ["admin", *(username for username, _, _ in PEOPLE)]
ACTIVE = NAMES[:-1]


@pytest.fixture(scope="module")
async def people(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway with the admin and PEOPLE, of whom the last is disabled."""
    database = tmp_path_factory.mktemp("people") / "gatehouse.sqlite3"
    copyfile(migrated, database)
    async with open_gateway(database) as gateway:
        for username, email, admin in PEOPLE:
            await create(gateway, username, email=email, admin=admin, password=PASSWORD)
        gone = await gateway.uuid_of(PEOPLE[-1][0])
        await gateway.rest("DELETE", f"/users/{gone}", gateway.admin_key)
        yield gateway


async def listed(gateway: Gateway, query: str = "", prefix: str = "") -> list[str]:
    """The usernames, in the order of the answer."""
    response = await gateway.rest("GET", f"{prefix}/users{query}", gateway.admin_key)
    assert response.status_code == 200, response.text
    return [user["username"] for user in response.json().values()]


async def pages_of(gateway: Gateway, path: str) -> list[list[str]]:
    """The usernames of each page, following `next` to the last page."""
    pages: list[list[str]] = []
    while path:
        response = await gateway.rest("GET", path, gateway.admin_key)
        assert response.status_code == 200, response.text
        pages.append([user["username"] for user in response.json().values()])
        path = response.links.get("next", {}).get("url", "")
        assert len(pages) < 100
    return pages


async def test_the_list_is_a_map_from_uuid_to_panel_user(people: Gateway) -> None:
    response = await people.rest("GET", "/users", people.admin_key)
    assert response.headers["content-type"] == "application/json"
    uuid = await people.uuid_of("demo")
    assert response.json()[uuid] == {
        "id": 3,
        "username": "demo",
        "email": "Some@example.com",
        "admin": 1,
    }


async def test_members_come_in_the_order_of_the_panel_document(people: Gateway) -> None:
    response = await people.rest("GET", "/users?username=admin", people.admin_key)
    assert b':{"id":1,"username":"admin","email":null,"admin":1}}' in response.content


async def test_without_paging_there_is_everybody_and_no_link(people: Gateway) -> None:
    response = await people.rest("GET", "/users", people.admin_key)
    assert [user["username"] for user in response.json().values()] == ACTIVE
    assert "link" not in response.headers


async def test_a_disabled_account_says_so_and_an_active_one_does_not(people: Gateway) -> None:
    users = (await people.rest("GET", "/users?status=all", people.admin_key)).json().values()
    assert [user["username"] for user in users if user.get("disabled") == 1] == ["gone"]
    assert sum("disabled" in user for user in users) == 1


async def test_an_empty_list_is_an_empty_object(people: Gateway) -> None:
    for query in ("?username=nobody", "?username=nobody&limit=5"):
        response = await people.rest("GET", f"/users{query}", people.admin_key)
        assert response.content == b"{}"


# ------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("username=demo", ["demo"]),
        ("username=DEMO", ["demo"]),
        ("username=ｄｅｍｏ", ["demo"]),
        ("username=dem", []),
        ("email=some@example.com", ["demo"]),
        ("email=SOME@EXAMPLE.COM", ["demo"]),
        ("admin=1", ["admin", "demo"]),
        ("admin=true", ["admin", "demo"]),
        ("admin=0", ["zoe.panel", "demo2", "demo_3", "张三丰丰"]),
        ("admin=false", ["zoe.panel", "demo2", "demo_3", "张三丰丰"]),
        ("q=demo", ["demo", "demo2", "demo_3"]),
        ("q=DEMO", ["demo", "demo2", "demo_3"]),
        ("q=mo", ["demo", "demo2", "demo_3"]),
        ("q=_", ["demo_3"]),
        ("q=o_3", ["demo_3"]),
        ("q=%25", ["demo2"]),
        ("q=o%25o", ["demo2"]),
        ("q=三", ["张三丰丰"]),
        ("q=*", []),
        ('q="demo"', []),
        ("q=demo OR zoe", []),
        ("q=%00", []),
        ("q=@example", ["zoe.panel", "demo", "demo2", "demo_3", "张三丰丰"]),
        ("q=", ACTIVE),
        ("status=active", ACTIVE),
        ("status=disabled", ["gone"]),
        ("status=all", NAMES),
        ("q=demo&admin=0&sort=-username", ["demo_3", "demo2"]),
        ("username=gone", []),
        ("username=gone&status=all", ["gone"]),
        ("user_id=1", []),
    ],
)
async def test_every_condition_narrows_the_list_and_every_page(
    people: Gateway, query: str, names: list[str]
) -> None:
    assert await listed(people, f"?{query}") == names
    pages = await pages_of(people, f"/users?{query}&limit=2")
    assert [name for page in pages for name in page] == names


async def test_a_snowflake_leads_to_its_account(people: Gateway) -> None:
    token = await people.log_in("demo", PASSWORD)
    snowflake = (await people.rest("GET", "/users/@self", token)).json()["id"]
    assert await listed(people, f"?user_id={snowflake}") == ["demo"]


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("id", ["admin", "zoe.panel", "demo", "demo2", "demo_3", "张三丰丰"]),
        ("username", ["admin", "demo", "demo2", "demo_3", "zoe.panel", "张三丰丰"]),
        ("email", ["admin", "zoe.panel", "张三丰丰", "demo", "demo2", "demo_3"]),
    ],
)
async def test_the_list_is_sorted_in_both_directions_on_every_page(
    people: Gateway, key: str, names: list[str]
) -> None:
    for sort, expected in ((key, names), (f"-{key}", names[::-1])):
        assert await listed(people, f"?sort={sort}") == expected
        pages = await pages_of(people, f"/users?sort={sort}&limit=2")
        assert [name for page in pages for name in page] == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "1001", "-1", "", "x", "1.5", "1e2", "９", "0x10")),
        *(("limit", value) for value in ("9" * 30, "9" * 5000, "%00", "null")),
        *(("admin", value) for value in ("2", "", "yes", "TRUE", "-1", "01", "null")),
        *(("status", value) for value in ("", "deleted", "ACTIVE", "active,disabled")),
        *(("sort", value) for value in ("", "-", "--id", "ID", "password_hash", "id,username")),
        *(("username", value) for value in ("", "a b", "a+b", "a@b", "%00", "x" * 65)),
        *(("email", value) for value in ("", "example.com", "first+tag@example.com", "a@%00")),
        *((name, "m%FCller@x.de") for name in ("email", "q")),
        *(("q", value) for value in ("x" * 255, "%CC%A7%CC%81" * 200)),
        *(("user_id", value) for value in ("", "0", "-1", "01", "abc", "9223372036854775808")),
        *(("cursor", value) for value in ("", "x", "=", "%00", "é", "W10", "bnVsbA", "e30")),
    ],
)
async def test_a_value_that_cannot_be_names_its_parameter(
    people: Gateway, name: str, value: str
) -> None:
    response = await people.rest("GET", f"/users?{name}={value}", people.admin_key)
    assert flaws_of(response, "query") == [name]


async def test_the_error_for_a_space_in_a_cursor_mentions_the_plus(people: Gateway) -> None:
    response = await people.rest("GET", "/users?email=first+tag@example.com", people.admin_key)
    assert "%2B" in response.json()["detail"]


@pytest.fixture(scope="module")
async def addresses(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway whose accounts have addresses that can be written in several ways."""
    database = tmp_path_factory.mktemp("addresses") / "gatehouse.sqlite3"
    copyfile(migrated, database)
    async with open_gateway(database) as gateway:
        for username, email in ADDRESSES.items():
            await create(gateway, username, email=email, password=PASSWORD)
        yield gateway


ADDRESSES = {
    "munich": "user@münchen.example.de",
    "sharp": "Anna@straße.example.de",
    "double": "anna@strasse.example.de",
    "local": "root@localhost",
    "panel": "admin@panel.local",
    "tagged": "first+tag@example.test",
}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"email": "user@xn--mnchen-3ya.example.de"}, ["munich"]),
        ({"email": "USER@MÜNCHEN.example.de"}, ["munich"]),
        ({"email": "user@mu\u0308nchen.example.de"}, ["munich"]),
        ({"email": "anna@straße.example.de"}, ["sharp"]),
        ({"email": "anna@xn--strae-oqa.example.de"}, ["sharp"]),
        ({"email": "anna@strasse.example.de"}, ["double"]),
        ({"email": "ROOT@LocalHost"}, ["local"]),
        ({"email": "admin@panel.local"}, ["panel"]),
        ({"email": "first+tag@example.test"}, ["tagged"]),
        ({"q": "münch"}, ["munich"]),
        ({"q": "MU\u0308NCH"}, ["munich"]),
        ({"q": "xn--mnchen-3ya"}, ["munich"]),
        ({"q": "@xn--mnchen-3ya.example"}, ["munich"]),
        ({"q": "straße"}, ["sharp", "double"]),
        ({"q": "@straße"}, ["sharp"]),
        ({"q": "ａｎｎａ@"}, []),
        ({"q": "ｓｈａｒｐ"}, ["sharp"]),
        ({"q": "+tag"}, ["tagged"]),
        ({"username": "ｓｈａｒｐ"}, ["sharp"]),
    ],
    ids=str,
)
async def test_filters_are_normalized_like_stored_values(
    addresses: Gateway, query: dict[str, str], names: list[str]
) -> None:
    response = await addresses.rest("GET", "/users", addresses.admin_key, params=query)
    assert [user["username"] for user in response.json().values()] == names


@pytest.mark.parametrize(
    "email", ["user@xn--mnchen-3ya.example.de", "ANNA@straße.example.de", "Root@localhost"]
)
async def test_an_address_is_taken_in_whichever_form(addresses: Gateway, email: str) -> None:
    members = {"username": "another", "email": email}
    response = await addresses.rest("POST", "/users", addresses.admin_key, json=members)
    problem_of(response, 400, "email-taken")


# -------------------------------------------------------------------------- paging


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 1000])
async def test_the_pages_are_the_list_and_the_last_has_no_next(people: Gateway, limit: int) -> None:
    pages = await pages_of(people, f"/users?limit={limit}")
    assert [name for page in pages for name in page] == ACTIVE
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1]


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_links_keep_the_prefix_and_the_filters(people: Gateway, prefix: str) -> None:
    path = f"{prefix}/users?q=demo&sort=-id&limit=1"
    response = await people.rest("GET", path, people.admin_key)
    assert response.links["first"]["url"] == path
    assert response.links["next"]["url"].startswith(f"{path}&cursor=")
    pages = await pages_of(people, path)
    assert pages == [["demo_3"], ["demo2"], ["demo"]]


async def test_the_first_link_leads_from_any_page_to_the_first(people: Gateway) -> None:
    first = await people.rest("GET", "/users?limit=2&q=demo", people.admin_key)
    second = await people.rest("GET", first.links["next"]["url"], people.admin_key)
    again = await people.rest("GET", second.links["first"]["url"], people.admin_key)
    assert "next" not in second.links
    assert again.json() == first.json()


async def test_values_in_links_are_escaped(people: Gateway) -> None:
    query = {"q": 'a>;"&=+ %三', "limit": "1"}
    response = await people.rest("GET", "/users", people.admin_key, params=query)
    link = response.headers["link"]
    assert link.isascii()
    assert link.count(">") == 1
    assert '"&' not in link


async def test_a_cursor_alone_asks_for_a_page_too(people: Gateway) -> None:
    first = await people.rest("GET", "/users?limit=2", people.admin_key)
    cursor = first.links["next"]["url"].partition("cursor=")[2]
    assert await listed(people, f"?cursor={cursor}") == ACTIVE[2:]


async def test_the_first_link_of_a_cursor_alone_leads_to_a_page(people: Gateway) -> None:
    first = await people.rest("GET", "/users?limit=2", people.admin_key)
    cursor = first.links["next"]["url"].partition("cursor=")[2]
    page = await people.rest("GET", f"/users?cursor={cursor}", people.admin_key)
    again = await people.rest("GET", page.links["first"]["url"], people.admin_key)
    assert "link" in again.headers


async def test_the_size_of_the_page_may_change_from_page_to_page(people: Gateway) -> None:
    first = await people.rest("GET", "/users?limit=2", people.admin_key)
    path = first.links["next"]["url"].replace("limit=2", "limit=1000")
    assert await pages_of(people, path) == [ACTIVE[2:]]


@pytest.mark.parametrize(
    "other",
    ["q=demo", "status=all", "admin=0", "sort=username", "sort=-id", "username=demo", "user_id=1"],
)
async def test_a_cursor_belongs_to_its_filters_and_its_order(people: Gateway, other: str) -> None:
    first = await people.rest("GET", "/users?limit=1", people.admin_key)
    path = f"{first.links['next']['url']}&{other}"
    response = await people.rest("GET", path, people.admin_key)
    assert flaws_of(response, "query") == ["cursor"]


async def test_a_cursor_goes_on_behind_an_account_that_is_gone_from_the_list(
    gateway: Gateway,
) -> None:
    uuids = [(await create(gateway, f"demo{number}"))["uuid"] for number in range(3)]
    first = await gateway.rest("GET", "/users?limit=2", gateway.admin_key)
    await gateway.rest("DELETE", f"/users/{uuids[0]}", gateway.admin_key)
    pages = await pages_of(gateway, first.links["next"]["url"])
    assert pages == [["demo1", "demo2"]]


# ----------------------------------------------------------------------- streaming


async def add_accounts(gateway: Gateway, count: int) -> None:
    """Add users to the store directly, since so many requests would take long."""

    def work(tx: Transaction) -> None:
        for number in range(count):
            name = f"user{number}"
            tx.users.add(User(0, 10**9 + number, f"{number:036}", name, name, None, "hash"))

    await gateway.services.store.write(work)


@pytest.mark.parametrize("total", [PAGE_MAX - 1, PAGE_MAX, PAGE_MAX + 1, 2 * PAGE_MAX])
async def test_a_list_of_any_length_is_one_object_in_order(gateway: Gateway, total: int) -> None:
    await add_accounts(gateway, total - 1)
    response = await gateway.rest("GET", "/users", gateway.admin_key)
    assert [user["id"] for user in response.json().values()] == list(range(1, total + 1))


@pytest.mark.parametrize("sort", ["username", "-username", "email", "-id"])
async def test_a_long_list_is_in_the_order_that_was_asked_for(gateway: Gateway, sort: str) -> None:
    await add_accounts(gateway, PAGE_MAX + 10)
    users = (await gateway.rest("GET", f"/users?sort={sort}", gateway.admin_key)).json().values()
    key = sort.removeprefix("-")
    values = [(user[key] or "", user["id"]) for user in users]
    assert values == sorted(values, reverse=sort.startswith("-"))
    assert len(values) == PAGE_MAX + 11


async def test_a_page_has_up_to_a_thousand_accounts(gateway: Gateway) -> None:
    await add_accounts(gateway, PAGE_MAX + 5)
    pages = await pages_of(gateway, "/users?limit=1000")
    assert [len(page) for page in pages] == [PAGE_MAX, 6]


# ---------------------------------------------------------------------------- HEAD


@pytest.mark.parametrize("query", ["", "?limit=1", "?q=demo"])
async def test_head_has_the_headers_of_get_and_no_body(people: Gateway, query: str) -> None:
    got = await people.rest("GET", f"/users{query}", people.admin_key)
    headed = await people.rest("HEAD", f"/users{query}", people.admin_key)
    assert (headed.status_code, headed.content) == (200, b"")
    varying = {"x-request-id"}
    assert {k: v for k, v in headed.headers.items() if k not in varying} == {
        k: v for k, v in got.headers.items() if k not in varying
    }


async def test_a_refusal_comes_before_the_first_byte_of_the_list(people: Gateway) -> None:
    problem_of(await people.rest("GET", "/users"), 401, "unauthenticated")
    problem_of(await people.rest("GET", "/users?limit=1"), 401, "unauthenticated")


async def test_the_alias_has_the_same_list(people: Gateway) -> None:
    response = await people.rest("GET", "/api/users", people.admin_key)
    assert [user["username"] for user in response.json().values()] == await listed(people)


# ------------------------------------------------------------------------------ the number

TOTAL = "X-Total-Count"


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("filters", ["", "&status=all", "&admin=0", "&q=BO", "&username=nobody"])
async def test_the_number_is_that_of_all_pages(gateway: Gateway, prefix: str, filters: str) -> None:
    for name in ("alice", "bobby", "carol"):
        await gateway.sign_up(name)
    key = gateway.admin_key
    await gateway.rest("DELETE", f"/users/{await gateway.uuid_of('carol')}", key)
    everything = await gateway.rest("GET", f"{prefix}/users?count=true{filters}", key)
    expected = str(len(everything.json()))
    assert everything.headers[TOTAL] == expected
    for method in ("GET", "HEAD"):
        page = await gateway.rest(method, f"{prefix}/users?count=1&limit=1{filters}", key)
        assert page.headers[TOTAL] == expected


async def test_the_number_is_counted_again_after_each_change(gateway: Gateway) -> None:
    for number, name in enumerate(("alice", "bobby"), 2):
        await gateway.sign_up(name)
        for _ in range(2):
            page = await gateway.rest("GET", "/users?limit=1&count=true", gateway.admin_key)
            assert page.headers[TOTAL] == str(number)


async def test_without_count_nothing_is_counted(shared_gateway: Gateway) -> None:
    for query in ("", "?limit=1", "?limit=1&count=0", "?count=false"):
        listed = await shared_gateway.rest("GET", f"/users{query}", shared_gateway.admin_key)
        assert TOTAL not in listed.headers


@pytest.mark.parametrize("query", ["count=yes", "count=", "count=true&status=none"])
async def test_a_number_that_makes_no_sense_is_refused(shared_gateway: Gateway, query: str) -> None:
    refused = await shared_gateway.rest("GET", f"/users?{query}", shared_gateway.admin_key)
    assert flaws_of(refused, "query") == [query.split("=")[-2].split("&")[-1]]
