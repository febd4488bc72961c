"""The panel's accounts one by one: create, read, change, disable; and the alias `/api`."""

from typing import Any

import httpx
import pytest

from tests.fakes.services import PASSWORD
from tests.gateway import Gateway
from tests.rest.wire import UNKNOWN, create, flaws_of, problem_of

pytestmark = pytest.mark.anyio

NEW = {"username": "someusername", "email": "new@example.com"}
SEED = {**NEW, "password": "rawPassword1", "admin": 0}
SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
REPRESENTATION = {"Prefer": "return=representation"}


async def post(gateway: Gateway, body: Any, path: str = "/users", **headers: str) -> httpx.Response:
    return await gateway.rest("POST", path, gateway.admin_key, json=body, headers=headers)


async def get(gateway: Gateway, uuid: str, **headers: str) -> httpx.Response:
    return await gateway.rest("GET", f"/users/{uuid}", gateway.admin_key, headers=headers)


async def put(gateway: Gateway, uuid: str, body: Any, headers: Any = None) -> httpx.Response:
    path = f"/users/{uuid}"
    return await gateway.rest("PUT", path, gateway.admin_key, json=body, headers=headers or {})


@pytest.fixture
async def demo(gateway: Gateway) -> str:
    """The uuid of an account."""
    view = await create(gateway, "demoaccount", email="some@example.com", password=PASSWORD)
    return str(view["uuid"])


@pytest.fixture(scope="module")
async def unchanged(shared_gateway: Gateway) -> str:
    """The uuid of an account that no test changes."""
    return str((await create(shared_gateway, "somebody", email="some@example.com"))["uuid"])


# -------------------------------------------------------------------------- create


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_creating_answers_204_and_where_the_account_is(gateway: Gateway, prefix: str) -> None:
    response = await post(gateway, SEED, f"{prefix}/users")
    assert (response.status_code, response.content) == (204, b"")
    uuid = await gateway.uuid_of("someusername")
    assert response.headers["location"] == f"{prefix}/users/{uuid}"
    view = await gateway.rest("GET", response.headers["location"], gateway.admin_key)
    assert view.json() == {"id": 2, **NEW, "admin": 0, "servers": []}


@pytest.mark.parametrize(
    "prefer",
    [
        *("return=representation", "Return=Representation", 'return="representation"'),
        *("return = representation", "respond-async, return=representation"),
        *("return=representation; foo=bar", "return=representation, return=minimal"),
    ],
)
async def test_creating_shows_the_account_where_that_is_preferred(
    gateway: Gateway, prefer: str
) -> None:
    response = await post(gateway, SEED, Prefer=prefer)
    view = response.json()
    assert response.status_code == 201
    assert response.headers["preference-applied"] == "return=representation"
    assert response.headers["location"] == f"/users/{view['uuid']}"
    assert list(view) == ["id", "username", "email", "admin", "uuid", "user_id"]
    assert view["user_id"].isdecimal()


@pytest.mark.parametrize(
    "prefer",
    [
        *("", "return=minimal", "respond-async", "return", "xreturn=representation"),
        *("return=minimal, return=representation", "return=representationx"),
    ],
)
async def test_any_other_preference_leaves_it_at_204(gateway: Gateway, prefer: str) -> None:
    response = await post(gateway, SEED, Prefer=prefer)
    assert (response.status_code, response.content) == (204, b"")
    assert "preference-applied" not in response.headers


async def test_a_generated_password_is_shown_on_creation_and_opens_the_account(
    gateway: Gateway,
) -> None:
    view = (await post(gateway, NEW, **REPRESENTATION)).json()
    assert list(view) == ["id", "username", "email", "admin", "uuid", "user_id", "password"]
    assert await gateway.log_in("someusername", view["password"])
    assert view["password"] not in (await get(gateway, view["uuid"])).text
    listed = await gateway.rest("GET", "/users", gateway.admin_key)
    assert view["password"] not in listed.text


