"""The examples of the JSON-RPC 2.0 specification, section 7, in the words of our methods."""

import json

import pytest

from tests.gateway import Gateway
from tests.rpc.wire import (
    INVALID_REQUEST,
    NO_CREDENTIAL,
    PARSE_ERROR,
    error,
    refusal,
    reply_to,
    result,
    without_sentence,
)

pytestmark = pytest.mark.anyio

METHOD_NOT_FOUND = (-32601, "Method not found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '{"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": 1}',
            result(True, 1),
        ),
        (
            '{"jsonrpc": "2.0", "method": "users.check", "params": ["nobody"], "id": 2}',
            result(False, 2),
        ),
        (
            '{"jsonrpc": "2.0", "method": "users.check", "params": {"username": "alice"}, "id": 3}',
            result(True, 3),
        ),
        (
            '{"id": 4, "params": {"username": "nobody"}, "method": "users.check",'
            ' "jsonrpc": "2.0"}',
            result(False, 4),
        ),
    ],
)
async def test_a_call_is_answered_with_parameters_by_position_and_by_name(
    shared_gateway: Gateway, body: str, expected: object
) -> None:
    assert await reply_to(shared_gateway, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc": "2.0", "method": "users.check", "params": ["alice"]}',
        '{"jsonrpc": "2.0", "method": "foobar"}',
    ],
)
async def test_a_notification_has_no_reply(shared_gateway: Gateway, body: str) -> None:
    assert await reply_to(shared_gateway, body) is None


async def test_a_method_that_does_not_exist_is_not_found(shared_gateway: Gateway) -> None:
    body = '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}'
    reply = await reply_to(shared_gateway, body)
    assert without_sentence(reply) == error(*METHOD_NOT_FOUND, id="1")


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        '[{"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": "1"},'
        '{"jsonrpc": "2.0", "method"]',
    ],
)
async def test_invalid_json_is_a_parse_error(shared_gateway: Gateway, body: str) -> None:
    assert without_sentence(await reply_to(shared_gateway, body)) == PARSE_ERROR


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID_REQUEST),
        ("[]", INVALID_REQUEST),
        ("[1]", [INVALID_REQUEST]),
        ("[1,2,3]", [INVALID_REQUEST] * 3),
    ],
)
async def test_anything_but_a_request_is_an_invalid_request(
    shared_gateway: Gateway, body: str, expected: object
) -> None:
    assert without_sentence(await reply_to(shared_gateway, body)) == expected


async def test_a_mixed_batch_has_a_reply_for_each_part_but_the_notification(
    shared_gateway: Gateway,
) -> None:
    body = """[
        {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": "1"},
        {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"]},
        {"jsonrpc": "2.0", "method": "users.check", "params": ["nobody"], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "users.self", "id": "9"}
    ]"""
    assert without_sentence(await reply_to(shared_gateway, body)) == [
        result(True, "1"),
        result(False, "2"),
        INVALID_REQUEST,
        error(*METHOD_NOT_FOUND, id="5"),
        refusal(NO_CREDENTIAL, "9"),
    ]


async def test_a_batch_of_notifications_alone_has_no_reply(shared_gateway: Gateway) -> None:
    one = {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"]}
    assert await reply_to(shared_gateway, json.dumps([one, {**one, "method": "foobar"}])) is None
