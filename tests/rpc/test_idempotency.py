"""Idempotency-Key at /rpc: what the calls of a body create is created once."""

from typing import Any

import httpx
import pytest

from app.operations.catalog import OPERATIONS
from app.operations.framework.idempotency import HEADER
from app.rest.router import ROUTES
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway
from tests.rest.wire import flaws_of

pytestmark = pytest.mark.anyio

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
REPLAYED = "idempotent-replayed"
CREATE, BY_ADMIN, KEYS = "users.create", "admin.users.create", "keys.create"
PARAMS: dict[str, dict[str, Any]] = {
    CREATE: {"username": "Alice", "password": PASSWORD},
    BY_ADMIN: {"username": "bobby", "email": "bobby@example.com"},
    KEYS: {"name": "panel"},
}


def call(method: str, params: object = None, **members: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": method,
        "params": PARAMS.get(method) if params is None else params,
        "id": method,
        **members,
    }


def batch() -> list[dict[str, Any]]:
    """Calls that create something, and others between them."""
    others = [call("users.presence", ["DND"]), {"jsonrpc": "2.0", "method": "users.self"}]
    return [call(CREATE), others[0], call(BY_ADMIN), others[1], call(KEYS), call("users.nothing")]


async def post(gateway: Gateway, body: Any, *keys: str) -> httpx.Response:
    headers = [("X-Access-Token", gateway.admin_key), *((HEADER, key) for key in keys or [KEY])]
    return await gateway.client.post("/rpc?errors=problem", json=body, headers=headers)


async def count_created(gateway: Gateway) -> tuple[int, int]:
    """Return the numbers of accounts and of keys, without those of the first admin."""
    found = [
        (await gateway.rest("GET", path, gateway.admin_key)).json()
        for path in ("/users", "/users/@self/keys")
    ]
    return len(found[0]) - 1, len(found[1]) - 1


def shown_again(result: Any) -> Any:
    """A result without what is shown once."""
    hidden = {name: None for name in ("key", "password") if name in result}
    return {**result, **hidden}


def test_the_methods_that_take_a_key_are_those_whose_routes_do() -> None:
    taking = {name for name, operation in OPERATIONS.items() if operation.takes_key}
    assert taking == {route.operation.name for route in ROUTES if HEADER in route.header_names}
    assert taking == PARAMS.keys()


@pytest.mark.parametrize("method", PARAMS)
async def test_a_call_is_performed_once_and_answered_the_same(
    gateway: Gateway, method: str
) -> None:
    first = await post(gateway, call(method))
    created = await count_created(gateway)
    assert REPLAYED not in first.headers
    positions = list(PARAMS[method].values())
    for body in (call(method), call(method, id=7), call(method, positions)):
        again = await post(gateway, body)
        assert again.headers[REPLAYED] == "true"
        assert again.json() == {
            **first.json(),
            "id": body["id"],
            "result": shown_again(first.json()["result"]),
        }
    assert await count_created(gateway) == created


async def test_every_call_of_a_batch_is_performed_once(gateway: Gateway) -> None:
    first = await post(gateway, batch())
    again = [await post(gateway, batch()) for _ in range(2)]
    assert REPLAYED not in first.headers
    for answer in again:
        assert answer.headers[REPLAYED] == "true"
        assert [reply.get("result") for reply in answer.json()] == [
            shown_again(reply["result"]) if reply["id"] in PARAMS else reply.get("result")
            for reply in first.json()
        ]
    assert await count_created(gateway) == (2, 1)


async def test_a_notification_is_performed_once(gateway: Gateway) -> None:
    silent = call(KEYS)
    del silent["id"]
    answers = [await post(gateway, body) for body in (silent, silent, [silent], [silent])]
    assert [(answer.status_code, answer.headers.get(REPLAYED)) for answer in answers[:2]] == [
        (204, None),
        (204, "true"),
    ]
    assert await count_created(gateway) == (0, 1)