async def test_a_chosen_password_is_not_shown_and_opens_the_account(gateway: Gateway) -> None:
    response = await post(gateway, SEED, **REPRESENTATION)
    assert "rawPassword1" not in response.text
    assert await gateway.log_in("someusername", "rawPassword1")


@pytest.mark.parametrize(("flag", "admin"), [(0, 0), (1, 1), (False, 0), (True, 1)], ids=repr)
async def test_admin_is_read_as_a_number_or_a_truth_value_and_written_as_a_number(
    gateway: Gateway, flag: object, admin: int
) -> None:
    response = await post(gateway, {**SEED, "admin": flag}, **REPRESENTATION)
    assert f'"admin":{admin}' in response.text


@pytest.mark.parametrize("flag", ["1", "0", "true", "", 2, -1, 1.0, None, [], {}], ids=repr)
async def test_anything_else_is_no_flag(shared_gateway: Gateway, flag: object) -> None:
    assert flaws_of(await post(shared_gateway, {**SEED, "admin": flag})) == ["#/admin"]


@pytest.mark.parametrize("missing", ["username", "email"])
async def test_name_and_address_are_required(shared_gateway: Gateway, missing: str) -> None:
    body = {name: value for name, value in SEED.items() if name != missing}
    response = await post(shared_gateway, body)
    assert response.json()["detail"] == f"{missing}: is required"
    assert flaws_of(response) == [f"#/{missing}"]


async def test_a_refused_creation_leaves_nothing_behind(gateway: Gateway) -> None:
    await post(gateway, SEED)
    other = {**SEED, "username": "another"}
    problem = problem_of(await post(gateway, other), 400, "email-taken")
    assert problem["detail"] == "User with email new@example.com already exists"
    assert (await gateway.rest("GET", "/users/another")).status_code == 404


# ---------------------------------------------------------------------------- read


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_an_account_is_found_by_its_uuid_in_any_case(
    gateway: Gateway, change: Any, prefix: str
) -> None:
    uuid = "abcdef01-2345-4678-9abc-def012345678"
    owner = await gateway.uuid_of("admin")
    await gateway.rest(
        "PUT",
        f"/servers/{change(uuid)}",
        gateway.admin_key,
        json={"owner": change(owner), "name": "Survival"},
    )
    response = await gateway.rest("GET", f"{prefix}/users/{change(owner)}", gateway.admin_key)
    expected = {"id": 1, "username": "admin", "email": None, "admin": 1, "servers": [uuid]}
    assert response.json() == expected


async def test_the_view_has_the_members_of_the_panel_document_in_its_order(
    gateway: Gateway, demo: str
) -> None:
    assert (await get(gateway, demo)).text == (
        '{"id":2,"username":"demoaccount","email":"some@example.com","admin":0,"servers":[]}'
    )


async def test_an_unknown_uuid_is_no_user(shared_gateway: Gateway) -> None:
    for verb, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        path = f"/users/{UNKNOWN}"
        response = await shared_gateway.rest(verb, path, shared_gateway.admin_key, json=body)
        problem_of(response, 404, "user-not-found")


async def test_head_of_an_account_has_the_headers_of_get(gateway: Gateway, demo: str) -> None:
    got = await get(gateway, demo)
    headed = await gateway.rest("HEAD", f"/users/{demo}", gateway.admin_key)
    assert (headed.status_code, headed.content) == (200, b"")
    for name in ("etag", "content-length", "content-type"):
        assert headed.headers[name] == got.headers[name]


async def test_an_account_is_for_admins_even_to_head(gateway: Gateway, demo: str) -> None:
    assert (await gateway.rest("HEAD", f"/users/{demo}")).status_code == 401
    token = await gateway.log_in("demoaccount")
    assert (await gateway.rest("HEAD", f"/users/{demo}", token)).status_code == 403


# --------------------------------------------------------------------------- etags


async def test_the_entity_tag_is_strong_and_stays_while_nothing_changes(
    gateway: Gateway, demo: str
) -> None:
    tags = [(await get(gateway, demo)).headers["etag"] for _ in range(2)]
    assert tags[0] == tags[1]
    assert tags[0][0] == tags[0][-1] == '"'
    assert tags[0] != (await get(gateway, await gateway.uuid_of("admin"))).headers["etag"]


