"""Open the page of the guide 'From a browser' in a real Chromium."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.browser.visitor import launch
from tests.docs.pages import blocks
from tests.server_process import Server, serving

pytestmark = pytest.mark.anyio

BLOCKS = {block.title: block.text for block in blocks("docs/browser.md") if block.title}
SETTING, LISTED = BLOCKS[".env"].strip().split("=")


class Files(SimpleHTTPRequestHandler):
    """The server of the guide, without its log."""

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def origin_of(folder: Path) -> Iterator[str]:
    """Serve a folder, and yield its origin, with another port than in the guide."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{LISTED.rpartition(':')[0]}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def listed(folder: Path) -> Iterator[str]:
    with origin_of(folder) as origin:
        yield origin


@pytest.fixture(scope="module")
def server(folder: Path, listed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("open"), **{SETTING: listed}) as started:
        body = {"username": "pagereader", "password": "a lamp in the hall"}
        assert started.client.post("/users/@self", json=body).status_code == 201
        for name in ("index.html", "chat.mjs"):
            text = BLOCKS[name].replace("http://127.0.0.1:8000", started.greeting["url"])
            (folder / name).write_text(text)
        yield started


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield await browser.new_page()
        await browser.close()


async def sign_in(page: Page, password: str) -> None:
    await page.get_by_label("Username").fill("pagereader")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button").click()


async def test_a_page_of_a_listed_origin_signs_in_and_stays_signed_in(
    page: Page, server: Server, listed: str
) -> None:
    await page.goto(listed)
    status = page.get_by_role("status")
    await sign_in(page, "wrong")
    await expect(status).to_have_text("invalid password")
    await sign_in(page, "a lamp in the hall")
    await expect(status).to_have_text("Signed in as pagereader")
    await page.reload()
    await expect(status).to_have_text("Signed in as pagereader")


async def test_a_page_of_another_origin_cannot_call(
    page: Page, server: Server, folder: Path, listed: str
) -> None:
    with origin_of(folder) as other:
        await page.goto(other)
        await sign_in(page, "a lamp in the hall")
        await expect(page.get_by_role("status")).to_have_text("Failed to fetch")
        assert f"{SETTING}={listed},{other}" in server.log.until("cors origin refused")
