"""A cached response is never older than the store, and never outlives its credential."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pysqlite3
import pytest

from app.domain.credentials import LAST_SEEN_INTERVAL
from app.main import Application, create_app
from app.settings import Settings
from app.storage.sqlite.lookups import SqliteLookups
from app.storage.sqlite.store import SqliteStore
from tests.gateway import CLIENT, Gateway, client_of
from tests.security.cast import make_admin, make_key

pytestmark = pytest.mark.anyio

Ask = Callable[[], Awaitable[Any]]
DAY = timedelta(days=1)


def by_rest(gateway: Gateway, credential: str) -> Ask:
    async def ask() -> Any:
        response = await gateway.rest("GET", "/users/@self", credential)
        return response.json() if response.status_code == 200 else response.status_code

    return ask


def by_rpc(gateway: Gateway, credential: str) -> Ask:
    async def ask() -> Any:
        reply = await gateway.rpc("users.self", auth=credential)
        if "result" in reply:
            return reply["result"]
        again = await gateway.rpc("users.self", auth=credential, query="?errors=problem")
        return again["error"]["data"]["status"]

    return ask


def by_proxy(gateway: Gateway, credential: str) -> Ask:
    async def ask() -> Any:
        response = await gateway.rest("GET", "/auth/verify", credential)
        if response.status_code != 204:
            return response.status_code
        return {"username": response.headers["X-Gatehouse-Username"]}

    return ask


@pytest.fixture
async def token(gateway: Gateway) -> str:
    return await gateway.user("alice")


async def made_ready(ask: Ask) -> Ask:
    """Once Alice has asked who she is, the answer is ready."""
    for _ in range(3):
        assert (await ask())["username"] == "alice"
    return ask


@pytest.fixture(params=[by_rest, by_rpc, by_proxy])
async def ask(request: pytest.FixtureRequest, gateway: Gateway, token: str) -> Ask:
    """Alice, or a proxy for her, asks who she is."""
    return await made_ready(request.param(gateway, token))


@pytest.fixture(params=[by_rest, by_rpc])
async def ask_all(request: pytest.FixtureRequest, gateway: Gateway, token: str) -> Ask:
    """Alice gets her whole profile."""
    return await made_ready(request.param(gateway, token))


def elsewhere(database: Path, *statements: str) -> None:
    """Commit as another process does."""
    other = pysqlite3.connect(str(database))
    for statement in statements:
        other.execute(statement)
    other.commit()
    other.close()


async def test_it_is_given_without_a_look_into_the_store(
    gateway: Gateway, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unasked(*_: object) -> None:
        raise AssertionError("the store was read")

    monkeypatch.setattr(SqliteLookups, "get_session_with_owner", unasked)
    assert (await ask())["username"] == "alice"


async def test_it_is_cached_while_the_use_of_the_credential_waits_to_be_recorded(
    gateway: Gateway, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    deferred = list[str]()
    monkeypatch.setattr(SqliteStore, "defer", lambda _, about, __: deferred.append(about))
    gateway.clock.turn(LAST_SEEN_INTERVAL)
    await ask()
    with monkeypatch.context() as patch:
        patch.delattr(SqliteLookups, "get_session_with_owner")
        assert (await ask())["username"] == "alice"
    gateway.clock.turn(LAST_SEEN_INTERVAL)
    await ask()
    assert len(deferred) == 2


async def test_a_change_of_the_account_is_in_the_next_response(
    gateway: Gateway, token: str, ask_all: Ask
) -> None:
    await gateway.rpc("users.presence", ["DND"], token)
    assert (await ask_all())["presence"] == "DND"
    await gateway.rest("PATCH", "/users/@self", token, json={"display_name": "Other"})
    assert (await ask_all())["display_name"] == "Other"


async def test_a_session_that_ended_gets_none(gateway: Gateway, token: str, ask: Ask) -> None:
    await gateway.rpc("users.logout", auth=token)
    assert await ask() == 401


async def test_an_account_that_was_disabled_gets_none(gateway: Gateway, ask: Ask) -> None:
    await gateway.rest("DELETE", f"/users/{await gateway.uuid_of('alice')}", gateway.admin_key)
    assert await ask() == 401


@pytest.mark.parametrize(
    "statement", ["DELETE FROM sessions", "UPDATE users SET disabled = 1 WHERE username = 'alice'"]
)
async def test_a_commit_of_another_process_ends_it(
    database: Path, ask: Ask, statement: str
) -> None:
    elsewhere(database, statement)
    assert await ask() == 401


async def test_a_value_read_before_a_commit_is_not_cached_after_it(
    database: Path, ask_all: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = SqliteLookups.get_session_with_owner

    async def overtaken(lookups: SqliteLookups, session_id: str) -> Any:
        found = await look_up(lookups, session_id)
        elsewhere(database, "UPDATE users SET presence = 'DND'")
        return found

    elsewhere(database, "UPDATE users SET presence = 'IDLE'")
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLookups, "get_session_with_owner", overtaken)
        assert (await ask_all())["presence"] == "IDLE"
    assert (await ask_all())["presence"] == "DND"


async def test_it_ends_with_the_token_to_the_second(gateway: Gateway, ask: Ask) -> None:
    for _ in range(6):
        gateway.clock.turn(DAY)
        assert (await ask())["username"] == "alice"
        await ask()
    gateway.clock.turn(DAY - timedelta(seconds=1))
    assert (await ask())["username"] == "alice"
    gateway.clock.turn(timedelta(seconds=1))
    assert await ask() == 401


async def test_it_ends_with_the_access_key(gateway: Gateway, token: str) -> None:
    ends = gateway.clock.now() + timedelta(seconds=90)
    created = await gateway.rest(
        "POST", "/users/@self/keys", token, json={"name": "k", "expires_at": ends.isoformat()}
    )
    ask = by_rest(gateway, created.json()["key"])
    for _ in range(3):
        assert (await ask())["username"] == "alice"
    gateway.clock.turn(timedelta(seconds=89))
    assert (await ask())["username"] == "alice"
    gateway.clock.turn(timedelta(seconds=1))
    assert await ask() == 401


@pytest.mark.parametrize("way", [by_rest, by_rpc, by_proxy])
@pytest.mark.parametrize("elsewhere_first", [False, True])
async def test_a_key_that_is_bound_to_networks_gets_none_elsewhere(
    gateway: Gateway, token: str, way: Callable[[Gateway, str], Ask], elsewhere_first: bool
) -> None:
    bound = {"name": "k", "networks": ["203.0.113.9"]}
    key = (await gateway.rest("POST", "/users/@self/keys", token, json=bound)).json()["key"]
    await note_use(gateway, key)
    inside = way(gateway, key)
    async with gateway.seen_at("203.0.113.8") as other:
        outside = way(other, key)
        if elsewhere_first:
            assert await outside() == 401
        for _ in range(3):
            assert (await inside())["username"] == "alice"
            assert await outside() == 401


async def test_a_response_cached_at_one_address_is_checked_at_another(
    gateway: Gateway, ask: Ask, token: str
) -> None:
    async with gateway.seen_at("2001:db8::1") as other:
        assert (await by_rest(other, token)())["username"] == "alice"
        await gateway.rpc("users.logout", auth=token)
        assert await by_rest(other, token)() == 401


async def test_each_credential_has_its_own(gateway: Gateway, ask: Ask) -> None:
    bobby = by_rest(gateway, await gateway.user("bobby"))
    for _ in range(3):
        assert (await bobby())["username"] == "bobby"
        assert (await ask())["username"] == "alice"
    assert await by_rest(gateway, "")() == 401
    assert (await gateway.client.get("/users/@self")).status_code == 401


async def test_it_takes_no_more_than_the_operation_does(gateway: Gateway, token: str) -> None:
    await by_rest(gateway, token)()
    assert (await gateway.rest("GET", "/users/@self?x=1", token)).status_code == 400
    reply = await gateway.rpc("users.self", [1], token)
    assert reply["error"]["code"] == -32602
    assert (await gateway.rest("PUT", "/users/@self", token)).status_code == 405
    head = await gateway.rest("HEAD", "/users/@self", token)
    assert (head.status_code, head.headers["cache-control"]) == (200, "no-store")


async def test_it_is_given_where_the_request_is_read(gateway: Gateway, token: str) -> None:
    app = create_app(Settings(), gateway.services)
    assert isinstance(app, Application)
    headers = [(b"x-access-token", token.encode())]
    scope = dict[str, Any](type="http", method="GET", path="/users/@self", query_string=b"")
    scope |= {"headers": headers, "client": ("203.0.113.9", 4711), "raw_path": b"/users/@self"}
    assert app.try_fast_path(dict(scope), b"") is None
    async with client_of(app, "203.0.113.9") as client:
        await client.get("/users/@self", headers={"X-Access-Token": token})
    answer = app.try_fast_path(dict(scope), b"")
    assert answer is not None
    assert answer[0] == 200
    assert b'"username":"alice"' in answer[1]
    assert app.try_fast_path({**scope, "headers": []}, b"") is None
    # It may be the answer to a key that is bound to networks.
    assert app.try_fast_path({**scope, "client": ("203.0.113.8", 4711)}, b"") is None


async def note_use(gateway: Gateway, key: str) -> None:
    """An answer is kept once the key's first use is on record."""
    now = gateway.clock.now()
    await gateway.services.store.write(lambda tx: tx.keys.set_last_used(key[:8], now))


