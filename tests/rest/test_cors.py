"""Pages of other origins: closed by default, open for those that are configured."""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile

import pytest

from app.settings import Settings
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio

CHAT, PANEL, FOREIGN = "https://chat.example", "http://panel.example:8080", "https://evil.example"
PHONE = "capacitor://localhost"
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
async def opened(
    migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway that is open for these origins."""
    database = tmp_path_factory.mktemp("cors") / "gatehouse.sqlite3"
    copyfile(migrated, database)
    async with open_gateway(database, Settings(cors_origins=(CHAT, PANEL, PHONE))) as gateway:
        await gateway.sign_up("alice")
        yield gateway


def preflight(origin: str, verb: str = "PUT", headers: str = "X-Access-Token") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": verb,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize("path", ["/users", "/users/@self", "/rpc", "/health/live", "/nothing"])
async def test_by_default_no_origin_is_let_in(shared_gateway: Gateway, path: str) -> None:
    for verb in ("GET", "POST"):
        response = await shared_gateway.rest(
            verb, path, shared_gateway.admin_key, headers={"Origin": CHAT}
        )
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_by_default_a_preflight_is_not_answered(shared_gateway: Gateway) -> None:
    response = await shared_gateway.client.options("/users", headers=preflight(CHAT))
    problem_of(response, 405, "method-not-allowed")
    assert ALLOWED not in response.headers


@pytest.mark.parametrize("origin", [CHAT, PANEL, PHONE])
@pytest.mark.parametrize("path", ["/users", "/users/alice", "/health/live"])
async def test_a_configured_origin_may_read_an_answer(
    opened: Gateway, origin: str, path: str
) -> None:
    response = await opened.rest("GET", path, opened.admin_key, headers={"Origin": origin})
    assert response.is_success
    assert response.headers[ALLOWED] == origin
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize("name", ["ETag", "Location", "Link", "X-Request-ID"])
async def test_a_configured_origin_may_read_our_headers(opened: Gateway, name: str) -> None:
    response = await opened.rest("GET", "/health/live", headers={"Origin": CHAT})
    assert name in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("verb", "path", "status", "slug"),
    [
        ("GET", "/users/@self", 401, "unauthenticated"),
        ("GET", "/users/nobody", 404, "user-not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/users/nobody?x=1", 400, "invalid-input"),
        ("PUT", "/users", 405, "method-not-allowed"),
        ("POST", "/users/auth", 415, "unsupported-media-type"),
        ("POST", "/rpc", 415, "unsupported-media-type"),
    ],
)
async def test_a_configured_origin_may_read_a_problem_too(
    opened: Gateway, verb: str, path: str, status: int, slug: str
) -> None:
    response = await opened.rest(verb, path, headers={"Origin": CHAT})
    problem_of(response, status, slug)
    assert response.headers.get(ALLOWED) == CHAT


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_configured_origin_may_ask_with_every_verb(opened: Gateway, verb: str) -> None:
    response = await opened.client.options("/users/@self", headers=preflight(CHAT, verb))
    assert response.status_code in {200, 204}
    assert response.headers[ALLOWED] == CHAT
    assert verb in response.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "header",
    [
        *("Authorization", "X-Access-Token", "Content-Type", "If-Match"),
        *(
            "Prefer",
            "authorization",
            "authorization, traceparent",
            "traceparent,tracestate,baggage",
        ),
        *(
            "sentry-trace",
            "b3",
            "x-b3-traceid,x-b3-spanid,x-b3-sampled",
            "x-request-id",
            "newrelic",
        ),
        *("x-datadog-trace-id,x-datadog-origin", "uber-trace-id", "x-amzn-trace-id", "request-id"),
    ],
)
async def test_a_configured_origin_may_send_what_we_read_and_what_tracing_adds(
    opened: Gateway, header: str
) -> None:
    headers = preflight(CHAT, "PUT", header)
    response = await opened.client.options("/users/@self", headers=headers)
    assert response.status_code in {200, 204}
    allowed = response.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    assert set(header.lower().replace(" ", "").split(",")) <= set(allowed)


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", CHAT + ".evil.example", "http://chat.example", "ionic://localhost"]
)
async def test_any_other_origin_stays_outside(opened: Gateway, origin: str) -> None:
    response = await opened.rest("GET", "/users/alice", headers={"Origin": origin})
    asked = await opened.client.options("/users", headers=preflight(origin))
    assert ALLOWED not in response.headers
    assert ALLOWED not in asked.headers


async def test_cookies_are_never_asked_for(opened: Gateway) -> None:
    response = await opened.rest("GET", "/health/live", headers={"Origin": CHAT, "Cookie": "a=b"})
    assert "access-control-allow-credentials" not in response.headers


async def test_a_preflight_that_is_refused_is_no_plain_text(opened: Gateway) -> None:
    response = await opened.client.options("/users", headers=preflight(FOREIGN))
    assert (response.status_code, response.content) == (204, b"")
    assert not [name for name in response.headers if name.startswith("access-control-")]
