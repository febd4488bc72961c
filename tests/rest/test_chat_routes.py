"""The chat's REST routes: registering, one's own account, presence, guilds, the password."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import flaws_of, problem_of

pytestmark = pytest.mark.anyio

NEW = {"username": "user", "password": "********"}
PRESENCE = "/users/@self/presence"


@pytest.fixture
async def token(gateway: Gateway) -> str:
    return await gateway.user("alice")


@pytest.fixture(scope="module")
async def alice(shared_gateway: Gateway) -> str:
    """A token of a user who changes nothing."""
    return await shared_gateway.log_in("alice")


async def set_presence(gateway: Gateway, token: str, body: str | bytes) -> Any:
    headers = {"Content-Type": "application/json"}
    return await gateway.rest("PATCH", PRESENCE, token, content=body, headers=headers)


# ------------------------------------------------------------------------ register


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_registering_answers_201_and_the_chat_user(gateway: Gateway, prefix: str) -> None:
    response = await gateway.rest("POST", f"{prefix}/users/@self", json=NEW)
    user = response.json()
    assert response.status_code == 201
    assert list(user) == ["id", "username", "display_name", "presence"]
    expected = {"username": "user", "display_name": "user", "presence": None}
    assert user == {"id": user["id"], **expected}
    assert user["id"].isdecimal()


async def test_registering_takes_a_display_name(gateway: Gateway) -> None:
    response = await gateway.rest("POST", "/users/@self", json={**NEW, "display_name": "Us Er"})
    assert response.json()["display_name"] == "Us Er"


async def test_registering_cannot_make_an_admin(gateway: Gateway) -> None:
    assert flaws_of(await gateway.rest("POST", "/users/@self", json={**NEW, "admin": 1})) == [
        "#/admin"
    ]


async def test_registration_may_be_closed(database: Path) -> None:
    async with open_gateway(database, Settings(registration="closed")) as gateway:
        response = await gateway.rest("POST", "/users/@self", json=NEW)
        problem_of(response, 403, "registration-closed")


# ---------------------------------------------------------------------------- self


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_self_shows_and_changes_the_account(
    gateway: Gateway, token: str, prefix: str
) -> None:
    path = f"{prefix}/users/@self"
    before = (await gateway.rest("GET", path, token)).json()
    body = {"display_name": "Alice L.", "username": "Alicia"}
    response = await gateway.rest("PATCH", path, token, json=body)
    assert response.status_code == 200
    assert response.json() == {**before, "display_name": "Alice L.", "username": "alicia"}
    assert (await gateway.rest("GET", path, token)).json() == response.json()


async def test_a_change_of_nothing_shows_the_account(gateway: Gateway, token: str) -> None:
    before = (await gateway.rest("GET", "/users/@self", token)).json()
    response = await gateway.rest("PATCH", "/users/@self", token, json={})
    assert (response.status_code, response.json()) == (200, before)


@pytest.mark.parametrize("body", [[], "text", 1, None])
async def test_a_change_is_an_object(shared_gateway: Gateway, alice: str, body: object) -> None:
    headers = {"Content-Type": "application/json"}
    content = json.dumps(body)
    response = await shared_gateway.rest(
        "PATCH", "/users/@self", alice, content=content, headers=headers
    )
    problem_of(response, 400, "invalid-input")


@pytest.mark.parametrize("name", ["email", "admin", "password", "id", "presence", "disabled"])
async def test_users_change_only_their_own_names(
    shared_gateway: Gateway, alice: str, name: str
) -> None:
    response = await shared_gateway.rest("PATCH", "/users/@self", alice, json={name: 1})
    assert flaws_of(response) == [f"#/{name}"]


async def test_head_of_self_has_no_body(gateway: Gateway, token: str) -> None:
    response = await gateway.rest("HEAD", "/users/@self", token)
    assert (response.status_code, response.content) == (200, b"")


# ------------------------------------------------------------------------- presence


async def test_presence_is_null_until_it_is_first_set(gateway: Gateway, token: str) -> None:
    assert (await gateway.rest("GET", PRESENCE, token)).content == b"null"


@pytest.mark.parametrize("presence", ["ONLINE", "IDLE", "DND", "INVISIBLE", "OFFLINE"])
async def test_presence_is_set_and_shown_as_a_json_string(
    gateway: Gateway, token: str, presence: str
) -> None:
    for response in (
        await set_presence(gateway, token, f'"{presence}"'),
        await gateway.rest("GET", PRESENCE, token),
    ):
        assert (response.status_code, response.text) == (200, f'"{presence}"')
    self = (await gateway.rest("GET", "/users/@self", token)).json()
    assert self["presence"] == presence


@pytest.mark.parametrize(
    "body",
    [
        '"ONLINE"',
        ' "ONLINE"\n',
        '{"presence": "ONLINE"}',
        '{"ONLINE"}',
        '{\n    "ONLINE"\n}',
        '\r\n{\r\n\t"ONLINE" }\r\n',
    ],
)
async def test_presence_is_read_in_three_forms(gateway: Gateway, token: str, body: str) -> None:
    response = await set_presence(gateway, token, body)
    assert (response.status_code, response.text) == (200, '"ONLINE"')


@pytest.mark.parametrize(
    "body",
    [
        *('"online"', '"AWAY"', '""', '"ONLINE "', '{"AWAY"}', '{"online"}', '{""}'),
        *('{"presence": "AWAY"}', '"ONLINE\\u0000"', '"在线"', '{"在线"}'),
    ],
)
async def test_any_other_presence_is_none(shared_gateway: Gateway, alice: str, body: str) -> None:
    problem_of(await set_presence(shared_gateway, alice, body), 400, "invalid-presence")


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "{}", '{"ONLINE", "IDLE"}', '{"ONLINE",}', "{ONLINE}", "ONLINE", "{'ONLINE'}"),
        *('[["ONLINE"]]', '["ONLINE"]', "null", "1", "true", '{"presence": null}', '{{"ONLINE"}}'),
        *('{"status": "ONLINE"}', '{"presence": "ONLINE", "x": 1}', '{"presence": ["ONLINE"]}'),
        *('{"ONLINE"}{"ONLINE"}', '{"ON\nLINE"}', '{"\\ud800"}'),
        *(b'{"\xff"}', '"ONLINE"'.encode("utf-16")),
    ],
)
async def test_any_other_body_is_invalid_input_and_sets_nothing(
    shared_gateway: Gateway, alice: str, body: str | bytes
) -> None:
    problem_of(await set_presence(shared_gateway, alice, body), 400, "invalid-input")
    assert (await shared_gateway.rest("GET", PRESENCE, alice)).content == b"null"


# --------------------------------------------------------------------------- guilds


async def test_a_users_guilds_are_those_owned_and_those_joined(
    gateway: Gateway, token: str
) -> None:
    alice = (await gateway.rest("GET", "/users/@self", token)).json()["id"]
    admin = await gateway.uuid_of("admin")
    assert (await gateway.rest("GET", "/users/@self/guilds", token)).content == b"[]"
    for guild, owner in (("10", alice), ("11", admin), ("12", admin)):
        body = {"name": f"Guild {guild}", "owner_id": owner}
        await gateway.rest("PUT", f"/guilds/{guild}", gateway.admin_key, json=body)
    await gateway.rest("PUT", f"/guilds/12/members/{alice}", gateway.admin_key)
    guilds = (await gateway.rest("GET", "/users/@self/guilds", token)).json()
    assert guilds[0] == {"id": "10", "name": "Guild 10", "owner_id": alice, "icon": None}
    assert [guild["id"] for guild in guilds] == ["10", "12"]


# ------------------------------------------------------------------------- password


async def change_password(gateway: Gateway, token: str, **body: Any) -> Any:
    sent = {"current": PASSWORD, "password": "another password", **body}
    return await gateway.rest("PUT", "/users/@self/password", token, json=sent)


async def test_a_changed_password_answers_204_and_ends_the_other_sessions(
    gateway: Gateway, token: str
) -> None:
    other = await gateway.log_in("alice")
    response = await change_password(gateway, token)
    assert (response.status_code, response.content) == (204, b"")
    assert (await gateway.rest("GET", "/users/@self", token)).status_code == 200
    assert (await gateway.rest("GET", "/users/@self", other)).status_code == 401
    assert await gateway.log_in("alice", "another password")


async def test_a_wrong_current_password_ends_nothing(gateway: Gateway, token: str) -> None:
    other = await gateway.log_in("alice")
    response = await change_password(gateway, token, current="wrong password")
    problem = problem_of(response, 403, "wrong-password")
    assert problem["detail"] == "The current password is wrong; nothing was changed."
    assert "WWW-Authenticate" not in response.headers
    assert (await gateway.rest("GET", "/users/@self", other)).status_code == 200


@pytest.mark.parametrize(("flag", "status"), [(0, 200), (False, 200), (1, 401), (True, 401)])
async def test_keys_are_revoked_where_that_is_asked_for(
    gateway: Gateway, token: str, flag: object, status: int
) -> None:
    response = await gateway.rest("POST", "/users/@self/keys", token, json={"name": "panel"})
    key = response.json()["key"]
    await change_password(gateway, token, revoke_keys=flag)
    assert (await gateway.rest("GET", "/users/@self", key)).status_code == status


async def test_a_weak_new_password_is_refused(gateway: Gateway, token: str) -> None:
    problem_of(await change_password(gateway, token, password="alice"), 400, "weak-password")