def by_fast_path(gateway: Gateway, credential: str, query: bytes = b"") -> Any:
    """The response of the fast path to a proxy's request with this credential."""
    assert isinstance(gateway.app, Application)
    scope = dict[str, Any](type="http", method="GET", path="/auth/verify", query_string=query)
    scope |= {"headers": [(b"x-access-token", credential.encode())], "client": CLIENT}
    return gateway.app.try_fast_path({**scope, "raw_path": b"/auth/verify"}, b"")


async def test_a_proxy_is_answered_where_its_request_is_read(gateway: Gateway, token: str) -> None:
    assert by_fast_path(gateway, token) is None
    usual = await gateway.rest("GET", "/auth/verify", token)
    status, head = by_fast_path(gateway, token)
    ready = [line.partition(b": ") for line in head.split(b"\r\n")[:-2]]
    assert (status, head[-4:]) == (204, b"\r\n\r\n")
    assert [(name, value) for name, _, value in ready[:-1]] == usual.headers.raw[:-1]
    assert ready[-1][0] == usual.headers.raw[-1][0] == b"x-request-id"
    await gateway.rpc("users.logout", auth=token)
    assert by_fast_path(gateway, token) is None


async def test_a_response_cached_for_one_requirement_is_not_used_for_another(
    gateway: Gateway,
) -> None:
    boss = await make_admin(gateway, "alice")
    credentials = {
        boss: {b"": 204, b"admin=1": 204, b"changes=0": 204},
        await make_key(gateway, boss, scope="self"): {b"": 204, b"admin=1": 403},
        await make_key(gateway, boss, scope="read"): {b"changes=0": 204, b"": 403, b"admin=1": 403},
    }
    for key in list(credentials)[1:]:
        await note_use(gateway, key)
    for _ in range(3):
        for credential, statuses in credentials.items():
            for query, status in statuses.items():
                path = f"/auth/verify?{query.decode()}"
                assert (await gateway.rest("GET", path, credential)).status_code == status
    found = {c: {q: by_fast_path(gateway, c, q) for q in asked} for c, asked in credentials.items()}
    for credential, statuses in credentials.items():
        for query, status in statuses.items():
            assert (found[credential][query] is not None) is (status == 204)
    await gateway.rest(
        "PUT", f"/users/{await gateway.uuid_of('alice')}", boss, json={"display_name": "Other"}
    )
    assert not [c for c, asked in credentials.items() for q in asked if by_fast_path(gateway, c, q)]


async def test_a_query_in_an_odd_way_of_writing_is_answered_and_not_kept(
    gateway: Gateway, token: str
) -> None:
    odd = b"&&&&&&&&&&&&&&&&&&&&admin=0"
    assert (await gateway.rest("GET", f"/auth/verify?{odd.decode()}", token)).status_code == 204
    assert by_fast_path(gateway, token, odd) is None
