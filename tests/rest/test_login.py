"""`POST /users/auth`: as JSON, as an OAuth2 form, as HTTP Basic."""

from base64 import b64encode
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import flaws_of, problem_of

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"
HOUR = timedelta(hours=1)
LOGIN = {"username": "alice", "password": PASSWORD}
ODD = 'pä:ss & wörd="%2B+" 密码'


async def send(
    gateway: Gateway, body: str | bytes, content_type: str | None, **headers: str
) -> Any:
    if content_type is not None:
        headers["Content-Type"] = content_type
    return await gateway.rest("POST", "/users/auth", content=body, headers=headers)


async def send_basic(gateway: Gateway, credentials: bytes, scheme: str = "Basic") -> httpx.Response:
    header = f"{scheme} {b64encode(credentials).decode()}"
    return await gateway.rest("POST", "/users/auth", headers={"Authorization": header})


def in_both_forms(login: dict[str, str]) -> list[dict[str, Any]]:
    return [{"json": login}, {"data": login}]


async def assert_opens(gateway: Gateway, response: httpx.Response, username: str = "alice") -> None:
    assert response.status_code == 200, response.text
    shown = await gateway.rest("GET", "/users/@self", response.json()["token"])
    assert shown.json()["username"] == username
    assert shown.json()["id"] == response.json()["user_id"]


# ----------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_login_as_json_gives_a_token(shared_gateway: Gateway, prefix: str) -> None:
    response = await shared_gateway.rest("POST", f"{prefix}/users/auth", json=LOGIN)
    assert list(response.json()) == ["user_id", "token", "expires_at"]
    await assert_opens(shared_gateway, response)


@pytest.mark.parametrize("missing", ["username", "password"])
async def test_a_login_needs_name_and_password(shared_gateway: Gateway, missing: str) -> None:
    body = {name: value for name, value in LOGIN.items() if name != missing}
    for request in in_both_forms(body):
        response = await shared_gateway.rest("POST", "/users/auth", **request)
        assert flaws_of(response) == [f"#/{missing}"]


@pytest.mark.parametrize(
    "login",
    [
        {**LOGIN, "password": "wrong password"},
        {**LOGIN, "username": "nobody"},
        {**LOGIN, "username": "not a name"},
        {"username": "admin", "password": ""},
        {**LOGIN, "password": "x" * 10_000},
        {**LOGIN, "password": PASSWORD + " "},
        {**LOGIN, "password": PASSWORD + "\x00"},
        {**LOGIN, "username": "alice\x00"},
    ],
    ids=lambda login: repr(login)[:60],
)
async def test_a_wrong_login_is_always_the_same_refusal(
    shared_gateway: Gateway, login: dict[str, str]
) -> None:
    for request in in_both_forms(login):
        response = await shared_gateway.rest("POST", "/users/auth", **request)
        assert problem_of(response, 401, "invalid-credentials")["detail"] == "invalid password"


# ----------------------------------------------------------------------------- form