@pytest.mark.parametrize(
    "body",
    [
        *({"username": "renamed"}, {"email": "new@example.com"}, {"email": None}, {"admin": 1}),
        *({"password": "another password"}, {"display_name": "Demo"}, {"disabled": 1}),
    ],
    ids=repr,
)
async def test_the_entity_tag_changes_with_every_change(
    gateway: Gateway, demo: str, body: dict[str, Any]
) -> None:
    before = (await get(gateway, demo)).headers["etag"]
    assert (await put(gateway, demo, body)).status_code == 204
    assert (await get(gateway, demo)).headers["etag"] != before


async def test_the_entity_tag_changes_with_the_accounts_servers(
    gateway: Gateway, demo: str
) -> None:
    tags = [(await get(gateway, demo)).headers["etag"]]
    path, body = f"/servers/{UNKNOWN}", {"owner": demo, "name": "Survival"}
    for verb in ("PUT", "DELETE"):
        await gateway.rest(verb, path, gateway.admin_key, json=body if verb == "PUT" else None)
        tags.append((await get(gateway, demo)).headers["etag"])
    assert len(set(tags)) == 3


async def test_the_entity_tag_does_not_change_with_presence(gateway: Gateway, demo: str) -> None:
    before = (await get(gateway, demo)).headers["etag"]
    token = await gateway.log_in("demoaccount")
    await gateway.rest("PATCH", "/users/@self/presence", token, json="ONLINE")
    assert (await get(gateway, demo)).headers["etag"] == before


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', '"x",{} , "y"', "*"])
async def test_a_matching_tag_returns_304(gateway: Gateway, demo: str, form: str) -> None:
    etag = (await get(gateway, demo)).headers["etag"]
    response = await get(gateway, demo, **{"If-None-Match": form.format(etag)})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


@pytest.mark.parametrize("form", ['"x"', 'W/"x"', "x", "", "2-1", "**"])
async def test_a_tag_that_does_not_match_returns_the_account(
    gateway: Gateway, demo: str, form: str
) -> None:
    assert (await get(gateway, demo, **{"If-None-Match": form})).status_code == 200


@pytest.mark.parametrize("form", ["{}", "*", '"x", {}', '{},"x"', '"x" , {} , "y"', " * "])
async def test_a_change_is_made_while_the_account_is_as_named(
    gateway: Gateway, demo: str, form: str
) -> None:
    match = form.format((await get(gateway, demo)).headers["etag"])
    assert (await put(gateway, demo, {"admin": 1}, {"If-Match": match})).status_code == 204


@pytest.mark.parametrize("form", ['"x"', 'W/{}, "x"', "W/{}", '"x", "y"'])
async def test_a_change_is_refused_where_the_account_is_not_as_named(
    gateway: Gateway, demo: str, form: str
) -> None:
    match = form.format((await get(gateway, demo)).headers["etag"])
    response = await put(gateway, demo, {"admin": 1}, {"If-Match": match})
    problem_of(response, 412, "precondition-failed")
    assert (await get(gateway, demo)).json()["admin"] == 0


async def test_a_change_after_another_change_is_refused(gateway: Gateway, demo: str) -> None:
    headers = {"If-Match": (await get(gateway, demo)).headers["etag"]}
    assert (await put(gateway, demo, {"admin": 1}, headers)).status_code == 204
    problem_of(await put(gateway, demo, {"admin": 0}, headers), 412, "precondition-failed")


WRITES = [("PUT", b'{"admin": 1}'), ("DELETE", b"")]
READS = [("GET", b""), ("HEAD", b"")]


async def ask(
    gateway: Gateway, method: str, demo: str, content: bytes, conditions: dict[str, str]
) -> httpx.Response:
    headers = {"Content-Type": "application/json", **conditions}
    return await gateway.rest(
        method, f"/users/{demo}", gateway.admin_key, content=content, headers=headers
    )


