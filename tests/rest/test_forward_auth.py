"""Forward auth: the identity that a proxy gets for a request."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from app.domain.errors import CredentialFault
from app.settings import Settings
from tests.gateway import Gateway, client_of, open_gateway
from tests.rest.wire import flaws_of, problem_of
from tests.security.cast import make_admin, make_key

pytestmark = pytest.mark.anyio

VERIFY = "/auth/verify"
HEADERS = ["x-gatehouse-user", "x-gatehouse-user-id", "x-gatehouse-username", "x-gatehouse-admin"]
PROXY = "198.51.100.1"


def identity(answer: httpx.Response) -> list[str]:
    """The values of the four headers in order; the first is the uuid."""
    assert (answer.status_code, answer.content) == (204, b""), answer.text
    ours = [(name, value) for name, value in answer.headers.multi_items() if "gatehouse" in name]
    assert [name for name, _ in ours] == HEADERS
    return [value for _, value in ours]


async def test_it_identifies_a_user_by_all_three_names(gateway: Gateway) -> None:
    user = await gateway.sign_up("alice")
    token = await gateway.log_in("alice")
    said = identity(await gateway.rest("GET", VERIFY, token))
    assert said == [await gateway.uuid_of("alice"), user["id"], "alice", "0"]


async def test_a_credential_is_read_as_everywhere(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    key = await make_key(gateway, token)
    sent: list[dict[str, str]] = [
        {name: f"{scheme}{credential}"}
        for credential in (token, key)
        for name, scheme in (("Authorization", "Bearer "), ("X-Access-Token", ""))
    ]
    said = [identity(await gateway.client.get(VERIFY, headers=headers)) for headers in sent]
    assert said == [said[0]] * 4
    for headers in ({"Authorization": f"Basic {token}"}, {"Cookie": f"token={token}"}, {}):
        problem_of(await gateway.client.get(VERIFY, headers=headers), 401, "unauthenticated")
    both = {"Authorization": f"Bearer {token}", "X-Access-Token": key}
    problem_of(await gateway.client.get(VERIFY, headers=both), 400, "invalid-input")


async def test_it_answers_under_the_alias_and_to_head(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    said = identity(await gateway.rest("GET", VERIFY, token))
    assert identity(await gateway.rest("GET", f"/api{VERIFY}", token)) == said
    assert identity(await gateway.rest("HEAD", VERIFY, token)) == said
    problem_of(await gateway.rest("POST", VERIFY, token), 405, "method-not-allowed")


async def test_every_ended_credential_gets_the_same_sentence(gateway: Gateway) -> None:
    refused = []
    for username, end in {"alice": "logout", "bobby": "disable", "carol": "revoke"}.items():
        token = await gateway.user(username)
        key = await make_key(gateway, token)
        credential = key if end == "revoke" else token
        identity(await gateway.rest("GET", VERIFY, credential))
        if end == "logout":
            await gateway.rpc("users.logout", auth=token)
        elif end == "revoke":
            await gateway.rpc("keys.revoke", [key[:8]], token)
        else:
            path = f"/users/{await gateway.uuid_of(username)}"
            await gateway.rest("DELETE", path, gateway.admin_key)
        refused.append(await gateway.rest("GET", VERIFY, credential))
    refused.append(await gateway.rest("GET", VERIFY, "a.b.c"))
    details = {problem_of(answer, 401, "unauthenticated")["detail"] for answer in refused}
    assert details == {CredentialFault.INVALID.value}
    assert {answer.headers["WWW-Authenticate"] for answer in refused} == {
        'Bearer realm="gatehouse", error="invalid_token"'
    }
    assert not [name for answer in refused for name in answer.headers if "gatehouse" in name]


async def test_a_demotion_or_a_new_name_shows_in_the_next_request(gateway: Gateway) -> None:
    token = await make_admin(gateway, "alice")
    uuid = await gateway.uuid_of("alice")
    assert identity(await gateway.rest("GET", VERIFY, token))[2:] == ["alice", "1"]
    changed = {"admin": 0, "username": "alicia"}
    await gateway.rest("PUT", f"/users/{uuid}", gateway.admin_key, json=changed)
    assert identity(await gateway.rest("GET", VERIFY, token))[2:] == ["alicia", "0"]


@pytest.mark.parametrize("scope", ["admin", "self", "read"])
async def test_a_user_is_an_admin_only_with_a_credential_for_it(
    gateway: Gateway, scope: str
) -> None:
    key = await make_key(gateway, await make_admin(gateway, "alice"), scope=scope)
    answer = await gateway.rest("GET", f"{VERIFY}?changes=0", key)
    assert identity(answer)[3] == ("0" if scope == "self" else "1")


async def test_a_refusal_says_what_is_missing_and_is_on_record(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    read_key = await make_key(gateway, token, scope="read")
    for path, credential, missing in (
        (f"{VERIFY}?admin=1", token, "Admin privileges"),
        (VERIFY, read_key, "the scope 'read'"),
    ):
        refusal = await gateway.rest("GET", path, credential)
        assert missing in problem_of(refusal, 403, "forbidden")["detail"]
        assert not [name for name in refusal.headers if "gatehouse" in name]
    identity(await gateway.rest("GET", f"{VERIFY}?changes=0&admin=0", read_key))


@pytest.mark.parametrize("query", ["admin=2", "admin=", "admin=1&admin=0", "require=admin", "x"])
async def test_an_unknown_requirement_rejects_every_request(gateway: Gateway, query: str) -> None:
    answer = await gateway.rest("GET", f"{VERIFY}?{query}", gateway.admin_key)
    assert flaws_of(answer, "query") == [query.partition("=")[0]]


async def test_no_header_of_the_request_makes_anybody_anyone_else(gateway: Gateway) -> None:
    token, boss = await gateway.user("alice"), await gateway.uuid_of("admin")
    said = identity(await gateway.rest("GET", VERIFY, token))
    pretended = [(name, boss) for name in HEADERS] + [(name.upper(), "1") for name in HEADERS]
    pretended += [(name.replace("-", "_"), "1") for name in HEADERS]
    pretended += [("X-Original-Method", "GET"), ("X-Forwarded-Method", "GET")]
    pretended += [("X-Original-URI", "/?admin=1"), ("X-HTTP-Method-Override", "POST")]
    sent = [("X-Access-Token", token), *pretended]
    assert identity(await gateway.client.get(VERIFY, headers=sent)) == said
    problem_of(await gateway.client.get(f"{VERIFY}?admin=1", headers=sent), 403, "forbidden")
    problem_of(await gateway.client.get(VERIFY, headers=pretended), 401, "unauthenticated")


@pytest.mark.parametrize("username", ["用户名字", "žluťoučký", "josé.2-_x"])
async def test_a_username_in_any_letters_is_percent_encoded_utf_8(
    gateway: Gateway, username: str
) -> None:
    token = await gateway.user(username)
    said = identity(await gateway.rest("GET", VERIFY, token))[2]
    assert said.isascii()
    assert said.isprintable()
    assert unquote(said, errors="strict") == username


@pytest.fixture
async def behind(database: Path) -> AsyncIterator[Gateway]:
    """A gateway that trusts the proxy."""
    async with open_gateway(database, Settings(trusted_proxies=(ip_network(PROXY),))) as opened:
        yield opened


async def test_a_key_is_judged_by_the_address_of_the_client_behind_the_proxy(
    behind: Gateway,
) -> None:
    key = await make_key(behind, await behind.user("alice"), networks=["192.0.2.0/24"])

    async def asked(peer: str, *forwarded: str) -> int:
        sent = [("X-Access-Token", key), *(("X-Forwarded-For", address) for address in forwarded)]
        async with client_of(behind.app, peer) as client:
            return (await client.get(VERIFY, headers=sent)).status_code

    assert await asked(PROXY, "192.0.2.7") == 204
    assert await asked(PROXY, "203.0.113.7") == 401
    # The nearest is what the proxy itself saw.
    assert await asked(PROXY, "192.0.2.7", "203.0.113.7") == 401
    assert await asked(PROXY) == 401
    # The address from an untrusted proxy is ignored.
    assert await asked("203.0.113.7", "192.0.2.7") == 401
    assert await asked("192.0.2.7") == 204


async def test_nothing_of_it_is_kept_by_anybody(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    for sent in (token, None):
        answer = await gateway.rest("GET", VERIFY, sent)
        assert answer.headers["Cache-Control"] == "no-store"
