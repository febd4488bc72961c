"""Pages of other origins: closed by default, open for those that are configured."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from app.http.cross_origin import LOGGED_MAX
from app.settings import Settings
from tests.captured_logs import captured
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


@pytest.mark.parametrize("path", ["/users", "/rpc", "/auth/verify", "/nothing", "/users/"])
async def test_by_default_a_preflight_is_refused_with_the_setting(
    shared_gateway: Gateway, path: str
) -> None:
    response = await shared_gateway.client.options(path, headers=preflight(CHAT))
    problem = problem_of(response, 403, "forbidden")
    assert f"GATEHOUSE_CORS_ORIGINS={CHAT}" in problem["detail"]
    assert ALLOWED not in response.headers


async def test_without_an_origin_it_is_no_preflight(shared_gateway: Gateway) -> None:
    headers = {"Access-Control-Request-Method": "POST"}
    response = await shared_gateway.client.options("/rpc", headers=headers)
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")


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


async def test_a_refused_preflight_names_its_origin_and_the_setting(opened: Gateway) -> None:
    response = await opened.client.options("/users", headers=preflight(FOREIGN))
    detail = problem_of(response, 403, "forbidden")["detail"]
    assert f"Pages of {FOREIGN} may not" in detail
    assert f"GATEHOUSE_CORS_ORIGINS={FOREIGN}," in detail
    # Other origins are not a page's business.
    assert CHAT not in detail


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("null", "local files"),
        ("https://Chat.example", "write https://chat.example."),
        ("https://chat.example/", "write https://chat.example."),
        ("https://chat.example:443", "write https://chat.example."),
        ("chat.example", "write https://chat.example or http://chat.example."),
        ("x" * 8000, "is not an origin"),
    ],
)
async def test_an_origin_that_no_setting_can_allow_is_explained(
    opened: Gateway, origin: str, reason: str
) -> None:
    response = await opened.client.options("/users", headers=preflight(origin))
    detail = problem_of(response, 403, "forbidden")["detail"]
    assert reason in detail
    assert len(detail) < 1000


@pytest.mark.parametrize("verb", ["patch", "TRACE", "a b"])
async def test_a_preflight_for_an_unknown_method_lists_the_known_ones(
    opened: Gateway, verb: str
) -> None:
    """`fetch` does not capitalize `patch`."""
    response = await opened.client.options("/users/@self", headers=preflight(CHAT, verb))
    problem_of(response, 405, "method-not-allowed")
    assert "PATCH" in response.headers["allow"]
    assert ALLOWED not in response.headers


async def test_a_configured_origin_may_call_from_a_public_to_a_private_network(
    opened: Gateway,
) -> None:
    headers = {**preflight(CHAT), "Access-Control-Request-Private-Network": "true"}
    response = await opened.client.options("/users/@self", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-private-network"] == "true"


async def log_of_preflights(database: Path, *origins: str) -> list[dict[str, Any]]:
    """The log lines about refused origins, where one is allowed."""
    with captured("json") as log:
        async with open_gateway(database, Settings(cors_origins=(CHAT,))) as gateway:
            for origin in origins:
                await gateway.client.options("/users", headers=preflight(origin))
    lines = map(json.loads, log.getvalue().splitlines())
    return [line for line in lines if line["event"] == "cors origin refused"]


async def test_a_refused_origin_is_logged_once_with_the_complete_setting(database: Path) -> None:
    lines = await log_of_preflights(database, FOREIGN, FOREIGN, CHAT, "null", FOREIGN)
    assert [line.get("origin") for line in lines] == [FOREIGN, None]
    assert lines[0]["setting"] == f"GATEHOUSE_CORS_ORIGINS={CHAT},{FOREIGN}"
    assert "local files" in lines[1]["reason"]


async def test_the_memory_of_logged_origins_is_bounded(database: Path) -> None:
    origins = [f"https://{number}.example" for number in range(LOGGED_MAX + 1)]
    lines = await log_of_preflights(database, *origins, origins[0])
    assert len(lines) == len(origins) + 1


async def test_a_credential_in_the_origin_is_not_logged(database: Path) -> None:
    key = "Q7WXM2PL-8sKe-Zt4v-Hb1n-9rTqLw3c"
    (line,) = await log_of_preflights(database, f"https://{key}")
    assert key not in json.dumps(line)


async def test_a_password_in_the_origin_is_not_logged(database: Path) -> None:
    (line,) = await log_of_preflights(database, "https://me:swordfish@chat.example")
    assert "swordfish" not in json.dumps(line)
    assert "write https://chat.example" in line["reason"]
