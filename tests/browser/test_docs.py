"""`/docs` in a real browser: Swagger UI on the OpenAPI document."""

import re

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.visitor import Visitor
from tests.server_process import Server

pytestmark = pytest.mark.anyio

REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
LOGIN = {"username": "pagevisitor", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    server.client.post("/users/@self", json=LOGIN).raise_for_status()
    login: dict[str, str] = server.client.post("/users/auth", json=LOGIN).json()
    return login["token"]


async def opened(page: Page, group: str, operation: str) -> Locator:
    """The block of an operation, opened."""
    block = page.locator(f"#operations-{group}-{operation}")
    await block.locator(".opblock-summary-control").click()
    return block


async def execute(block: Locator, status: int) -> Locator:
    """Press the button; the answer as it is shown, and not that of the time before."""
    if await block.get_by_role("button", name="Clear").is_visible():
        await block.get_by_role("button", name="Clear").click()
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    await answer.wait_for()
    await expect(answer.locator(".response-col_status")).to_contain_text(str(status))
    return answer


async def authorize(page: Page, scheme: str, *fields: str) -> Locator:
    """Fill in the part of the dialog for `scheme`; the button that takes it back."""
    await page.get_by_role("button", name="Authorize").click()
    part = page.locator(".auth-container", has=page.get_by_role("heading", name=scheme))
    await part.wait_for()
    for field, text in zip(await part.locator("input:visible").all(), fields, strict=True):
        await field.fill(text)
    await part.get_by_role("button", name=re.compile("^Apply")).click()
    removal = part.get_by_role("button", name="Remove authorization")
    await removal.wait_for()
    return removal


async def close_dialog(page: Page) -> None:
    await page.locator(".close-modal").click()


async def test_operations_are_grouped_by_who_uses_them_for_desk_and_phone_by_day_and_night(
    visitor: Visitor,
) -> None:
    page = await visitor.visit("/docs", color_scheme="light")
    await opened(page, "panel_admin", "admin_users_list")
    groups = await page.locator(".opblock-tag").all()
    names = [await group.get_attribute("data-tag") for group in groups]
    assert names == ["anyone", "chat user", "panel admin", "proxy", "operator"]
    await expect(page.locator("html")).to_have_css("background-color", "rgb(250, 250, 250)")
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_css("background-color", "rgb(28, 32, 34)")


async def test_a_search_finds_words_of_a_description_and_says_when_nothing_matches(
    visitor: Visitor,
) -> None:
    page = await visitor.visit("/docs")
    search, paths = page.get_by_label("Find an operation"), page.locator(".opblock-summary-path")
    nothing = page.get_by_text("No match")
    await expect(paths).not_to_have_count(0)
    every = await paths.count()
    await search.fill("for a LOAD balancer")
    await expect(paths).to_have_text(["/health/ready"])
    await search.fill("patch user's presence")
    await expect(paths).to_have_text(["/users/@self/presence"])
    await expect(nothing).to_be_hidden()
    await search.fill("presence giraffe")
    await expect(nothing).to_be_visible()
    await expect(paths).to_have_count(0)
    await search.fill("")
    await expect(paths).to_have_count(every)


async def test_the_login_a_token_and_a_key_authorize(
    visitor: Visitor, server: Server, token: str
) -> None:
    page = await visitor.visit("/docs")
    block = await opened(page, "chat_user", "users_self")
    for name, scheme, fields in (
        ("pagevisitor", "login", list(LOGIN.values())),
        ("pagevisitor", "bearer", [token]),
        ("admin", "accessToken", [server.admin_key]),
    ):
        removal = await authorize(page, scheme, *fields)
        await close_dialog(page)
        answer = await execute(block, 200)
        await expect(answer).to_contain_text(f'"username": "{name}"')
        await page.get_by_role("button", name="Authorize").click()
        await removal.click()
        await close_dialog(page)


async def test_the_examples_of_the_two_old_documents_are_ready_to_be_executed(
    visitor: Visitor, server: Server
) -> None:
    page = await visitor.visit("/docs")
    await authorize(page, "accessToken", server.admin_key)
    await close_dialog(page)
    await execute(await opened(page, "panel_admin", "admin_users_create"), 204)
    assert server.client.head("/users/someusername").status_code == 204
    answer = await execute(await opened(page, "chat_user", "users_presence_set"), 200)
    await expect(answer.locator(".highlight-code code")).to_have_text('"ONLINE"')


async def test_a_call_that_fails_shows_its_problem(visitor: Visitor) -> None:
    page = await visitor.visit("/docs")
    block = await opened(page, "anyone", "users_create")
    await execute(block, 201)
    visitor.foreseen.append(REFUSED)
    answer = await execute(block, 400)
    await expect(answer).to_contain_text('"code": "username-taken"')
    await expect(answer).to_contain_text("User with username user already exists")


async def test_it_asks_its_own_server_whatever_address_the_document_names(
    visitor: Visitor,
) -> None:
    async def name_another_address(route: Route) -> None:
        document = await (await route.fetch()).json()
        await route.fulfill(json={**document, "servers": [{"url": "https://gate.example"}]})

    page = await visitor.visit("/openapi.json")
    await page.route("**/openapi.json", name_another_address)
    await page.goto("/docs")
    await execute(await opened(page, "operator", "health_live"), 200)