async def test_equal_calls_of_a_batch_are_each_performed(gateway: Gateway) -> None:
    for _ in range(2):
        ids = [reply["result"]["id"] for reply in (await post(gateway, [call(KEYS)] * 3)).json()]
        assert len(set(ids)) == 3
    assert await count_created(gateway) == (0, 3)


@pytest.mark.parametrize(
    "other",
    [
        batch()[:-1],
        list(reversed(batch())),
        [*batch(), call(KEYS)],
        [call("users.presence", ["IDLE"]) if n == 1 else it for n, it in enumerate(batch())],
        call(CREATE, {"username": "carol", "password": PASSWORD}),
    ],
    ids=["shorter", "turned", "longer", "another call", "a single call"],
)
async def test_another_body_with_the_key_creates_nothing(gateway: Gateway, other: Any) -> None:
    assert (await post(gateway, batch())).status_code == 200
    before = await count_created(gateway)
    answer = await post(gateway, other)
    replies = answer.json() if isinstance(other, list) else [answer.json()]
    refused = [reply["error"]["data"] for reply in replies if reply["id"] in PARAMS]
    assert {problem["code"] for problem in refused} == {"invalid-input"}
    assert {problem["errors"][0]["header"] for problem in refused} == {HEADER}
    assert REPLAYED not in answer.headers
    assert await count_created(gateway) == before
    assert (await post(gateway, batch())).headers[REPLAYED] == "true"


async def test_the_key_of_a_route_is_that_of_its_method(gateway: Gateway) -> None:
    sent = {"json": PARAMS[KEYS], "headers": {HEADER: KEY}}
    made = await gateway.rest("POST", "/users/@self/keys", gateway.admin_key, **sent)
    again = await post(gateway, call(KEYS))
    assert again.json()["result"] == shown_again(made.json())
    assert again.headers[REPLAYED] == "true"
    other = (await post(gateway, [call(KEYS)])).json()[0]
    assert other["error"]["data"]["code"] == "invalid-input"


async def test_another_password_is_another_request(gateway: Gateway) -> None:
    await post(gateway, [call(CREATE)])
    guess = {**PARAMS[CREATE], "password": "another long password"}
    refused = (await post(gateway, [call(CREATE, guess)])).json()[0]
    assert refused["error"]["data"]["code"] == "invalid-input"
    assert (await post(gateway, [call(CREATE)])).headers[REPLAYED] == "true"


async def test_a_refused_call_is_performed_again_and_the_others_are_not(gateway: Gateway) -> None:
    await gateway.sign_up("alice")
    body = [call(CREATE), call(KEYS)]
    first = (await post(gateway, body)).json()
    assert first[0]["error"]["data"]["code"] == "username-taken"
    path = f"/users/{await gateway.uuid_of('alice')}"
    changed = {"username": "somebody"}
    await gateway.rest("PUT", path, gateway.admin_key, json=changed)
    again = (await post(gateway, body)).json()
    assert again[1]["result"] == shown_again(first[1]["result"])
    assert await count_created(gateway) == (1, 1)


@pytest.mark.parametrize("keys", [["a b"], ["a", "b"], [""], ["x" * 256]], ids=str)
async def test_a_malformed_key_is_refused_where_one_is_taken(
    gateway: Gateway, keys: list[str]
) -> None:
    for body in (call(KEYS), [call("users.self", []), call(KEYS)]):
        assert flaws_of(await post(gateway, body, *keys), "header") == [HEADER]
    assert await count_created(gateway) == (0, 0)
    assert "result" in (await post(gateway, call("users.self", []), *keys)).json()


async def test_without_a_credential_a_key_is_no_one_elses(gateway: Gateway) -> None:
    await post(gateway, call(KEYS))
    answer = await gateway.client.post("/rpc", json=call(KEYS), headers={HEADER: KEY})
    assert "error" in answer.json()
    assert REPLAYED not in answer.headers
