"""Health, the published keys, metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from jose import jwt
from structlog.testing import capture_logs

from app.config import Settings
from app.domain.errors import Overloaded
from app.main import create_app
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
async def test_a_healthy_gateway_says_so(door: Gateway, path: str) -> None:
    response = await door.rest("GET", path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert (await door.rest("HEAD", path)).content == b""


async def test_without_its_store_a_gateway_lives_but_is_not_ready(database: Path) -> None:
    async with open_gateway(database, store=BusyStore()) as gateway:
        assert (await gateway.rest("GET", "/health/live")).status_code == 200
        problem = problem_of(await gateway.rest("GET", "/health/ready"), 503, "overloaded")
        assert problem["failing"] == ["store"]
        assert problem["detail"] == "Not ready: the store does not answer."


async def test_of_probes_the_log_has_those_that_failed(door: Gateway, database: Path) -> None:
    with capture_logs() as log:
        for path in ("/health/live", "/health/ready", "/openapi.json"):
            await door.rest("GET", path)
        async with open_gateway(database, store=BusyStore()) as gateway:
            await gateway.rest("GET", "/health/ready")
            await gateway.rest("GET", "/health/live", params={"verbose": "1"})
    told = [(line["path"], line["status"]) for line in log if line["event"] == "request"]
    assert told == [("/openapi.json", 200), ("/health/ready", 503), ("/health/live", 400)]


# ----------------------------------------------------------------------------- keys


async def test_the_published_keys_are_public_keys_for_es256(door: Gateway) -> None:
    response = await door.rest("GET", JWKS)
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
    # The clock of the test stands still, so that time is not what is verified here.
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
    gateway: Gateway, address: str, proxies: str | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who knocks from this address."""
    networks = () if proxies is None else (ip_network(proxies),)
    app = create_app(Settings(trusted_proxies=networks), gateway.services)
    transport = httpx.ASGITransport(app, client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
async def test_metrics_are_for_whoever_asks_from_this_machine(door: Gateway, address: str) -> None:
    async with client_at(door, address) as client:
        await client.get("/users/alice")
        response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'route="/users/{uuid}"' in response.text
    assert "alice" not in response.text


async def test_metrics_are_for_admins_from_anywhere(door: Gateway) -> None:
    response = await door.rest("GET", "/metrics", door.admin_key)
    assert response.status_code == 200
    assert "gatehouse_http_request_seconds" in response.text


async def test_metrics_are_for_nobody_else(door: Gateway) -> None:
    problem_of(await door.rest("GET", "/metrics"), 401, "unauthenticated")
    token = await door.log_in("alice")
    problem_of(await door.rest("GET", "/metrics", token), 403, "forbidden")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
@pytest.mark.parametrize("value", ["203.0.113.9", "127.0.0.1", "for=127.0.0.1", ""])
async def test_what_a_proxy_on_this_machine_passes_on_is_not_from_here(
    door: Gateway, header: str, value: str
) -> None:
    async with client_at(door, "127.0.0.1") as client:
        problem_of(await client.get("/metrics", headers={header: value}), 401, "unauthenticated")
        headers = {header: value, "X-Access-Token": door.admin_key}
        assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_nobody_says_that_he_is_on_this_machine(door: Gateway) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
    problem_of(await door.rest("GET", "/metrics", headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize("forwarded", ["203.0.113.9", "127.0.0.1, 203.0.113.9", "127.0.0.1", ""])
async def test_what_a_trusted_proxy_passes_on_comes_from_where_it_says(
    door: Gateway, forwarded: str
) -> None:
    async with client_at(door, "127.0.0.1", "127.0.0.0/8") as client:
        headers = {"X-Forwarded-For": forwarded}
        problem_of(await client.get("/metrics", headers=headers), 401, "unauthenticated")


async def test_a_route_that_is_none_does_not_fill_the_metrics(door: Gateway) -> None:
    for number in range(3):
        await door.client.request(f"VERB{number}", f"/nothing/{number}")
    text = (await door.rest("GET", "/metrics", door.admin_key)).text
    assert "/nothing" not in text
    assert "VERB" not in text
