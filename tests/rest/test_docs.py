"""The pages to explore at: whole by themselves, with nothing inline or from elsewhere."""

import re

import pytest

from tests.gateway import Gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio


PAGES = pytest.mark.parametrize("page", ["/docs", "/rpc/docs"])


async def links(door: Gateway, page: str) -> list[str]:
    """Where the page leads, but for places in itself."""
    text = (await door.rest("GET", page)).text
    return re.findall(r'(?:src|href)="([^"#]+)"', text)


@PAGES
async def test_a_page_comes_under_a_strict_policy(door: Gateway, page: str) -> None:
    response = await door.rest("GET", page)
    sent = response.headers["content-security-policy"]
    policy = dict(part.strip().split(" ", 1) for part in sent.split(";"))
    assert response.headers["content-type"].startswith("text/html")
    # What a page may load or ask is ours, but for icons that are in the style sheet itself.
    assert policy.pop("img-src") == "'self' data:"
    may = {"script-src": "'self'", "style-src": "'self'", "connect-src": "'self'"}
    may_not = ("default-src", "base-uri", "form-action", "frame-ancestors")
    assert policy == {**may, **dict.fromkeys(may_not, "'none'")}


@PAGES
async def test_everything_a_page_asks_for_is_here(door: Gateway, page: str) -> None:
    for link in await links(door, page):
        response = await door.rest("GET", link)
        assert response.status_code == 200, link
        assert response.content


@PAGES
async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(door: Gateway, page: str) -> None:
    text = (await door.rest("GET", page)).text
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)) == {""}
    assert "<style" not in text
    assert " style=" not in text
    assert all(link.startswith("/") for link in await links(door, page))


async def test_scripts_and_styles_say_what_they_are(door: Gateway) -> None:
    script = await door.rest("GET", "/docs/docs.js")
    style = await door.rest("GET", "/docs/swagger-ui.css")
    assert script.headers["content-type"].startswith("text/javascript")
    assert style.headers["content-type"].startswith("text/css")
    assert script.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2fsystem.py", "__init__.py", "docs.html", "rpc.html"]
)
async def test_no_other_file_is_to_be_had(door: Gateway, name: str) -> None:
    assert problem_of(await door.rest("GET", f"/docs/{name}"), 404, "not-found")
