"""Health, the published keys, metrics."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from ipaddress import ip_network
from pathlib import Path
from threading import get_ident
from typing import Any

import httpx
import pytest
from jose import jwt
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.domain.errors import Overloaded
from app.main import create_app
from app.settings import Settings
from tests.fakes.memory import MemoryStore
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio

JWKS = "/.well-known/jwks.json"


class BusyStore(MemoryStore):
    """Is always locked, but for the making of the first admin."""

    async def read(self, work: Any) -> Any:
        raise Overloaded


# --------------------------------------------------------------------------- health


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_a_healthy_gateway_says_so(shared_gateway: Gateway, path: str) -> None:
    response = await shared_gateway.rest("GET", path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert (await shared_gateway.rest("HEAD", path)).content == b""


async def test_without_its_store_a_gateway_lives_but_is_not_ready(database: Path) -> None:
    async with open_gateway(database, store=BusyStore()) as gateway:
        assert (await gateway.rest("GET", "/health/live")).status_code == 200
        problem = problem_of(await gateway.rest("GET", "/health/ready"), 503, "overloaded")
        assert problem["failing"] == ["store"]
        assert problem["detail"] == "Not ready: the store does not answer."


async def test_of_probes_the_log_has_those_that_failed(
    shared_gateway: Gateway, database: Path
) -> None:
    with capture_logs() as log:
        for path in ("/health/live", "/health/ready", "/openapi.json"):
            await shared_gateway.rest("GET", path)
        async with open_gateway(database, store=BusyStore()) as gateway:
            await gateway.rest("GET", "/health/ready")
            await gateway.rest("GET", "/health/live", params={"verbose": "1"})
    lines = [line for line in log if line["event"] == "request" and line["log_level"] != "debug"]
    told = [(line["path"], line["status"]) for line in lines]
    assert told == [("/openapi.json", 200), ("/health/ready", 503), ("/health/live", 400)]


# ----------------------------------------------------------------------------- keys


async def test_the_published_keys_are_public_keys_for_es256(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("GET", JWKS)
    assert response.headers["content-type"] == "application/jwk-set+json"
    (key,) = response.json()["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert {"kid", "x", "y"} <= set(key)
    assert "d" not in key


async def test_another_service_verifies_a_token_with_the_published_keys(gateway: Gateway) -> None:
    user = await gateway.sign_up("alice")
    token = await gateway.log_in("alice")
    keys = (await gateway.rest("GET", JWKS)).json()["keys"]
    header = jwt.get_unverified_header(token)
    (key,) = [key for key in keys if key["kid"] == header["kid"]]
    # The test's clock does not move, so time is not verified here.
    options = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
    claims = jwt.decode(token, key, algorithms=["ES256"], options=options)
    assert header == {"alg": "ES256", "kid": key["kid"], "typ": "JWT"}
    assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp", "jti"}
    assert claims["sub"] == user["id"]
    assert claims["exp"] - claims["iat"] == 7 * 86400
    assert isinstance(claims["aud"], str)


async def test_the_session_of_a_token_is_the_one_that_is_listed(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    (session,) = (await gateway.rest("GET", "/users/@self/sessions", token)).json()
    assert jwt.get_unverified_claims(token)["sid"] == session["id"]


# -------------------------------------------------------------------------- metrics


@asynccontextmanager
async def client_at(
    gateway: Gateway, address: str, proxies: str | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client at this address."""
    if proxies is not None:
        settings["trusted_proxies"] = (ip_network(proxies),)
    app = create_app(Settings(**settings), gateway.services)
    transport = httpx.ASGITransport(app, client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
async def test_metrics_are_for_every_client_on_this_machine(
    shared_gateway: Gateway, address: str
) -> None:
    async with client_at(shared_gateway, address) as client:
        await client.get("/users/alice")
        response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'route="/users/{uuid}"' in response.text
    assert "alice" not in response.text


async def test_metrics_are_for_admins_from_anywhere(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("GET", "/metrics", shared_gateway.admin_key)
    assert response.status_code == 200
    assert "gatehouse_http_request_seconds" in response.text


async def test_metrics_are_for_no_other_client(shared_gateway: Gateway) -> None:
    problem_of(await shared_gateway.rest("GET", "/metrics"), 401, "unauthenticated")
    token = await shared_gateway.log_in("alice")
    problem_of(await shared_gateway.rest("GET", "/metrics", token), 403, "forbidden")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
@pytest.mark.parametrize("value", ["203.0.113.9", "127.0.0.1", "for=127.0.0.1", ""])
async def test_a_request_forwarded_by_a_local_proxy_is_not_local(
    shared_gateway: Gateway, header: str, value: str
) -> None:
    async with client_at(shared_gateway, "127.0.0.1") as client:
        problem_of(await client.get("/metrics", headers={header: value}), 401, "unauthenticated")
        headers = {header: value, "X-Access-Token": shared_gateway.admin_key}
        assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_no_client_can_claim_to_be_on_this_machine(shared_gateway: Gateway) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
    problem_of(
        await shared_gateway.rest("GET", "/metrics", headers=headers), 401, "unauthenticated"
    )


@pytest.mark.parametrize("forwarded", ["203.0.113.9", "127.0.0.1, 203.0.113.9", "127.0.0.1", ""])
async def test_a_request_from_a_trusted_proxy_has_the_forwarded_address(
    shared_gateway: Gateway, forwarded: str
) -> None:
    async with client_at(shared_gateway, "127.0.0.1", "127.0.0.0/8", metrics="loopback") as client:
        headers = {"X-Forwarded-For": forwarded}
        problem_of(await client.get("/metrics", headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(
    "settings",
    [
        {"proxies": "10.0.0.1"},
        {"public_url": "https://id.example.com"},
        {"metrics": "admin"},
    ],
)
async def test_behind_a_proxy_this_machine_alone_is_no_proof(
    shared_gateway: Gateway, settings: dict[str, Any]
) -> None:
    async with client_at(shared_gateway, "127.0.0.1", **settings) as client:
        problem_of(await client.get("/metrics"), 401, "unauthenticated")
        headers = {"X-Access-Token": shared_gateway.admin_key}
        assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_a_key_that_only_reads_may_scrape(shared_gateway: Gateway) -> None:
    new = {"name": "prometheus", "scope": "read"}
    key = (
        await shared_gateway.rest("POST", "/users/@self/keys", shared_gateway.admin_key, json=new)
    ).json()["key"]
    headers = {"Authorization": f"Bearer {key}"}
    assert (await shared_gateway.client.get("/metrics", headers=headers)).status_code == 200


async def test_the_setting_goes_before_what_a_proxy_makes_likely(shared_gateway: Gateway) -> None:
    settings = {"metrics": "loopback", "public_url": "https://id.example.com"}
    async with client_at(shared_gateway, "127.0.0.1", **settings) as client:
        assert (await client.get("/metrics")).status_code == 200


async def test_metrics_that_are_off_are_not_there(shared_gateway: Gateway) -> None:
    async with client_at(shared_gateway, "127.0.0.1", metrics="off") as client:
        for headers in ({}, {"X-Access-Token": shared_gateway.admin_key}):
            problem_of(await client.get("/metrics", headers=headers), 404, "not-found")


async def test_a_route_that_is_none_does_not_fill_the_metrics(shared_gateway: Gateway) -> None:
    for number in range(3):
        await shared_gateway.client.request(f"VERB{number}", f"/nothing/{number}")
    text = (await shared_gateway.rest("GET", "/metrics", shared_gateway.admin_key)).text
    assert "/nothing" not in text
    assert "VERB" not in text


async def test_concurrent_scrapes_share_one_text_that_a_thread_writes(
    shared_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of a busy server takes 50 ms, in which no other request would be read."""
    loop, written = get_ident(), Counter[tuple[str, bool]]()
    # The start replaces the module for a moment, so the package has another one as its attribute.
    exposition = import_module("prometheus_client.exposition")
    generate_latest = exposition.generate_latest

    def write(registry: CollectorRegistry) -> bytes:
        text: bytes = generate_latest(registry)
        about = "requests" if b"gatehouse_http_request_seconds" in text else "store and processes"
        written[about, get_ident() != loop] += 1
        return text

    monkeypatch.setattr(exposition, "generate_latest", write)
    async with client_at(shared_gateway, "127.0.0.1") as client:
        await client.get("/users/alice")
        responses = await asyncio.gather(*(client.get("/metrics") for _ in range(8)))
        assert {(one.status_code, len(one.content) > 1000) for one in responses} == {(200, True)}
        assert written == {("requests", True): 1, ("store and processes", True): 1}
        await client.get("/metrics")
        assert written == {("requests", True): 2, ("store and processes", True): 2}
