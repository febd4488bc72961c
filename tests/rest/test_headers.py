"""Headers that every answer carries, whichever way it ends."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway

pytestmark = pytest.mark.anyio

# Verb and path: a view, nothing to show, a page, problems of every layer, the chat door.
ANSWERS = [
    ("GET", "/users", 200),
    ("GET", "/users?limit=1", 200),
    ("HEAD", "/users", 200),
    ("GET", "/users/alice", 204),
    ("GET", "/users/nobody", 404),
    ("GET", "/nothing", 404),
    ("PUT", "/users", 405),
    ("POST", "/users", 415),
    ("GET", "/users?x=1", 400),
    ("GET", "/errors/not-found", 200),
    ("GET", "/health/live", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/.well-known/jwks.json", 200),
    ("GET", "/rpc", 405),
    ("POST", "/rpc", 415),
]
LOGIN = {"username": "alice", "password": PASSWORD}


@pytest.mark.parametrize(("verb", "path", "status"), ANSWERS)
async def test_every_answer_has_an_id_and_protects_itself(
    door: Gateway, verb: str, path: str, status: int
) -> None:
    response = await door.rest(verb, path, door.admin_key)
    assert response.status_code == status
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in response.headers["content-security-policy"]


async def test_no_two_requests_have_the_same_id(door: Gateway) -> None:
    ids = {(await door.rest("GET", "/health/live")).headers["x-request-id"] for _ in range(50)}
    assert len(ids) == 50


async def test_a_request_id_is_not_taken_over_from_just_anybody(door: Gateway) -> None:
    response = await door.rest("GET", "/health/live", headers={"X-Request-ID": "mine"})
    assert response.headers["x-request-id"] != "mine"


def behind(network: str) -> Settings:
    return Settings(trusted_proxies=(ip_network(network),))


@pytest.mark.parametrize("sent", ["mine", "9f0c2b8e6d3a4c51", "a.b_c-D", "x" * 128])
async def test_a_request_id_is_taken_over_from_a_trusted_proxy(database: Path, sent: str) -> None:
    async with open_gateway(database, behind("203.0.113.0/24")) as gateway:
        response = await gateway.rest("GET", "/nothing", headers={"X-Request-ID": sent})
        assert response.headers["x-request-id"] == sent
        assert response.json()["request_id"] == sent


async def test_an_odd_request_id_is_replaced_even_from_a_trusted_proxy(database: Path) -> None:
    async with open_gateway(database, behind("203.0.113.9/32")) as gateway:
        for sent in ("", " ", "a b", "x" * 129, "a\tb", 'a"b', "<b>", "a;b", "%0a"):
            response = await gateway.rest("GET", "/nothing", headers={"X-Request-ID": sent})
            assert response.headers["x-request-id"] not in {sent, ""}


async def test_a_proxy_of_another_network_is_not_trusted(database: Path) -> None:
    async with open_gateway(database, behind("198.51.100.0/24")) as gateway:
        response = await gateway.rest("GET", "/health/live", headers={"X-Request-ID": "mine"})
        assert response.headers["x-request-id"] != "mine"


async def address_of_login(gateway: Gateway, forwarded: str) -> Any:
    """The address that a session shows, opened through a proxy that says so."""
    headers = {"X-Forwarded-For": forwarded}
    token = (await gateway.rest("POST", "/users/auth", json=LOGIN, headers=headers)).json()["token"]
    (session,) = (await gateway.rest("GET", "/users/@self/sessions", token)).json()
    return session["address"]


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("198.18.0.1, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 203.0.113.200", "192.0.2.7"),
        ("192.0.2.7, nonsense", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("", "203.0.113.9"),
    ],
)
async def test_the_address_is_the_nearest_that_is_no_trusted_proxys(
    database: Path, forwarded: str, address: str
) -> None:
    async with open_gateway(database, behind("203.0.113.0/24")) as gateway:
        await gateway.sign_up("alice")
        assert await address_of_login(gateway, forwarded) == address


async def test_nobody_else_can_say_where_he_comes_from(gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    assert await address_of_login(gateway, "192.0.2.7") == "203.0.113.9"


async def secret_answers(gateway: Gateway) -> list[httpx.Response]:
    """One answer of each kind that shows a secret."""
    token = await gateway.user("carol")
    login = {"username": "carol", "password": PASSWORD}
    new = {"username": "demo", "email": "some@example.com"}
    prefer = {"Prefer": "return=representation"}
    return [
        await gateway.rest("POST", "/users/auth", json=login),
        await gateway.rest("POST", "/users/auth", data=login),
        await gateway.rest("POST", "/users/auth", auth=("carol", PASSWORD)),
        await gateway.rest("POST", "/users/@self/token", token),
        await gateway.rest("POST", "/users/@self/keys", token, json={"name": "panel"}),
        await gateway.rest("POST", "/users", gateway.admin_key, json=new, headers=prefer),
        *[
            await gateway.rest("POST", "/rpc", token, json={"jsonrpc": "2.0", "id": 1, **call})
            for call in (
                {"method": "users.auth", "params": login},
                {"method": "users.refresh"},
                {"method": "keys.create", "params": ["bot"]},
            )
        ],
    ]


async def test_what_shows_a_secret_stays_out_of_caches(gateway: Gateway) -> None:
    for response in await secret_answers(gateway):
        assert response.status_code in {200, 201}
        assert "error" not in response.json()
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/users", "/users/@self", "/users/@self/sessions", "/servers"])
async def test_what_depends_on_a_credential_stays_out_of_caches(door: Gateway, path: str) -> None:
    response = await door.rest("GET", path, door.admin_key)
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [("https://gate.example", True), ("http://gate.example", False), (None, False)],
)
async def test_https_is_insisted_on_where_the_public_url_has_it(
    database: Path, public_url: str | None, expected: bool
) -> None:
    async with open_gateway(database, Settings(public_url=public_url)) as gateway:
        for path in ("/health/live", "/nothing"):
            headers = (await gateway.rest("GET", path)).headers
            assert ("strict-transport-security" in headers) is expected
