"""`/rpc/docs` in a real browser: our own page on the OpenRPC document."""

import json
import re
import shlex
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from app.domain.errors import CredentialFault
from tests.browser.visitor import Visitor
from tests.server_process import Server

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
NARROW = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    params = {"username": "pagevisitor", "password": PASSWORD}
    call = {"jsonrpc": "2.0", "method": "users.create", "params": params, "id": 1}
    assert "result" in server.client.post("/rpc", json=call).json()
    reply = server.client.post("/rpc", json={**call, "method": "users.auth"}).json()
    found: str = reply["result"]["token"]
    return found


def method(page: Page, name: str) -> Locator:
    return page.locator(f'[id="{name}"]')


async def call(part: Locator) -> None:
    await part.get_by_role("button", name="Call", exact=True).click()


def status_of(part: Locator) -> Locator:
    return part.locator(".reply").get_by_role("status")


async def shown(part: Locator, what: str) -> Any:
    """The JSON that is shown as the request or the reply."""
    return json.loads(await part.get_by_label(what, exact=True).inner_text())


async def test_every_method_is_there_under_whom_it_is_for(visitor: Visitor, server: Server) -> None:
    page = await visitor.visit("/rpc/docs")
    await expect(page.locator("#contents li")).not_to_have_count(0)
    names = [method["name"] for method in server.client.get("/rpc/openrpc.json").json()["methods"]]
    assert sorted(await page.get_by_role("article").locator("h3").all_inner_texts()) == sorted(
        names
    )
    groups = await page.locator("#contents h2").all_inner_texts()
    assert groups == ["Anyone", "Chat user", "Panel admin"]
    await expect(method(page, "users.create")).to_contain_text("Creates a new user.")
    await expect(page.locator("body")).not_to_contain_text("[object")


async def test_a_login_acts_as_the_user_and_does_not_show_the_token(
    visitor: Visitor, token: str
) -> None:
    page = await visitor.visit("/rpc/docs")
    login = method(page, "users.auth")
    params = {"username": "pagevisitor", "password": PASSWORD}
    await login.get_by_label("Parameters").fill(json.dumps(params))
    await call(login)
    await login.get_by_role("button", name="Use it for the other calls").click()
    me = method(page, "users.self")
    await call(me)
    await expect(status_of(me)).to_have_text(re.compile(r"HTTP 200 in \d+ ms"))
    assert (await shown(me, "Reply"))["result"]["username"] == "pagevisitor"
    assert (await shown(me, "Request"))["auth"] == "eyJhbGci…"
    await me.get_by_role("button", name="curl").click()
    await expect(me.get_by_label("Request", exact=True)).to_contain_text('''"auth": "'$TOKEN'"''')


async def test_a_call_that_fails_says_why_in_either_dialect(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    me = method(page, "users.self")
    await call(me)
    sentence = CredentialFault.MISSING.value
    await expect(status_of(me)).to_have_text(re.compile(f"HTTP 200 .* Error -32603: {sentence}"))
    await page.get_by_label("errors as problems").check()
    await call(me)
    await expect(status_of(me)).to_have_text(re.compile(f"HTTP 200 .* Error -32009: {sentence}"))
    assert (await shown(me, "Reply"))["error"]["data"]["code"] == "unauthenticated"


async def test_invalid_json_is_not_sent(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    check = method(page, "users.check")
    await check.get_by_label("Parameters").fill('{"username": ')
    await call(check)
    await expect(status_of(check)).to_contain_text("The parameters are not JSON")
    assert (await shown(check, "Request"))["params"] == {"username": "user"}


async def test_a_method_is_found_and_called_without_a_mouse(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    found = page.get_by_role("article")
    await expect(found).not_to_have_count(0)
    every = await found.count()
    await page.keyboard.press("/")
    await page.keyboard.type("already Taken")
    await expect(found).to_have_count(1)
    await expect(page.locator("#found")).to_have_text(f"1 of {every}")
    await expect(page.locator("#contents li:visible")).to_have_text("users.check")
    await page.keyboard.press("Enter")
    await expect(found.get_by_role("link")).to_be_focused()
    while not await found.get_by_label("Parameters").evaluate("e => e === document.activeElement"):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Control+Enter")
    await expect(status_of(method(page, "users.check"))).to_contain_text("HTTP 200")


async def test_parameters_go_by_name_or_by_position(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    check = method(page, "users.check")
    await check.get_by_label("by position").check()
    assert (await shown(check, "Request"))["params"] == ["user"]
    await call(check)
    await expect(status_of(check)).to_contain_text("HTTP 200")
    assert (await shown(check, "Reply"))["result"] is False
    await check.get_by_label("by position").uncheck()
    assert (await shown(check, "Request"))["params"] == {"username": "user"}


async def test_a_notification_has_no_reply(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    check = method(page, "users.check")
    await check.get_by_label("as a notification").check()
    assert "id" not in await shown(check, "Request")
    await call(check)
    await expect(status_of(check)).to_have_text(re.compile("HTTP 204 .* No reply, as asked."))


async def test_a_batch_is_one_request(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    batch = page.locator("#batch")
    for name in ("users.check", "users.self", "users.check", "users.guilds"):
        await method(page, name).get_by_role("button", name="Add to batch").click()
    await method(page, "users.create").get_by_label("as a notification").check()
    await method(page, "users.create").get_by_role("button", name="Add to batch").click()
    await batch.get_by_role("button", name="Remove users.guilds").click()
    await expect(batch.get_by_role("heading").first).to_have_text("A batch of 4 calls")
    await batch.get_by_role("button", name="Send the batch").click()
    await expect(status_of(batch)).to_have_text(re.compile("HTTP 200 .* 1 of 3 failed."))
    sent, replies = await shown(batch, "Request"), await shown(batch, "Reply")
    assert [call.get("id") for call in sent] == [1, 2, 3, None]
    assert [reply["id"] for reply in replies] == [1, 2, 3]
    await batch.get_by_role("button", name="Forget it").click()
    await expect(batch).to_be_hidden()


async def test_the_request_as_a_command_line_is_the_same_request(
    visitor: Visitor, server: Server
) -> None:
    page = await visitor.visit("/rpc/docs")
    check = method(page, "users.check")
    await check.get_by_label("Parameters").fill('{"username": "it\'s me"}')
    request = await shown(check, "Request")
    await check.get_by_role("button", name="curl").click()
    line = await check.get_by_label("Request", exact=True).inner_text()
    curl, silent, url, header, content_type, data, body = shlex.split(line.replace("\\\n", " "))
    assert (curl, silent, header, data) == ("curl", "-s", "-H", "-d")
    assert content_type == "Content-Type: application/json"
    assert url == f"{server.greeting['url']}/rpc"
    assert json.loads(body) == request
    assert request["params"] == {"username": "it's me"}


async def test_on_a_phone_nothing_scrolls_sideways_by_day_or_night(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs", viewport=NARROW, color_scheme="light")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(247, 248, 248)")
    await page.get_by_text("All methods").click()
    discover = method(page, "rpc.discover")
    await discover.get_by_text("Try it").click()
    await call(discover)
    await discover.get_by_role("button", name="Add to batch").click()
    await expect(status_of(discover)).to_contain_text("HTTP 200")
    assert await page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("body")).to_have_css("background-color", "rgb(20, 24, 27)")
