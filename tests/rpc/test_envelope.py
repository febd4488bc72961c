"""The members of a request: jsonrpc, id, method, params, auth, and unknown ones."""

import json
from typing import Any

import pytest

from app.domain.errors import CredentialFault
from tests.gateway import Gateway
from tests.rpc.wire import (
    INVALID_REQUEST,
    NO_CREDENTIAL,
    call,
    error,
    post,
    refusal,
    reply_to,
    result,
    send,
    without_sentence,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "id_text",
    [
        *("0", "1", "-1", "1.5", "-2.25", "1.0", "9007199254740993", "-18446744073709551617"),
        *("9" * 400, '"1"', '""', '" "', '"\\u0000"', '"名字 🎈"', '"a\\"b\\\\c"', "null"),
    ],
)
async def test_an_id_comes_back_exactly_as_it_was_sent(
    shared_gateway: Gateway, id_text: str
) -> None:
    body = f'{{"jsonrpc":"2.0","method":"users.check","params":["alice"],"id":{id_text}}}'
    reply = (await post(shared_gateway, body)).content.decode()
    assert reply == f'{{"jsonrpc":"2.0","id":{id_text},"result":true}}'


@pytest.mark.parametrize("id_text", ["true", "false", "[]", "[1]", "{}", '{"id":1}'])
async def test_an_id_of_another_type_is_an_invalid_request(
    shared_gateway: Gateway, id_text: str
) -> None:
    body = f'{{"jsonrpc":"2.0","method":"users.check","params":["alice"],"id":{id_text}}}'
    assert without_sentence(await reply_to(shared_gateway, body)) == INVALID_REQUEST


async def test_a_call_with_the_id_null_is_no_notification(shared_gateway: Gateway) -> None:
    assert await send(shared_gateway, call("users.check", ["alice"], id=None)) == result(True, None)


@pytest.mark.parametrize("version", ["2", "1.0", "2.00", "", 2.0, 2, None, True, ["2.0"]])
async def test_another_version_of_json_rpc_is_an_invalid_request(
    shared_gateway: Gateway, version: object
) -> None:
    reply = await send(shared_gateway, call("users.check", ["alice"], jsonrpc=version, id=7))
    assert without_sentence(reply) == {**INVALID_REQUEST, "id": 7}


@pytest.mark.parametrize("missing", ["jsonrpc", "method"])
async def test_a_request_without_its_version_or_method_is_none(
    shared_gateway: Gateway, missing: str
) -> None:
    request = call("users.check", ["alice"], id="seven")
    del request[missing]
    assert without_sentence(await send(shared_gateway, request)) == {
        **INVALID_REQUEST,
        "id": "seven",
    }


@pytest.mark.parametrize("method", [None, 1, True, ["users.check"], {"name": "users.check"}])
async def test_a_method_that_is_no_string_is_an_invalid_request(
    shared_gateway: Gateway, method: object
) -> None:
    reply = await send(shared_gateway, call("users.check", ["alice"], method=method, id=7))
    assert without_sentence(reply) == {**INVALID_REQUEST, "id": 7}


@pytest.mark.parametrize(
    "method",
    ["", "users", "Users.Check", "users.check ", "__class__", "users.create\u0000", "用户"],
)
async def test_a_method_goes_by_its_exact_name(shared_gateway: Gateway, method: str) -> None:
    reply = await send(shared_gateway, call(method, ["alice"]))
    assert reply["error"]["data"].startswith(f"There is no method {method!r}.")
    assert without_sentence(reply) == error(-32601, "Method not found")


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("users.chek", "There is no method 'users.chek'. The nearest is 'users.check'."),
        ("USERS.CHECK", "There is no method 'USERS.CHECK'. The nearest is 'users.check'."),
        ("rpc.discovery", "There is no method 'rpc.discovery'. The nearest is 'rpc.discover'."),
        ("user.self", "There is no method 'user.self'. The nearest is 'users.self'."),
        ("foobar", "There is no method 'foobar'. Call 'rpc.discover' for all methods."),
        (
            "x" * 500_000,
            f"There is no method '{'x' * 64}'. Call 'rpc.discover' for all methods.",
        ),
    ],
)
async def test_an_unknown_method_is_named_with_the_nearest_one(
    shared_gateway: Gateway, method: str, sentence: str
) -> None:
    assert await send(shared_gateway, call(method)) == error(-32601, "Method not found", sentence)


@pytest.mark.parametrize("params", [True, False, 0, 1.5, "alice", ""])
async def test_params_that_are_neither_object_nor_array_are_an_invalid_request(
    shared_gateway: Gateway, params: object
) -> None:
    reply = await send(shared_gateway, call("users.check", params, id=7))
    assert without_sentence(reply) == {**INVALID_REQUEST, "id": 7}


@pytest.mark.parametrize("sent", [{"params": None}, {}, {"params": {}}, {"params": []}])
async def test_params_may_be_null_absent_or_empty_where_there_are_none(
    shared_gateway: Gateway, sent: dict[str, Any]
) -> None:
    request = {
        "jsonrpc": "2.0",
        "method": "users.self",
        "id": 1,
        "auth": shared_gateway.admin_key,
        **sent,
    }
    assert (await send(shared_gateway, request))["result"]["username"] == "admin"