async def state(gateway: Gateway, demo: str) -> tuple[int, bool]:
    shown = (await get(gateway, demo)).json()
    return shown["admin"], "disabled" in shown


@pytest.mark.parametrize(("method", "content"), WRITES)
async def test_a_condition_holds_for_whichever_method_writes(
    gateway: Gateway, demo: str, method: str, content: bytes
) -> None:
    stale = (await get(gateway, demo)).headers["etag"]
    assert (await put(gateway, demo, {"display_name": "Demo"})).status_code == 204
    etag = (await get(gateway, demo)).headers["etag"]
    before = await state(gateway, demo)
    for conditions in (
        {"If-Match": stale},
        {"If-Match": f"W/{etag}"},
        {"If-None-Match": etag},
        {"If-None-Match": f"W/{etag}"},
        {"If-None-Match": "*"},
        {"If-Match": etag, "If-None-Match": f"{stale}, {etag}"},
    ):
        refused = await ask(gateway, method, demo, content, conditions)
        problem_of(refused, 412, "precondition-failed")
        assert await state(gateway, demo) == before
    met = await ask(gateway, method, demo, content, {"If-Match": etag, "If-None-Match": stale})
    assert met.status_code == 204
    assert await state(gateway, demo) != before
    again = await ask(gateway, method, demo, content, {"If-Match": etag})
    problem_of(again, 412, "precondition-failed")


@pytest.mark.parametrize(("method", "content"), READS)
async def test_if_match_holds_for_whichever_method_reads(
    gateway: Gateway, demo: str, method: str, content: bytes
) -> None:
    etag = (await get(gateway, demo)).headers["etag"]
    for sent, status in ((etag, 200), ("*", 200), ('"x"', 412), (f"W/{etag}", 412), ("x", 400)):
        answer = await ask(gateway, method, demo, content, {"If-Match": sent})
        assert answer.status_code == status, sent
    both = {"If-Match": etag, "If-None-Match": etag}
    assert (await ask(gateway, method, demo, content, both)).status_code == 304


@pytest.mark.parametrize(("method", "content"), WRITES)
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
async def test_a_list_of_tags_that_is_none_is_invalid_input(
    gateway: Gateway, demo: str, method: str, content: bytes, name: str
) -> None:
    before = await state(gateway, demo)
    for text in ("", "x", "3-1", '"3-1', '*, "x"', "*,*"):
        refused = await ask(gateway, method, demo, content, {name: text})
        assert flaws_of(refused, "header") == [name]
    assert await state(gateway, demo) == before


async def test_a_name_has_no_version_to_ask_for(gateway: Gateway, demo: str) -> None:
    for conditions in ({"If-Match": '"x"'}, {"If-Match": "x"}, {"If-None-Match": "*"}):
        answer = await gateway.rest("GET", "/users/demo", headers=conditions)
        assert answer.status_code in {204, 404}


async def test_an_if_match_on_two_lines_is_one_list(gateway: Gateway, demo: str) -> None:
    etag = (await get(gateway, demo)).headers["etag"]
    headers = [
        *(("X-Access-Token", gateway.admin_key), ("Content-Type", "application/json")),
        *(("If-Match", '"x"'), ("If-Match", etag)),
    ]
    path = f"/users/{demo}"
    response = await gateway.client.put(path, content=b'{"admin": 1}', headers=headers)
    assert response.status_code == 204


async def test_if_match_comes_from_its_header_alone(gateway: Gateway, demo: str) -> None:
    assert flaws_of(await put(gateway, demo, {"if_match": "*"})) == ["#/if_match"]


