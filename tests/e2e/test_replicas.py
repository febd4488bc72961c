"""Two servers on one PostgreSQL database, each with a data directory of its own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.postgres import new_database
from tests.replicas import publish_earlier
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"
KEY = "REPLICA1-aaaa-bbbb-cccc-ddddeeee"
Pair = tuple[Server, Server]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as stack:
        url = stack.enter_context(new_database())
        settings = {
            "GATEHOUSE_DATABASE_URL": url,
            "GATEHOUSE_BOOTSTRAP_ADMIN_KEY": KEY,
            # All of these tests together sign up more than one address may.
            "GATEHOUSE_RATE_LIMITS": "off",
        }
        folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
        one = stack.enter_context(serving(folders[0], **settings))
        publish_earlier(folders[1], url)
        yield one, stack.enter_context(serving(folders[1], **settings))


def call(server: Server, method: str, auth: str | None = None, **params: Any) -> Any:
    body = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
    return server.client.post("/rpc", json=body).json()


def user(server: Server, name: str) -> str:
    call(server, "users.create", username=name, password=PASSWORD)
    token: str = call(server, "users.auth", username=name, password=PASSWORD)["result"]["token"]
    return token


def status(server: Server, credential: str) -> int:
    headers = {"X-Access-Token": credential}
    return server.client.get("/users/@self", headers=headers).status_code


def test_an_account_made_at_one_is_everybodys(pair: Pair) -> None:
    one, other = pair
    assert call(one, "users.create", username="wanderer", password=PASSWORD)["result"]
    assert call(other, "users.check", username="wanderer")["result"] is True
    token = call(other, "users.auth", username="wanderer", password=PASSWORD)["result"]["token"]
    assert call(one, "users.self", token)["result"]["username"] == "wanderer"


def test_a_token_of_either_opens_both(pair: Pair) -> None:
    """Each signs with a key of its own; the public halves are in the store."""
    one, other = pair
    tokens = [user(one, "first"), user(other, "second")]
    kids = {server.client.get("/.well-known/jwks.json").text for server in pair}
    assert len(kids) == 1
    assert [status(server, token) for server in pair for token in tokens] == [200] * 4


def test_a_credential_revoked_at_one_is_refused_by_the_other_from_the_response_on(
    pair: Pair,
) -> None:
    one, other = pair
    for number in range(20):
        token = user(one, f"revoked{number}")
        assert status(other, token) == 200
        assert call(one, "users.logout", token)["result"] is True
        assert status(other, token) == 401


def test_a_presence_set_at_one_is_shown_by_the_other(pair: Pair) -> None:
    one, other = pair
    token = user(one, "present")
    for presence in ("DND", "IDLE", "ONLINE"):
        assert call(one, "users.presence", token, presence=presence)["result"] == presence
        assert call(other, "users.self", token)["result"]["presence"] == presence


def test_an_account_disabled_at_one_is_out_everywhere(pair: Pair) -> None:
    one, other = pair
    token = user(other, "unwanted")
    found = one.client.get(
        "/users", params={"username": "unwanted"}, headers={"X-Access-Token": KEY}
    )
    (uuid,) = found.json()
    one.client.delete(f"/users/{uuid}", headers={"X-Access-Token": KEY})
    assert [status(server, token) for server in pair] == [401, 401]


def test_no_snowflake_is_given_twice(pair: Pair) -> None:
    def sign_up(number: int) -> str:
        made = call(pair[number % 2], "users.create", username=f"many{number}", password=PASSWORD)
        snowflake: str = made["result"]["id"]
        return snowflake

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(sign_up, range(60)))
    assert len(set(given)) == 60
    workers = {int(snowflake) >> 12 & 1023 for snowflake in given}
    assert len(workers) == 2


def test_a_race_for_one_name_at_both_has_one_winner(pair: Pair) -> None:
    def sign_up(number: int) -> bool:
        reply = call(pair[number % 2], "users.create", username="wanted", password=PASSWORD)
        assert "result" in reply or "already exists" in reply["error"]["data"]
        return "result" in reply

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(sign_up, range(8))) == 1


def test_two_admins_who_demote_each_other_at_both_leave_one(pair: Pair) -> None:
    headers = {"X-Access-Token": KEY}
    admins = []
    for name in ("duelist1", "duelist2"):
        body = {"username": name, "email": f"{name}@example.com", "admin": 1}
        prefer = {**headers, "Prefer": "return=representation"}
        made = pair[0].client.post("/users", json=body, headers=prefer).json()
        login = call(pair[0], "users.auth", username=name, password=made["password"])
        admins.append((made["uuid"], login["result"]["token"]))
    (boss,) = pair[0].client.get("/users", params={"username": "admin"}, headers=headers).json()
    pair[0].client.put(
        f"/users/{boss}", json={"admin": 0}, headers={"X-Access-Token": admins[0][1]}
    )

    def demote(number: int) -> int:
        uuid, token = admins[1 - number][0], admins[number][1]
        client = pair[number].client
        sent = client.put(f"/users/{uuid}", json={"admin": 0}, headers={"X-Access-Token": token})
        return sent.status_code

    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(threads.map(demote, range(2)))
    assert outcomes in ([204, 403], [204, 409])
