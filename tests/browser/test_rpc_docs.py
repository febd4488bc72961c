"""`/rpc/docs` in a real browser: our own page on the OpenRPC document."""

import asyncio
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from app.domain.errors import CredentialFault, Forbidden, Unauthenticated
from tests.browser.visitor import Visitor
from tests.needs import need
from tests.server_process import Server

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
# What one of the languages would read as something else in a string.
ODD = 'it\'s "$me" \\n %s #{x} {y} 🙂'
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
    await me.get_by_label("Show the request as").select_option("curl")
    await expect(me.get_by_label("Request", exact=True)).to_contain_text("$TOKEN")
    await expect(me).not_to_contain_text(re.compile("eyJhbGciO"))


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
    await me.locator(".reply").get_by_role("link", name="unauthenticated").click()
    await expect(page.get_by_role("heading")).to_have_text(Unauthenticated.title)
    await page.go_back()
    await me.get_by_text("Errors (").click()
    await me.locator(".read").get_by_role("link", name="forbidden").click()
    await expect(page.get_by_role("heading")).to_have_text(Forbidden.title)


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


async def test_a_search_without_a_match_says_so(visitor: Visitor) -> None:
    async def read_slowly(route: Route) -> None:
        await page.get_by_label("Find a method").fill("already taken")
        await route.continue_()

    page = await visitor.visit("/health/live")
    await page.route("**/openrpc.json", read_slowly)
    await page.goto("/rpc/docs")
    await expect(page.get_by_role("article")).to_have_count(1)
    nothing = page.get_by_text("No match")
    await expect(nothing).to_be_hidden()
    await page.get_by_label("Find a method").fill("presence giraffe")
    await expect(nothing).to_be_visible()
    await expect(page.locator("#methods, #contents").get_by_role("heading")).to_have_count(0)
    await page.get_by_role("button", name="Clear the search").click()
    await expect(nothing).to_be_hidden()
    await expect(method(page, "users.presence")).to_be_visible()


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


def run(program: str, note: str, folder: Path, token: str) -> Any:
    """Run a program as the page says; the JSON that it prints."""
    command = "sh call.sh"
    if found := re.match(r"Save it under this name, and run it: (.*?)\. ", note):
        command = found[1]
    folder.mkdir()
    (folder / command.split()[-1]).write_text(program)
    arguments = shlex.split(command)
    need(which(arguments[0]) is not None, f"'{arguments[0]}' is missing: .ci/run names its package")
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_the_request_as_a_program_is_the_same_request_in_every_language(
    visitor: Visitor, token: str, tmp_path: Path
) -> None:
    page = await visitor.visit("/rpc/docs")
    batch = page.locator("#batch")
    update = method(page, "users.update")
    await update.get_by_label("Parameters").fill(json.dumps({"display_name": ODD}))
    check = method(page, "users.check")
    await check.get_by_label("Parameters").fill('["pagevisitor"]')
    for part in (update, method(page, "users.self"), check):
        await part.get_by_role("button", name="Add to batch").click()
    await batch.get_by_text("Request and reply").click()
    programs = {}
    choice = batch.get_by_label("Show the request as")
    for name in ("curl", "Python", "JavaScript", "PHP", "Go", "Java"):
        await choice.select_option(name)
        program = await batch.get_by_label("Request", exact=True).inner_text()
        programs[name] = program, await batch.locator(".note").inner_text()
    assert await choice.locator("option").all_inner_texts() == ["JSON", *programs]
    assert all("TOKEN" in note and "users.auth" in note for _, note in programs.values())
    results = await asyncio.gather(
        *(
            asyncio.to_thread(run, *shown, tmp_path / name, token)
            for name, shown in programs.items()
        )
    )
    for name, replies in zip(programs, results, strict=True):
        updated, me, is_taken = (reply["result"] for reply in replies)
        assert (updated["display_name"], me["display_name"], is_taken) == (ODD, ODD, True), name


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
