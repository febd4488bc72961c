"""Every odd input gets a refusal of the contract, in its API's own form, and leaves nothing."""

import json
from typing import Any

import httpx
import pytest

from app.http.params import call_example
from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES
from app.rpc.methods import METHODS
from tests.gateway import Gateway
from tests.hostile import corpus
from tests.rest.wire import PROBLEM_JSON, problem_of

pytestmark = pytest.mark.anyio

BODIES = [pytest.param(body, id=name) for name, body in corpus.BODIES.items()]
TAKE_BODIES = [route for route in ROUTES if route.has_body]
UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CODES = {-32700, -32600, -32601, -32602, -32603}


def address(route: OperationRoute) -> str:
    """The path of a route, for an object that does not exist."""
    path = route.path
    for name in route.path_names:
        path = path.replace(f"{{{name}}}", UUID if "uuid" in name else "1")
    return path


async def everything(gateway: Gateway) -> Any:
    """All that admins see, and all that the admin has."""
    lists = ("users", "servers", "guilds")
    found = [await gateway.rpc(f"admin.{name}.list", {}, gateway.admin_key) for name in lists]
    keys = (await gateway.rpc("keys.list", {}, gateway.admin_key))["result"]
    return found, [{**key, "last_used_at": None} for key in keys]


def assert_well_formed(response: httpx.Response) -> None:
    """It is an answer that the contract knows, whether yes or no."""
    assert response.status_code < 500, response.text
    assert response.status_code != 422
    if response.status_code >= 400:
        assert response.headers["content-type"] == PROBLEM_JSON
        problem_of(response, response.status_code, response.json()["code"])
        assert len(response.content) < 4000
    elif response.content:
        assert response.headers["content-type"] == "application/json"


def reply_of(response: httpx.Response) -> dict[str, Any]:
    """The single reply to a call, which is one of the contract's."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    reply: dict[str, Any] = response.json()
    assert {"jsonrpc", "id"} < reply.keys() <= {"jsonrpc", "id", "result", "error"}
    if "error" in reply:
        assert reply["error"]["code"] in CODES
        assert len(response.content) < 4000
    return reply


# -------------------------------------------------------------------------- whole bodies


@pytest.mark.parametrize("body", BODIES)
async def test_a_body_that_is_no_input_is_refused_by_every_route(
    shared_gateway: Gateway, body: bytes
) -> None:
    before = await everything(shared_gateway)
    headers = {"Content-Type": "application/json"}
    for route in TAKE_BODIES:
        response = await shared_gateway.rest(
            route.method, address(route), shared_gateway.admin_key, content=body, headers=headers
        )
        assert 400 <= response.status_code < 500, route
        assert_well_formed(response)
    assert await everything(shared_gateway) == before


@pytest.mark.parametrize("body", BODIES)
async def test_a_body_that_is_no_call_is_refused_by_rpc(
    shared_gateway: Gateway, body: bytes
) -> None:
    before = await everything(shared_gateway)
    headers = {"Content-Type": "application/json"}
    response = await shared_gateway.client.post("/rpc", content=body, headers=headers)
    if isinstance(reply := response.json(), list):
        assert {one["error"]["code"] for one in reply} == {-32600}
    else:
        code = reply_of(response)["error"]["code"]
        assert code == (-32700 if body in corpus.NOT_JSON.values() else -32600)
    assert await everything(shared_gateway) == before


@pytest.mark.parametrize("media_type", corpus.MEDIA_TYPES, ids=repr)
async def test_a_body_of_another_type_is_not_read(shared_gateway: Gateway, media_type: str) -> None:
    headers: Any = {"Content-Type": media_type.encode()}
    for route in [route for route in TAKE_BODIES if route.path != "/users/auth"]:
        response = await shared_gateway.rest(
            route.method, address(route), shared_gateway.admin_key, content=b"{}", headers=headers
        )
        problem_of(response, 415, "unsupported-media-type")
    response = await shared_gateway.client.post("/rpc", content=b"{}", headers=headers)
    problem_of(response, 415, "unsupported-media-type")


# ------------------------------------------------------------------- in place of a member


def members_of(name: str) -> list[tuple[str, str]]:
    return [(name, member) for member in METHODS[name].schema.names]


MEMBERS = [pair for name in METHODS for pair in members_of(name)]
RAW = {
    **corpus.VALUES,
    **{name: json.dumps(text, ensure_ascii=False) for name, text in corpus.TEXTS.items()},
}


def with_member(members: dict[str, Any], member: str, raw: str) -> str:
    """The JSON object of the members with one in these very characters."""
    others = [f"{json.dumps(k)}:{json.dumps(v)}" for k, v in members.items() if k != member]
    return "{" + ",".join([*others, f"{json.dumps(member)}:{raw}"]) + "}"


@pytest.mark.parametrize(("name", "member"), MEMBERS)
async def test_an_odd_value_gets_one_answer_at_both_apis(
    gateway: Gateway, name: str, member: str
) -> None:
    """Both APIs reject the same malformed input, and neither fails internally."""
    await gateway.sign_up("alice")
    example = call_example(METHODS[name].operation)
    route = next(
        (r for r in TAKE_BODIES if r.operation.name == name and member not in r.elsewhere), None
    )
    headers = {"Content-Type": "application/json"}
    for raw in RAW.values():
        params = with_member(example, member, raw)
        envelope = json.dumps(
            {"jsonrpc": "2.0", "method": name, "id": 1, "auth": gateway.admin_key}
        )
        body = f'{envelope[:-1]},"params":{params}}}'.encode()
        response = await gateway.client.post("/rpc?errors=problem", content=body, headers=headers)
        code = response.json().get("error", {}).get("code", 0)
        assert response.status_code == 200
        assert "internal" not in response.text
        if route is None:
            continue
        sent = {k: v for k, v in example.items() if k not in route.elsewhere}
        answer = await gateway.rest(
            route.method,
            address(route),
            gateway.admin_key,
            content=with_member(sent, member, raw).encode(),
            headers=headers,
        )
        assert_well_formed(answer)
        if code in {-32700, -32602}:
            assert answer.status_code in {400, 413}, raw[:50]