# -------------------------------------------------------------------------- change


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"email": "new@example.com", "admin": 0}, {"email": "new@example.com"}),
        ({"username": "Renamed"}, {"username": "renamed"}),
        ({"email": None}, {"email": None}),
        ({"admin": 1}, {"admin": 1}),
        ({"admin": True}, {"admin": 1}),
        ({"disabled": 1}, {"disabled": 1}),
        ({"disabled": True, "admin": False}, {"disabled": 1}),
        ({"disabled": 0}, {}),
        ({"display_name": "Demo Account"}, {}),
        ({"password": "another password"}, {}),
        ({}, {}),
    ],
    ids=repr,
)
async def test_any_subset_of_the_members_is_changed_and_nothing_else(
    gateway: Gateway, demo: str, body: dict[str, Any], shown: dict[str, Any]
) -> None:
    before = (await get(gateway, demo)).json()
    response = await put(gateway, demo, body)
    assert (response.status_code, response.content) == (204, b"")
    assert (await get(gateway, demo)).json() == {**before, **shown}


async def test_a_new_password_opens_the_account(gateway: Gateway, demo: str) -> None:
    await put(gateway, demo, {"password": "another password"})
    assert await gateway.log_in("demoaccount", "another password")


async def test_a_new_display_name_shows_at_the_chat(gateway: Gateway, demo: str) -> None:
    await put(gateway, demo, {"display_name": "Demo Account"})
    token = await gateway.log_in("demoaccount")
    shown = (await gateway.rest("GET", "/users/@self", token)).json()
    assert shown["display_name"] == "Demo Account"


@pytest.mark.parametrize("name", ["username", "admin", "password", "display_name", "disabled"])
async def test_null_is_no_value_but_of_the_address(
    shared_gateway: Gateway, unchanged: str, name: str
) -> None:
    assert flaws_of(await put(shared_gateway, unchanged, {name: None})) == [f"#/{name}"]


@pytest.mark.parametrize("name", ["admin", "disabled"])
@pytest.mark.parametrize("flag", ["1", "true", 2, -1, 0.0, [], ""], ids=repr)
async def test_a_flag_of_another_form_changes_nothing(
    shared_gateway: Gateway, unchanged: str, name: str, flag: object
) -> None:
    body = {name: flag, "email": "new@example.com"}
    assert flaws_of(await put(shared_gateway, unchanged, body)) == [f"#/{name}"]
    assert (await get(shared_gateway, unchanged)).json()["email"] == "some@example.com"


@pytest.mark.parametrize("name", ["id", "uuid", "user_id", "servers", "presence", "version"])
async def test_a_read_only_member_is_unknown(
    shared_gateway: Gateway, unchanged: str, name: str
) -> None:
    assert flaws_of(await put(shared_gateway, unchanged, {name: "x"})) == [f"#/{name}"]


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_an_account_is_changed_under_its_uuid_in_any_case(
    gateway: Gateway, demo: str, prefix: str
) -> None:
    path = f"{prefix}/users/{demo.upper()}"
    response = await gateway.rest("PUT", path, gateway.admin_key, json={"admin": 1})
    assert response.status_code == 204
    assert (await get(gateway, demo)).json()["admin"] == 1


@pytest.mark.parametrize("body", [{"admin": 0}, {"disabled": 1}])
async def test_the_last_admin_stays(shared_gateway: Gateway, body: dict[str, Any]) -> None:
    admin_uuid = await shared_gateway.uuid_of("admin")
    problem_of(await put(shared_gateway, admin_uuid, body), 409, "last-admin")
    response = await shared_gateway.rest("DELETE", f"/users/{admin_uuid}", shared_gateway.admin_key)
    problem_of(response, 409, "last-admin")


# ------------------------------------------------------------------------- disable


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_deleting_disables_and_can_be_repeated(
    gateway: Gateway, demo: str, prefix: str
) -> None:
    for _ in range(2):
        response = await gateway.rest("DELETE", f"{prefix}/users/{demo}", gateway.admin_key)
        assert (response.status_code, response.content) == (204, b"")
    assert (await get(gateway, demo)).json()["disabled"] == 1
    assert list(
        (await gateway.rest("GET", "/users?status=disabled", gateway.admin_key)).json()
    ) == [demo]


async def test_repeating_a_deletion_does_not_change_the_entity_tag(
    gateway: Gateway, demo: str
) -> None:
    await gateway.rest("DELETE", f"/users/{demo}", gateway.admin_key)
    before = (await get(gateway, demo)).headers["etag"]
    await gateway.rest("DELETE", f"/users/{demo}", gateway.admin_key)
    assert (await get(gateway, demo)).headers["etag"] == before


