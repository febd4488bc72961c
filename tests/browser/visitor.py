"""A visitor with a real browser, who also notices what most people do not look at."""

from shutil import which
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    expect,
)

from tests.needs import missing

# A machine may have other things to do than to draw pages.
expect.set_options(timeout=20_000)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--no-sandbox",  # which root has to do without; only pages of ours are looked at
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation",
    (event) => reportViolation(`${event.effectiveDirective} forbids ${event.blockedURI}`));
"""


async def launch(playwright: Playwright) -> Browser:
    """The Chromium that is installed, headless. Skips the test where there is none."""
    path = installed_browser()
    if path is None:
        missing("These tests need Chromium. On Debian and Ubuntu: apt-get install chromium")
    return await playwright.chromium.launch(executable_path=path, args=SWITCHES)


def installed_browser() -> str | None:
    """Return the path of Chromium, which has several names."""
    return next(filter(None, map(which, BROWSERS)), None)


class Visitor:
    """Opens pages, and keeps what goes wrong on them and what is fetched from elsewhere.

    A test puts into `foreseen` what it brings about itself, in the order of its happening.
    """

    def __init__(self, browser: Browser, origin: str) -> None:
        self.foreseen: list[str] = []
        self._browser = browser
        self._origin = origin
        self._contexts: list[BrowserContext] = []
        self._noticed: list[str] = []
        self._asked: list[str] = []

    async def visit(self, path: str, **looks: Any) -> Page:
        """The page at `path`, in a browser of its own that remembers nothing."""
        context = await self._browser.new_context(base_url=self._origin, **looks)
        self._contexts.append(context)
        await context.expose_function("reportViolation", self._notice)
        await context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._notice(str(error.error)))
        context.on("request", lambda request: self._asked.append(request.url))
        context.on("requestfailed", self._miss)
        page = await context.new_page()
        await page.goto(path)
        return page

    async def leave(self) -> None:
        """Close everything, and see that nothing was wrong but what was foreseen."""
        for context in self._contexts:
            for page in context.pages:
                await page.evaluate("0")  # what the page reported before has arrived by then
            await context.close()
        assert self._noticed == self.foreseen, self._noticed
        elsewhere = [url for url in self._asked if not url.startswith(f"{self._origin}/")]
        assert not elsewhere, elsewhere

    def _notice(self, what: str) -> None:
        self._noticed.append(what)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._notice(message.text)

    def _miss(self, request: Request) -> None:
        self._notice(f"{request.url}: {request.failure}")
