"""Headers that every answer carries, whichever way it ends."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.rate_limits import CHECKS
from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway

pytestmark = pytest.mark.anyio

# Verb and path: a view, nothing to show, a page, problems of every layer, the chat API.
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
    shared_gateway: Gateway, verb: str, path: str, status: int
) -> None:
    response = await shared_gateway.rest(verb, path, shared_gateway.admin_key)
    assert response.status_code == status
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in response.headers["content-security-policy"]


async def test_no_two_requests_have_the_same_id(shared_gateway: Gateway) -> None:
    ids = {
        (await shared_gateway.rest("GET", "/health/live")).headers["x-request-id"]
        for _ in range(50)
    }
    assert len(ids) == 50


async def test_a_request_id_is_not_taken_over_from_just_anybody(shared_gateway: Gateway) -> None:
    response = await shared_gateway.rest("GET", "/health/live", headers={"X-Request-ID": "mine"})
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
        ("192.0.2.7:51234", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, nonsense", None),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("", None),
    ],
)
async def test_the_address_is_the_nearest_that_is_no_trusted_proxys(
    database: Path, forwarded: str, address: str | None
) -> None:
    async with open_gateway(database, behind("203.0.113.0/24")) as gateway:
        await gateway.sign_up("alice")
        assert await address_of_login(gateway, forwarded) == address


async def test_forwarded_is_read_where_the_settings_say_so(database: Path) -> None:
    settings = Settings(trusted_proxies=(ip_network("203.0.113.9"),), proxy_header="forwarded")
    async with open_gateway(database, settings) as gateway:
        await gateway.sign_up("alice")
        headers = {"Forwarded": 'for="[2001:db8::7]:4711"', "X-Forwarded-For": "192.0.2.7"}
        login = await gateway.rest("POST", "/users/auth", json=LOGIN, headers=headers)
        (session,) = (
            await gateway.rest("GET", "/users/@self/sessions", login.json()["token"])
        ).json()
        assert session["address"] == "2001:db8::7"


async def test_a_mapped_peer_is_the_ipv4_proxy_that_is_trusted(database: Path) -> None:
    async with (
        open_gateway(database, behind("203.0.113.0/24")) as gateway,
        gateway.seen_at("::ffff:203.0.113.9") as mapped,
    ):
        await gateway.sign_up("alice")
        assert await address_of_login(mapped, "192.0.2.7") == "192.0.2.7"


@pytest.mark.parametrize("hop", ["nonsense", "unknown", "", "203.0.113.9:", "[203.0.113.9]:80"])
async def test_a_key_of_the_inner_network_is_refused_to_a_client_of_unknown_address(
    database: Path, hop: str
) -> None:
    async with open_gateway(database, behind("203.0.113.0/24")) as gateway:
        token = await gateway.user("alice")
        new = {"name": "inner", "networks": ["203.0.113.0/24"]}
        key = (await gateway.rest("POST", "/users/@self/keys", token, json=new)).json()["key"]
        assert (await gateway.rest("GET", "/users/@self", key)).status_code == 200
        headers = {"X-Forwarded-For": hop}
        response = await gateway.rest("GET", "/users/@self", key, headers=headers)
        assert response.status_code == 401


async def test_clients_of_unknown_address_share_one_count_and_not_the_proxys(
    database: Path,
) -> None:
    async with open_gateway(database, behind("203.0.113.0/24")) as gateway:
        hops = ("nonsense", "unknown", "_hidden", "")
        for number in range(CHECKS.calls):
            headers = {"X-Forwarded-For": hops[number % 4]}
            response = await gateway.rest("HEAD", "/users/somebody", headers=headers)
            assert response.status_code == 404
        refused = await gateway.rest(
            "HEAD", "/users/somebody", headers={"X-Forwarded-For": "another"}
        )
        assert refused.status_code == 429
        for headers in ({}, {"X-Forwarded-For": "192.0.2.7:1"}):
            response = await gateway.rest("HEAD", "/users/somebody", headers=headers)
            assert response.status_code == 404


async def test_no_other_client_can_choose_its_address(gateway: Gateway) -> None:
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


async def test_responses_with_a_secret_are_not_cacheable(gateway: Gateway) -> None:
    for response in await secret_answers(gateway):
        assert response.status_code in {200, 201}
        assert "error" not in response.json()
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/users", "/users/@self", "/users/@self/sessions", "/servers"])
async def test_responses_to_a_credential_are_not_cacheable(
    shared_gateway: Gateway, path: str
) -> None:
    response = await shared_gateway.rest("GET", path, shared_gateway.admin_key)
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
