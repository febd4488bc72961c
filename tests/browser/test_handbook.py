"""The handbook in a real browser."""

import pytest
from playwright.async_api import expect

from tests.browser.test_accessibility import faults
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.anyio


async def test_a_section_is_found_by_its_words_those_of_headings_first(visitor: Visitor) -> None:
    page = await visitor.visit("/rpc/docs")
    # Its name has a line break in the document.
    await expect(page.get_by_role("link", name="Errors and retries")).to_be_visible()
    await page.get_by_role("link", name="the handbook").first.click()
    search = page.get_by_label("Find a section")
    await search.fill("giraffe")
    await expect(page.get_by_role("status")).to_contain_text("No match")
    await search.fill("credential REFUSED")
    first = page.locator("#found a").first
    await expect(first).to_have_text("Credentials: When a credential is refused")
    await search.fill("argon2id imported")
    await expect(first).to_have_text("Credentials: Passwords")
    await search.fill("credential refused")
    await expect(first).to_have_text("Credentials: When a credential is refused")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url("/handbook/credentials.html#when-a-credential-is-refused")
    await expect(page).to_have_title("Credentials: Gatehouse")
    await expect(page.locator("nav [aria-current]")).to_have_text("Credentials")


async def test_it_violates_no_rule_and_does_not_scroll_sideways(visitor: Visitor) -> None:
    page = await visitor.visit("/handbook/install.html")
    assert await faults(page) == []
    await page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/handbook/index.html", "/handbook/errors.html"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
    await page.get_by_text("All pages").click()
    await expect(page.get_by_role("link", name="Credentials").first).to_be_visible()
