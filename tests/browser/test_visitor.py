"""The browser fixture notices errors, requests to other sites and violations of the policy."""

import pytest
from playwright.async_api import Browser

from tests.browser.visitor import Visitor
from tests.server_process import Server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("misdeed", "noticed"),
    [
        ("console.error('alas')", "alas"),
        ("setTimeout(() => { throw new Error('alas'); })", "alas"),
        ("document.body.innerHTML = '<p style=\"color: red\">'", "style-src-attr forbids inline"),
        ("fetch('https://elsewhere.example/').catch(() => 0)", "connect-src forbids https://elsew"),
    ],
)
async def test_a_visitor_notices_what_is_wrong_on_a_page(
    browser: Browser, server: Server, misdeed: str, noticed: str
) -> None:
    visitor = Visitor(browser, server.greeting["url"])
    page = await visitor.visit("/health/live")
    await page.evaluate(f"() => {{ {misdeed}; }}")
    with pytest.raises(AssertionError) as caught:
        await visitor.leave()
    assert noticed in str(caught.value)


async def test_a_visitor_notices_what_comes_from_elsewhere(
    browser: Browser, server: Server
) -> None:
    visitor = Visitor(browser, server.greeting["url"])
    page = await visitor.visit("/health/live")
    elsewhere = page.url.replace("127.0.0.1", "localhost")
    await page.goto(elsewhere)
    with pytest.raises(AssertionError) as caught:
        await visitor.leave()
    assert elsewhere in str(caught.value)


async def test_a_visitor_misses_what_was_foreseen_and_did_not_happen(
    browser: Browser, server: Server
) -> None:
    visitor = Visitor(browser, server.greeting["url"])
    await visitor.visit("/health/live")
    visitor.foreseen.append("alas")
    with pytest.raises(AssertionError):
        await visitor.leave()
