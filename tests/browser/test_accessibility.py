"""The rules of axe-core, by day and by night."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.anyio

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


# Swagger UI's colors change slowly.
SETTLED = """
new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
    .then(() => Promise.allSettled(document.getAnimations().map(it => it.finished)))
    .then(() => 0)
"""


async def faults(page: Page, **options: Any) -> list[tuple[str, str]]:
    """Return each rule that is violated by day or by night, with the place and the reason."""
    await page.evaluate(AXE)
    found = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await page.evaluate(SETTLED)
        result = await page.evaluate("options => axe.run(options)", options)
        found += [
            (rule["id"], f"{scheme} {node['target'][0]}: {node['failureSummary']}")
            for rule in result["violations"]
            for node in rule["nodes"]
        ]
    return found


@pytest.mark.parametrize("path", ["/", "/errors/forbidden"])
async def test_our_own_pages_violate_no_rule(visitor: Visitor, path: str) -> None:
    assert await faults(await visitor.visit(path)) == []


async def test_the_page_of_the_json_rpc_api_violates_no_rule(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    # The methods are alike, and axe takes a minute for all.
    await page.get_by_label("Find a method").fill("presence")
    await expect(page.get_by_role("article")).not_to_have_count(0)
    await page.evaluate("document.querySelectorAll('article[hidden]').forEach(it => it.remove())")
    method = page.locator('[id="users.presence"]')
    await method.get_by_role("button", name="Call", exact=True).click()
    await expect(method.get_by_text("HTTP 200")).to_be_visible()
    await method.get_by_text("Errors (").click()
    await method.get_by_label("Show the request as").select_option("Python")
    await method.get_by_role("button", name="Add to batch").click()
    assert await faults(page) == []
    await page.get_by_label("Find a method").fill("giraffe")
    assert await faults(page) == []


async def test_the_texts_of_swagger_ui_have_contrast(visitor: Visitor) -> None:
    page = await visitor.visit("/docs")
    # Operations with each method that changes something; axe takes long for all.
    await page.get_by_label("Find an operation").fill("@self")
    block = page.locator("#operations-chat_user-users_self")
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Execute").click()
    visitor.foreseen.append(
        "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
    )
    await block.locator(".live-responses-table .response").wait_for()
    assert await faults(page, runOnly=["color-contrast"]) == []
