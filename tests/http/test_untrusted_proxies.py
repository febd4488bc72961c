"""Forwarding headers of peers that are no trusted proxies: logged once a peer, and counted."""

from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.http import untrusted_proxies
from app.main import create_app
from app.settings import Settings
from tests.gateway import Gateway, client_of

pytestmark = pytest.mark.anyio

EVENT = "forwarding header of an untrusted peer ignored"
METRIC = "gatehouse_untrusted_forwards_total "
HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


async def ask(app: Any, address: str, header: str | None) -> None:
    headers = {} if header is None else {header: "203.0.113.77"}
    async with client_of(app, address) as client:
        # The second one may come from the cache.
        for _ in range(2):
            response = await client.get("/health/live", headers=headers)
            assert response.is_success


async def test_each_untrusted_peer_is_logged_once_with_the_setting(gateway: Gateway) -> None:
    proxies = (ip_network("10.0.0.1"), ip_network("192.0.2.0/24"))
    app = create_app(Settings(trusted_proxies=proxies), gateway.services)
    with capture_logs() as log:
        await ask(app, "10.0.0.1", "X-Forwarded-For")
        await ask(app, "127.0.0.1", None)
        for header in HEADERS:
            await ask(app, "127.0.0.1", header)
        await ask(app, "::ffff:10.0.0.2", "Forwarded")
    lines = [line for line in log if line["event"] == EVENT]
    trusted = "GATEHOUSE_TRUSTED_PROXIES=10.0.0.1/32,192.0.2.0/24"
    assert [(line["peer"], line["header"], line["setting"]) for line in lines] == [
        ("127.0.0.1", "x-forwarded-for", f"{trusted},127.0.0.1"),
        ("10.0.0.2", "forwarded", f"{trusted},10.0.0.2"),
    ]
    assert "is your proxy" in lines[0]["reason"]
    async with client_of(app, "127.0.0.1") as client:
        headers = {"X-Access-Token": gateway.admin_key}
        assert f"{METRIC}8.0" in (await client.get("/metrics", headers=headers)).text


async def test_the_setting_of_the_log_is_one_that_works(gateway: Gateway) -> None:
    with capture_logs() as log:
        await ask(create_app(Settings(), gateway.services), "2001:db8::7", "X-Forwarded-For")
    (line,) = [line for line in log if line["event"] == EVENT]
    name, _, value = line["setting"].partition("=")
    assert name == "GATEHOUSE_TRUSTED_PROXIES"
    settings = Settings.model_validate({"trusted_proxies": value})
    with capture_logs() as log:
        await ask(create_app(settings, gateway.services), "2001:db8::7", "X-Forwarded-For")
    assert EVENT not in [line["event"] for line in log]


async def test_no_more_peers_are_logged_than_the_bound(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrusted_proxies, "LOGGED_MAX", 2)
    app = create_app(Settings(), gateway.services)
    with capture_logs() as log:
        for number in (1, 2, 3, 1, 2, 3):
            await ask(app, f"198.51.100.{number}", "X-Forwarded-For")
    peers = [line["peer"] for line in log if line["event"] == EVENT]
    assert peers == ["198.51.100.1", "198.51.100.2"]


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        ({"public_url": "https://id.example"}, "GATEHOUSE_TRUSTED_PROXIES=127.0.0.1,"),
        ({"public_url": "https://id.example", "host": "::1"}, "GATEHOUSE_TRUSTED_PROXIES=::1,"),
        ({"public_url": "https://id.example", "host": "0.0.0.0"}, "=ADDRESS_OF_THE_PROXY,"),  # noqa: S104
        ({"public_url": "https://id.example", "trusted_proxies": "10.0.0.1"}, None),
        ({"public_url": "http://id.example"}, None),
        ({}, None),
    ],
)
def test_a_public_url_with_https_implies_a_trusted_proxy(
    members: dict[str, str], advice: str | None
) -> None:
    found = Settings.model_validate(members).proxy_advice
    assert (found is None) if advice is None else advice in (found or "")
