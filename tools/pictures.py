"""Take the pictures of the README: `make pictures`. Needs Chromium and pngquant.

They show the two documentation pages of a new server: the operations, and a call.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from playwright.async_api import Page, ViewportSize, async_playwright

from tests.browser.visitor import SWITCHES, installed_browser
from tests.server_process import serving

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
SIZE: ViewportSize = {"width": 1280, "height": 800}


async def docs(page: Page) -> None:
    """Show the operations by group."""
    await page.goto("/docs")
    await page.locator(".opblock").last.wait_for()


async def rpc_docs(page: Page) -> None:
    """Show a call with the token of a login."""
    await page.goto("/rpc/docs#users.self")
    login, me = page.locator('[id="users.auth"]'), page.locator('[id="users.self"]')
    await login.get_by_role("button", name="Call", exact=True).click()
    await login.get_by_role("button", name="Use it for the other calls").click()
    await me.get_by_role("button", name="Call", exact=True).click()
    await me.get_by_text("HTTP 200").wait_for()
    await me.evaluate("element => element.scrollIntoView()")


PICTURES = {FOLDER / "docs.png": docs, FOLDER / "rpc-docs.png": rpc_docs}


async def take(origin: str, browser_path: str) -> None:
    """Take all pictures in the same size."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path, args=SWITCHES)
        for picture, prepare in PICTURES.items():
            page = await browser.new_page(base_url=origin, viewport=SIZE)
            await prepare(page)
            await page.screenshot(path=picture)
        await browser.close()


def main() -> None:
    """Start a server and take its pictures."""
    path = installed_browser()
    if path is None or which("pngquant") is None:
        sys.exit("Two tools are required. On Debian and Ubuntu: apt-get install chromium pngquant")
    with TemporaryDirectory() as folder, serving(Path(folder)) as server:
        # The account of the examples on the page.
        user = {"username": "user", "password": "********"}
        server.client.post("/users/@self", json=user).raise_for_status()
        asyncio.run(take(server.greeting["url"], path))
    for picture in PICTURES:
        subprocess.run(["pngquant", "--force", "--strip", "--output", picture, picture], check=True)
        print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
