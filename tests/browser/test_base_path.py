"""The pages of a server whose public URL has a path, behind nginx, in a real browser."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_docs import LOGIN, authorize, close_dialog, execute, opened
from tests.browser.visitor import Visitor
from tests.docs.nginx import PROXY, free_port, running
from tests.server_process import serving

pytestmark = pytest.mark.anyio

BASE = "/id"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, inner = free_port(), free_port()
    url = f"https://{PROXY}:{port}{BASE}"
    settings = {"GATEHOUSE_PUBLIC_URL": url, "GATEHOUSE_PORT": str(inner)}
    changes = {"listen 443": f"listen {PROXY}:{port}", "127.0.0.1:8000": f"{PROXY}:{inner}"}
    with (
        serving(tmp_path_factory.mktemp("server"), **settings),
        running(tmp_path_factory.mktemp("nginx"), "nginx-path.conf", changes),
    ):
        yield url


@pytest.fixture
async def visitor(browser: Browser, url: str) -> AsyncIterator[Visitor]:
    # At its end, it checks that nothing was requested outside of the path.
    visitor = Visitor(browser, url)
    yield visitor
    await visitor.leave()


async def test_the_pages_lead_to_each_other_and_call_both_apis(visitor: Visitor) -> None:
    page = await visitor.visit(f"{BASE}/", ignore_https_errors=True)
    await page.get_by_role("region", name="JSON-RPC API").get_by_text("Documentation").click()
    method = page.locator('[id="users.create"]')
    params = f'{{"username": "{LOGIN["username"]}", "password": "{LOGIN["password"]}"}}'
    await method.get_by_label("Parameters, as JSON").fill(params)
    await method.get_by_role("button", name="Call", exact=True).click()
    await expect(method.locator(".reply").get_by_role("status")).to_contain_text("HTTP 200")
    await method.get_by_label("Show the request as").select_option("curl")
    await expect(method.get_by_label("Request", exact=True)).to_contain_text(f"{BASE}/rpc'")

    await page.get_by_role("link", name="the REST API").click()
    block = await opened(page, "chat_user", "users_self")
    await authorize(page, "login", *LOGIN.values())
    await close_dialog(page)
    await expect(await execute(block, 200)).to_contain_text('"username": "pagevisitor"')

    await page.goto(f"{BASE}/handbook/")
    await page.get_by_label("Find a section").fill("credential REFUSED")
    await expect(page.locator("#found a").first).to_contain_text("When a credential is refused")
    await page.keyboard.press("Enter")
    await expect(page).to_have_title("Credentials: Gatehouse")
