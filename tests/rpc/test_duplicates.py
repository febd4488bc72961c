"""Duplicate members: an error at any depth, and only for the call that has them."""

import pytest

from tests.gateway import Gateway
from tests.rpc.wire import call, error, post, reply_to, result

pytestmark = pytest.mark.anyio

CHECK = '{"jsonrpc":"2.0","method":"users.check","params":["alice"],"id":7}'
TWICE = {
    "auth": CHECK.replace('"id"', '"auth":null,"auth":"key","id"'),
    "method": CHECK.replace('"id"', '"method":"users.check","id"'),
    "params": CHECK.replace('"id"', '"params":["alice"],"id"'),
    "jsonrpc": CHECK.replace('"id"', '"jsonrpc":"2.0","id"'),
    "username": CHECK.replace('["alice"]', '{"username":"bobby","username":"alice"}'),
    "unknown": CHECK.replace('"id"', '"unknown":1,"unknown":1,"id"'),
    "deep": CHECK.replace('"id"', '"meta":[{"a":[1,{"deep":1,"b":2,"deep":1}]}],"id"'),
    "é": CHECK.replace('"id"', '"é":1,"\\u00e9":2,"id"'),
    "a:b": CHECK.replace('"id"', '"a:b":":","a:b" : "\\":","id"'),
    "": CHECK.replace('"id"', '"":1,"":2,"id"'),
}


def duplicate(name: str, id: object = 7) -> object:
    return error(
        -32600, "Invalid Request", f"The member {name!r} is given twice. Send it once.", id
    )


@pytest.mark.parametrize(("name", "body"), TWICE.items(), ids=TWICE)
@pytest.mark.parametrize("padding", [0, 70_000], ids=["short", "long"])
async def test_a_duplicate_member_is_an_invalid_request_with_its_id(
    shared_gateway: Gateway, name: str, body: str, padding: int
) -> None:
    assert await reply_to(shared_gateway, body.ljust(padding)) == duplicate(name)


@pytest.mark.parametrize("more", ['"id":7', '"id":8', '"id":null', '"\\u0069d":7'])
async def test_an_id_that_is_given_twice_cannot_be_read(shared_gateway: Gateway, more: str) -> None:
    assert await reply_to(shared_gateway, f"{CHECK[:-1]},{more}}}") == duplicate("id", None)


async def test_a_duplicate_member_does_not_stop_the_batch(shared_gateway: Gateway) -> None:
    bodies = [CHECK, TWICE["auth"], TWICE["deep"], CHECK, '[{"a":1,"a":1}]', '{"a":1,"a":1}']
    assert await reply_to(shared_gateway, f"[{','.join(bodies)}]") == [
        result(True, 7),
        duplicate("auth"),
        duplicate("deep"),
        result(True, 7),
        duplicate("a", None),
        duplicate("a", None),
    ]


@pytest.mark.parametrize("notified", ['"method":"users.check",', ""])
async def test_a_notification_with_a_duplicate_is_refused_without_an_id(
    shared_gateway: Gateway, notified: str
) -> None:
    body = f'{{"jsonrpc":"2.0",{notified}"method":"users.check","params":{{"a":1,"a":2}}}}'
    reply = await reply_to(shared_gateway, body)
    assert (reply["id"], reply["error"]["code"]) == (None, -32600)


@pytest.mark.parametrize(
    "params",
    [
        *('["a:b"]', '["\\":\\""]', '[":::"]', '{"username":"\\\\"}', '{"username":"{\\"a\\":1}"}'),
        *('["\\\\\\":"]', '{"username" : "a", "": {"": {"": ":"}}}'),
    ],
)
async def test_colons_and_braces_in_strings_are_no_members(
    shared_gateway: Gateway, params: str
) -> None:
    response = await post(shared_gateway, CHECK.replace('["alice"]', params))
    assert "twice" not in response.text
    assert response.json()["id"] == 7


async def test_objects_may_share_the_names_of_their_members(shared_gateway: Gateway) -> None:
    request = call("users.check", ["alice"], meta=[{"a": {"a": 1}}, {"a": 1}])
    response = await shared_gateway.client.post("/rpc", json=request)
    assert response.json() == result(True)