async def test_a_disabled_user_can_neither_log_in_nor_continue(gateway: Gateway, demo: str) -> None:
    token = await gateway.log_in("demoaccount")
    await gateway.rest("DELETE", f"/users/{demo}", gateway.admin_key)
    problem_of(await gateway.rest("GET", "/users/@self", token), 401, "unauthenticated")
    login = {"username": "demoaccount", "password": PASSWORD}
    problem_of(await gateway.rest("POST", "/users/auth", json=login), 403, "account-disabled")


async def test_an_enabled_user_can_log_in_and_is_not_marked_any_more(
    gateway: Gateway, demo: str
) -> None:
    await gateway.rest("DELETE", f"/users/{demo}", gateway.admin_key)
    assert (await put(gateway, demo, {"disabled": 0})).status_code == 204
    assert "disabled" not in (await get(gateway, demo)).json()
    assert await gateway.log_in("demoaccount")


# ------------------------------------------------- sessions and keys of another account


async def test_an_admin_sees_and_ends_the_sessions_of_an_account(
    gateway: Gateway, demo: str
) -> None:
    path = f"/users/{demo}/sessions"
    tokens = [await gateway.log_in("demoaccount") for _ in range(3)]
    sessions = (await gateway.rest("GET", path, gateway.admin_key)).json()
    assert [session["current"] for session in sessions] == [False] * 3
    one = f"{path}/{sessions[0]['id']}"
    assert (await gateway.rest("DELETE", one, gateway.admin_key)).status_code == 204
    problem_of(await gateway.rest("DELETE", one, gateway.admin_key), 404, "not-found")
    problem_of(await gateway.rest("GET", "/users/@self", tokens[0]), 401, "unauthenticated")
    assert (await gateway.rest("GET", "/users/@self", tokens[1])).status_code == 200
    assert (await gateway.rest("DELETE", path, gateway.admin_key)).status_code == 204
    assert (await gateway.rest("GET", path, gateway.admin_key)).json() == []


async def test_an_admin_sees_and_revokes_the_keys_of_an_account_but_makes_none(
    gateway: Gateway, demo: str
) -> None:
    path, token = f"/users/{demo}/keys", await gateway.log_in("demoaccount")
    for name in ("one", "two"):
        await gateway.rest("POST", "/users/@self/keys", token, json={"name": name})
    keys = (await gateway.rest("GET", path, gateway.admin_key)).json()
    assert [key["name"] for key in keys] == ["one", "two"]
    assert not [key for key in keys if "key" in key]
    one = f"{path}/{keys[0]['id']}"
    assert (await gateway.rest("DELETE", one, gateway.admin_key)).status_code == 204
    problem_of(await gateway.rest("DELETE", one, gateway.admin_key), 404, "not-found")
    assert (await gateway.rest("DELETE", path, gateway.admin_key)).status_code == 204
    assert (await gateway.rest("GET", path, gateway.admin_key)).json() == []
    response = await gateway.rest("POST", path, gateway.admin_key, json={"name": "mine"})
    problem_of(response, 405, "method-not-allowed")


# --------------------------------------------------------------- what GET returned, sent back


@pytest.mark.parametrize(
    ("member", "value"), [("id", 1), ("servers", []), ("servers", [UNKNOWN[:-1] + "8"])], ids=str
)
async def test_a_member_that_cannot_be_changed_is_named(
    gateway: Gateway, demo: str, member: str, value: object
) -> None:
    server = {"owner": demo, "name": "Survival"}
    await gateway.rest("PUT", f"/servers/{SERVER}", gateway.admin_key, json=server)
    got = (await get(gateway, demo)).json()
    assert got["servers"] == [SERVER]
    assert flaws_of(await put(gateway, demo, {**got, member: value})) == [f"#/{member}"]
    assert (await put(gateway, demo, got)).status_code == 204
