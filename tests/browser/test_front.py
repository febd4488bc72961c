"""The front page in a real browser."""

import pytest
from playwright.async_api import expect

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_front_page_leads_to_both_apis(visitor: Visitor, width: int, scheme: str) -> None:
    page = await visitor.visit("/", viewport={"width": width, "height": 800}, color_scheme=scheme)
    await expect(page.get_by_role("heading", level=2)).to_have_text(
        ["REST API", "JSON-RPC API", "Handbook", "Operation"]
    )
    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    await page.get_by_role("region", name="JSON-RPC API").get_by_text("Documentation").click()
    await expect(page).to_have_title("Gatehouse: JSON-RPC API")
