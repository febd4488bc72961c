"""OPTIONS: what a path takes, for health checks and for those who only ask (RFC 9110, 9.3.7)."""

from pathlib import Path

import pytest

from app.rest.router import PAGES, ROUTES
from app.settings import Settings
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import UNKNOWN, problem_of

pytestmark = pytest.mark.anyio

OF_PATHS = sorted({route.path for route in ROUTES if route.path != "/auth/verify"})
ORIGIN = "https://chat.example.com"


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("path", OF_PATHS)
async def test_every_path_says_what_it_takes_without_a_credential(
    shared_gateway: Gateway, path: str, prefix: str
) -> None:
    methods = {route.method for route in ROUTES if route.path == path}
    taken = {*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}
    sent = path.format(uuid=UNKNOWN, id="1", user=UNKNOWN)
    answer = await shared_gateway.rest("OPTIONS", prefix + sent)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == ", ".join(sorted(taken))
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", [page.path for page in PAGES])
async def test_every_page_says_that_it_is_read(shared_gateway: Gateway, path: str) -> None:
    sent = path.format(asset="docs.js", slug="not-found", folder="decisions", name="index.html")
    answer = await shared_gateway.rest("OPTIONS", sent)
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_rpc_takes_post(shared_gateway: Gateway) -> None:
    answer = await shared_gateway.rest("OPTIONS", "/rpc")
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")


@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN}])
async def test_the_origin_of_the_asker_changes_nothing(
    shared_gateway: Gateway, headers: dict[str, str]
) -> None:
    answer = await shared_gateway.rest("OPTIONS", "/", headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/nothing", "/users/", "/rpc/", "/users/a/b/c", "/users%2F@self"])
async def test_there_is_nothing_to_say_of_what_is_not_there(
    shared_gateway: Gateway, path: str
) -> None:
    problem_of(await shared_gateway.rest("OPTIONS", path), 404, "not-found")


async def test_a_proxy_that_sends_options_is_not_authorized(shared_gateway: Gateway) -> None:
    """Some proxies forward the method of what they ask about, and take 204 for a yes."""
    problem_of(await shared_gateway.rest("OPTIONS", "/auth/verify"), 405, "method-not-allowed")


async def test_options_of_an_allowed_origin_shows_its_headers(database: Path) -> None:
    async with open_gateway(database, Settings(cors_origins=(ORIGIN,))) as gateway:
        answer = await gateway.rest("OPTIONS", "/users", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
