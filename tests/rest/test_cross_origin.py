"""Requests that a page of another origin makes a browser send do not count for its user."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.rate_limits import CHECKS, FAILURES_BEFORE_LOCK
from app.settings import Settings
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio

CHAT, OURS, FOREIGN = "https://chat.example", "https://id.example", "https://evil.example"
LOGIN = {"username": "alice", "password": PASSWORD}
WRONG = {"username": "alice", "password": "not hers"}


@pytest.fixture
async def gateway(database: Path) -> AsyncIterator[Gateway]:
    settings = Settings(public_url=OURS, cors_origins=(CHAT, "capacitor://localhost"))
    async with open_gateway(database, settings) as opened:
        await opened.sign_up("alice")
        yield opened


def basic(login: dict[str, str]) -> str:
    return "Basic " + b64encode(":".join(login.values()).encode()).decode()


async def log_in(gateway: Gateway, headers: dict[str, str], **request: Any) -> httpx.Response:
    return await gateway.rest("POST", "/users/auth", headers=headers, **request)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": FOREIGN},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        # The last of several redirects leads here from elsewhere.
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://gateway"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://wiki.example"},
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://gateway:8080"},
        {"Origin": "http://gateway.evil.example"},
        {"Origin": "http://[gateway"},
        {"Origin": f"{CHAT}.evil.example"},
        {"Origin": CHAT.replace("https", "http")},
    ],
)
async def test_a_login_from_elsewhere_is_refused_before_it_counts(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    token = await gateway.log_in("alice")
    sent: list[dict[str, Any]] = [
        {"data": WRONG},
        {"headers": {"Authorization": basic(WRONG)}},
        {"headers": {"Authorization": basic(WRONG), "Content-Type": "text/plain"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    ]
    for number in range(FAILURES_BEFORE_LOCK + 2):
        request = dict(sent[number % len(sent)])
        fields = {**headers, **request.pop("headers", {})}
        problem_of(await log_in(gateway, fields, **request), 403, "forbidden")
    # Neither the account nor the address is any nearer to a lock, and nothing is on record.
    assert (await log_in(gateway, {}, data=LOGIN)).status_code == 200
    query = "/audit?outcome=invalid-credentials"
    assert (await gateway.rest("GET", query, gateway.admin_key)).json() == []
    assert (await gateway.rest("GET", "/users/@self", token)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": OURS},
        # A proxy that changes Host, and a page without a referrer: the browser knows better.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://panel.example"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": CHAT},
        {"Sec-Fetch-Site": "cross-site", "Origin": "capacitor://localhost"},
        {"Sec-Fetch-Site": "same-site", "Origin": CHAT},
        {"Origin": CHAT},
        {"Origin": OURS},
        {"Origin": "http://gateway"},
        {"Origin": "http://gateway:80"},
        # A proxy that speaks https to the world.
        {"Origin": "https://gateway"},
    ],
)
async def test_a_login_from_our_own_pages_and_configured_ones_goes_on(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    assert (await log_in(gateway, headers, data=LOGIN)).status_code == 200
    by_basic = {**headers, "Authorization": basic(LOGIN)}
    assert (await log_in(gateway, by_basic)).status_code == 200


async def test_a_program_may_send_json_with_any_origin(gateway: Gateway) -> None:
    """A browser would have asked before."""
    assert (await log_in(gateway, {"Origin": FOREIGN}, json=LOGIN)).status_code == 200


async def test_a_foreign_page_does_not_use_up_its_visitors_existence_checks(
    gateway: Gateway,
) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    for _ in range(CHECKS.calls + 1):
        response = await gateway.rest("GET", "/users/alice", headers=foreign)
        assert response.status_code == 403
    assert (await gateway.rest("HEAD", "/users/alice")).status_code == 204


@pytest.mark.parametrize("path", ["/rpc", "/users/@self", "/users", "/users/@self/keys"])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
async def test_no_other_route_takes_what_a_form_can_send(
    gateway: Gateway, path: str, kind: str | None
) -> None:
    """They refuse it before anything is counted or looked up."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": FOREIGN}
    if kind is not None:
        headers["Content-Type"] = kind
    body = b'{"jsonrpc":"2.0","method":"users.auth","params":["alice","not hers"],"id":1}'
    response = await gateway.rest("POST", path, content=body, headers=headers)
    assert response.status_code in {401, 415}
