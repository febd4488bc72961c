"""The sentences of `unauthenticated`, through both APIs."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.errors import CredentialFault
from tests.gateway import Gateway
from tests.rest.wire import problem_of

pytestmark = pytest.mark.anyio

PLAIN = 'Bearer realm="gatehouse"'
INVALID_TOKEN = f'{PLAIN}, error="invalid_token"'
CALL = {"jsonrpc": "2.0", "method": "users.self", "id": 1}
# As `headers` of a request; {} is a valid token.
WRITTEN = {
    "nothing": ({}, CredentialFault.MISSING, PLAIN),
    "an empty X-Access-Token": ({"X-Access-Token": ""}, CredentialFault.MISSING, PLAIN),
    "Bearer alone": ({"Authorization": "Bearer"}, CredentialFault.MISSING, PLAIN),
    "no scheme": ({"Authorization": "{}"}, CredentialFault.NO_BEARER, PLAIN),
    "another scheme": ({"Authorization": "Token {}"}, CredentialFault.NO_BEARER, PLAIN),
    "Basic": ({"Authorization": "Basic YTpi"}, CredentialFault.BASIC, PLAIN),
    "a colon": ({"Authorization": "Bearer: {}"}, CredentialFault.NO_BEARER, PLAIN),
    "Bearer in X-Access-Token": (
        *({"X-Access-Token": "Bearer {}"}, CredentialFault.BEARER_IN_VALUE, INVALID_TOKEN),
    ),
    "Bearer twice": (
        *({"Authorization": "Bearer bearer {}"}, CredentialFault.BEARER_IN_VALUE, INVALID_TOKEN),
    ),
    "another scheme beside a wrong key": (
        {"Authorization": "Token {}", "X-Access-Token": "ABCD1234-1234-1234-1234-12345678"},
        *(CredentialFault.INVALID, INVALID_TOKEN),
    ),
    "an unknown key": (
        {"X-Access-Token": "ABCD1234-1234-1234-1234-12345678"},
        *(CredentialFault.INVALID, INVALID_TOKEN),
    ),
    "no credential at all": ({"X-Access-Token": "x"}, CredentialFault.NEITHER, INVALID_TOKEN),
}


async def refusals(gateway: Gateway, headers: dict[str, str]) -> tuple[str, list[str]]:
    """Return the challenge, and the detail that each API gives."""
    response = await gateway.client.get("/users/@self", headers=headers)
    reply = (await gateway.client.post("/rpc", json=CALL, headers=headers)).json()
    detail = problem_of(response, 401, "unauthenticated")["detail"]
    return response.headers["WWW-Authenticate"], [detail, reply["error"]["data"]]


@pytest.mark.parametrize(("headers", "fault", "challenge"), WRITTEN.values(), ids=WRITTEN.keys())
async def test_a_credential_that_is_missing_or_wrong_is_named_so_by_both_apis(
    shared_gateway: Gateway, headers: dict[str, str], fault: CredentialFault, challenge: str
) -> None:
    token = await shared_gateway.log_in("alice")
    sent = {name: value.format(token) for name, value in headers.items()}
    assert await refusals(shared_gateway, sent) == (challenge, [fault, fault])


@pytest.mark.parametrize(
    ("auth", "fault"),
    [
        ("", CredentialFault.MISSING),
        ("Bearer {}", CredentialFault.BEARER_IN_VALUE),
        ("bearer {}", CredentialFault.BEARER_IN_VALUE),
        ("x{}", CredentialFault.INVALID),
    ],
)
async def test_auth_that_is_written_incorrectly_is_named_so(
    shared_gateway: Gateway, auth: str, fault: CredentialFault
) -> None:
    auth = auth.format(await shared_gateway.log_in("alice"))
    # It takes precedence over the headers, whatever is in them.
    for headers in ({}, {"Authorization": "Basic YTpi"}):
        call: dict[str, Any] = {**CALL, "auth": auth}
        reply = (await shared_gateway.client.post("/rpc", json=call, headers=headers)).json()
        assert reply["error"]["data"] == fault


async def test_only_an_expired_token_is_called_expired(gateway: Gateway) -> None:
    token, revoked = await gateway.user("alice"), await gateway.log_in("alice")
    await gateway.rpc("users.logout", auth=revoked)
    forged = token[:-4] + "AAAA"
    for ended in (revoked, forged):
        found = await refusals(gateway, {"X-Access-Token": ended})
        assert found == (INVALID_TOKEN, [CredentialFault.INVALID] * 2)
    gateway.clock.turn(timedelta(days=7))
    found = await refusals(gateway, {"X-Access-Token": token})
    assert found == (INVALID_TOKEN, ["The token has expired. Sign in again."] * 2)
    found = await refusals(gateway, {"X-Access-Token": forged})
    assert found == (INVALID_TOKEN, [CredentialFault.INVALID] * 2)