async def test_a_login_as_a_form_gives_a_token_as_oauth2_has_it(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest(
        "POST", "/users/auth", data={"grant_type": "password", **LOGIN}
    )
    answer = response.json()
    assert answer["access_token"] == answer["token"]
    assert answer["token_type"].lower() == "bearer"
    assert answer["expires_in"] == 7 * 86400
    await assert_opens(shared_gateway, response)


async def test_expires_in_is_when_the_token_dies(database: Path) -> None:
    async with open_gateway(database, Settings(token_ttl=3600)) as gateway:
        await gateway.sign_up("alice")
        answer = (await gateway.rest("POST", "/users/auth", data=LOGIN)).json()
        assert answer["expires_in"] == 3600
        assert datetime.fromisoformat(answer["expires_at"]) == gateway.clock.now() + HOUR
        for seconds, status in ((3599, 200), (1, 401)):
            gateway.clock.turn(timedelta(seconds=seconds))
            response = await gateway.rest("GET", "/users/@self", answer["token"])
            assert response.status_code == status


@pytest.mark.parametrize(
    "more",
    [
        {"scope": ""},
        {"client_id": "docs", "client_secret": "secret"},
        {"scope": "read write", "client_id": "docs"},
    ],
)
async def test_parameters_of_oauth2_clients_are_ignored(
    shared_gateway: Gateway, more: dict[str, str]
) -> None:
    await assert_opens(
        shared_gateway, await shared_gateway.rest("POST", "/users/auth", data={**LOGIN, **more})
    )


@pytest.mark.parametrize("grant", ["", "client_credentials", "authorization_code", "Password"])
async def test_another_grant_is_refused(shared_gateway: Gateway, grant: str) -> None:
    response = await shared_gateway.rest("POST", "/users/auth", data={**LOGIN, "grant_type": grant})
    assert flaws_of(response) == ["#/grant_type"]


async def test_an_unknown_member_of_a_form_is_pointed_at(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("POST", "/users/auth", data={**LOGIN, "otp": "1"})
    assert flaws_of(response) == ["#/otp"]


@pytest.mark.parametrize(
    "body",
    [
        *("username=alice&username=bobby&password=x", "nonsense", "=&=", "a;b", "username"),
        *(b"username=\xff&password=x", b"username=%FF&password=x", "&&", "{}"),
        "username=alice&password=correct+horse+battery&password=",
    ],
)
async def test_a_broken_form_is_invalid_input(shared_gateway: Gateway, body: str | bytes) -> None:
    problem_of(await send(shared_gateway, body, FORM), 400, "invalid-input")


async def test_a_form_may_name_its_charset(shared_gateway: Gateway) -> None:
    body = "username=alice&password=correct+horse%20battery"
    await assert_opens(shared_gateway, await send(shared_gateway, body, f"{FORM}; charset=UTF-8"))


async def test_odd_characters_arrive_whole_in_every_form(gateway: Gateway) -> None:
    await gateway.sign_up("zoë.名字", ODD)
    login = {"username": "zoë.名字", "password": ODD}
    await assert_opens(gateway, await gateway.rest("POST", "/users/auth", json=login), "zoë.名字")
    await assert_opens(gateway, await gateway.rest("POST", "/users/auth", data=login), "zoë.名字")
    response = await send_basic(gateway, f"zoë.名字:{ODD}".encode())
    await assert_opens(gateway, response, "zoë.名字")


# ---------------------------------------------------------------------------- Basic


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic "])
async def test_a_login_as_http_basic_gives_a_token(shared_gateway: Gateway, scheme: str) -> None:
    response = await send_basic(shared_gateway, f"alice:{PASSWORD}".encode(), scheme)
    assert list(response.json()) == ["user_id", "token", "expires_at"]
    await assert_opens(shared_gateway, response)


async def test_a_wrong_http_basic_login_is_the_same_refusal(shared_gateway: Gateway) -> None:
    for credentials in (b"alice:wrong", b"nobody:x", b":", b"alice:", b"\x00:\x00"):
        problem_of(await send_basic(shared_gateway, credentials), 401, "invalid-credentials")


@pytest.mark.parametrize(
    "value",
    [
        "Basic YWxpY2U=",  # no colon
        "Basic YWxpY2U",  # no padding
        "Basic YWxpY2U6eA=",  # too little padding
        "Basic /////w==",  # no UTF-8
        "Basic =",
        "Basic ",
        "Basic",
        "Basic !!!",
        "Basic YWxp Y2U6eA==",
        "Basic alice:password",
    ],
)
async def test_malformed_http_basic_is_a_flaw_of_the_header(
    shared_gateway: Gateway, value: str
) -> None:
    response = await shared_gateway.rest("POST", "/users/auth", headers={"Authorization": value})
    assert flaws_of(response, "header") == ["Authorization"]


@pytest.mark.parametrize("basic", ["Basic ZG9jczpzZWNyZXQ=", "Basic !!!", "Basic YWxpY2U="])
async def test_a_body_counts_before_http_basic(shared_gateway: Gateway, basic: str) -> None:
    for request in in_both_forms(LOGIN):
        headers = {"Authorization": basic}
        response = await shared_gateway.rest("POST", "/users/auth", headers=headers, **request)
        await assert_opens(shared_gateway, response)


async def test_neither_body_nor_http_basic_is_unsupported(shared_gateway: Gateway) -> None:
    problem_of(await send(shared_gateway, b"", None), 415, "unsupported-media-type")


async def test_a_login_in_the_query_is_refused(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("POST", "/users/auth", params=LOGIN)
    assert sorted(flaws_of(response, "query")) == ["password", "username"]
    assert PASSWORD not in response.text
