"""The pages: complete by themselves, with nothing inline or from elsewhere."""

import re

import pytest

from tests.gateway import Gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio


PAGES = pytest.mark.parametrize("page", ["/", "/docs", "/rpc/docs"])
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def links(gateway: Gateway, page: str) -> list[str]:
    """The links of the page to other pages."""
    text = (await gateway.rest("GET", page, headers=BROWSER)).text
    return re.findall(r'(?:src|href)="([^"#]+)"', text)


@PAGES
async def test_a_page_comes_under_a_strict_policy(shared_gateway: Gateway, page: str) -> None:
    response = await shared_gateway.rest("GET", page, headers=BROWSER)
    sent = response.headers["content-security-policy"]
    policy = dict(part.strip().split(" ", 1) for part in sent.split(";"))
    assert response.headers["content-type"].startswith("text/html")
    # What a page may load or ask is ours, but for icons that are in the style sheet itself.
    assert policy.pop("img-src") == "'self' data:"
    may = {"script-src": "'self'", "style-src": "'self'", "connect-src": "'self'"}
    may_not = ("default-src", "base-uri", "form-action", "frame-ancestors")
    assert policy == {**may, **dict.fromkeys(may_not, "'none'")}


@PAGES
async def test_everything_a_page_asks_for_is_here(shared_gateway: Gateway, page: str) -> None:
    for link in await links(shared_gateway, page):
        response = await shared_gateway.rest("GET", link)
        assert response.status_code == 200, link
        assert response.content


@PAGES
async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(
    shared_gateway: Gateway, page: str
) -> None:
    text = (await shared_gateway.rest("GET", page, headers=BROWSER)).text
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)) <= {""}
    assert "<style" not in text
    assert " style=" not in text
    assert all(link.startswith("/") for link in await links(shared_gateway, page))


async def test_scripts_and_styles_say_what_they_are(shared_gateway: Gateway) -> None:
    script = await shared_gateway.rest("GET", "/docs/docs.js")
    style = await shared_gateway.rest("GET", "/docs/swagger-ui.css")
    assert script.headers["content-type"].startswith("text/javascript")
    assert style.headers["content-type"].startswith("text/css")
    assert script.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2fsystem.py", "__init__.py", "docs.html", "rpc.html"]
)
async def test_no_other_file_is_to_be_had(shared_gateway: Gateway, name: str) -> None:
    assert problem_of(await shared_gateway.rest("GET", f"/docs/{name}"), 404, "not-found")


# ------------------------------------------------------------------------- the front page


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER["Accept"], "text/html; charset=utf-8"),
        ("TEXT/HTML", "text/html; charset=utf-8"),
        ("application/json;q=0.5, text/html ; q=0.6", "text/html; charset=utf-8"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=x", "application/json"),
        ("text/*", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("", "application/json"),
    ],
)
async def test_the_front_page_is_html_for_browsers_and_json_for_clients(
    shared_gateway: Gateway, method: str, accept: str, media_type: str
) -> None:
    response = await shared_gateway.rest(method, "/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["vary"] == "Accept"
    assert response.headers["cache-control"] == "public, max-age=3600"


async def test_both_forms_of_the_front_page_have_the_same_links(shared_gateway: Gateway) -> None:
    listed = set((await shared_gateway.rest("GET", "/")).json()["links"].values())
    shown = {
        link for link in await links(shared_gateway, "/") if not link.endswith((".css", ".ico"))
    }
    assert shown == listed - {"/rpc"}


async def test_browsers_and_crawlers_find_what_they_ask_every_server_for(
    shared_gateway: Gateway,
) -> None:
    icon = await shared_gateway.rest("GET", "/favicon.ico")
    assert icon.headers["content-type"] == "image/vnd.microsoft.icon"
    assert icon.content.startswith(b"\0\0\1\0\1\0")
    robots = await shared_gateway.rest("GET", "/robots.txt")
    assert robots.headers["content-type"] == "text/plain; charset=utf-8"
    assert robots.text == "User-agent: *\nDisallow: /\n"


async def test_the_front_page_takes_no_query(shared_gateway: Gateway) -> None:
    problem_of(await shared_gateway.rest("GET", "/?page=2"), 400, "invalid-input")