@pytest.mark.parametrize("params", [None, [], {}])
async def test_params_that_are_null_lack_what_is_required(
    shared_gateway: Gateway, params: object
) -> None:
    reply = await send(shared_gateway, call("users.check", params))
    assert reply["error"]["code"] == -32602


@pytest.mark.parametrize(
    "unknown", [{"meta": {"trace": [1]}}, {"Auth": 1}, {"error": 1, "result": 2}, {"": None}]
)
async def test_unknown_members_of_the_envelope_are_ignored(
    shared_gateway: Gateway, unknown: dict[str, Any]
) -> None:
    assert await send(shared_gateway, call("users.check", ["alice"], **unknown)) == result(True)


@pytest.mark.parametrize("value", [None, 1, "users.check", True, 1.5])
async def test_a_body_that_is_neither_object_nor_array_is_an_invalid_request(
    shared_gateway: Gateway, value: object
) -> None:
    assert without_sentence(await reply_to(shared_gateway, json.dumps(value))) == INVALID_REQUEST


# ---------------------------------------------------------------------------- auth


async def whose(gateway: Gateway, headers: dict[str, str] | None = None, **members: Any) -> Any:
    """Return the username of the caller, or the error."""
    reply = await send(gateway, call("users.self", **members), headers=headers or {})
    return reply["result"]["username"] if "result" in reply else reply


@pytest.mark.parametrize("header", ["X-Access-Token", "Authorization"])
@pytest.mark.parametrize("members", [{}, {"auth": None}])
async def test_without_auth_the_header_counts(
    shared_gateway: Gateway, header: str, members: dict[str, Any]
) -> None:
    scheme = "Bearer " if header == "Authorization" else ""
    assert (
        await whose(shared_gateway, {header: scheme + shared_gateway.admin_key}, **members)
        == "admin"
    )


async def test_auth_takes_a_token_and_an_access_key(shared_gateway: Gateway) -> None:
    token = await shared_gateway.log_in("alice")
    assert await whose(shared_gateway, auth=token) == "alice"
    assert await whose(shared_gateway, auth=shared_gateway.admin_key) == "admin"


async def test_auth_wins_over_the_header(shared_gateway: Gateway) -> None:
    token = await shared_gateway.log_in("alice")
    assert (
        await whose(shared_gateway, {"X-Access-Token": shared_gateway.admin_key}, auth=token)
        == "alice"
    )


@pytest.mark.parametrize("auth", ["", "nonsense", "Bearer x", "a.b.c"])
async def test_auth_that_opens_nothing_wins_over_the_header_too(
    shared_gateway: Gateway, auth: str
) -> None:
    reply = await whose(shared_gateway, {"X-Access-Token": shared_gateway.admin_key}, auth=auth)
    assert reply["error"]["data"] in {*CredentialFault}


@pytest.mark.parametrize("auth", [True, False, 0, 1.5, [], ["key"], {}, {"token": "key"}])
async def test_auth_of_another_type_is_an_invalid_request(
    shared_gateway: Gateway, auth: object
) -> None:
    reply = await send(shared_gateway, call("users.check", ["alice"], auth=auth, id=7.5))
    assert without_sentence(reply) == {**INVALID_REQUEST, "id": 7.5}


async def test_the_id_of_an_invalid_request_comes_back_in_batches_too(
    shared_gateway: Gateway,
) -> None:
    valid = call("users.check", ["alice"])
    batch = [
        {**valid, "params": "x", "id": 7},
        {**valid, "auth": [], "id": "eight"},
        {**valid, "jsonrpc": 2, "id": None},
        {**valid, "method": None, "id": [9]},
        {**valid, "id": 10},
    ]
    replies = await send(shared_gateway, batch)
    assert [reply["id"] for reply in replies] == [7, "eight", None, None, 10]
    assert [reply.get("error", {}).get("code") for reply in replies] == [*[-32600] * 4, None]


async def test_a_public_method_ignores_a_credential_that_opens_nothing(
    shared_gateway: Gateway,
) -> None:
    request = call("users.check", ["alice"], auth="stale")
    headers = {"X-Access-Token": "stale, too"}
    assert await send(shared_gateway, request, headers=headers) == result(True)


async def test_each_call_of_a_batch_has_its_own_auth(shared_gateway: Gateway) -> None:
    token = await shared_gateway.log_in("alice")
    auths = [token, shared_gateway.admin_key, None, "a.b.c"]
    batch = [call("users.self", auth=auth, id=n) for n, auth in enumerate(auths)]
    replies = await send(shared_gateway, batch)
    assert [reply["result"]["username"] for reply in replies[:2]] == ["alice", "admin"]
    assert replies[2:] == [refusal(NO_CREDENTIAL, 2), refusal(CredentialFault.INVALID, 3)]
