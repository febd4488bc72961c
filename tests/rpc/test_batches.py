"""Batches: in their order, within their limits, without replies to notifications."""

import json
from typing import Any

import pytest

from app.rpc.exchange import ERROR_MAX, REPLIES_MAX
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway
from tests.rpc.wire import (
    INVALID_REQUEST,
    call,
    notification,
    refusal,
    result,
    send,
    without_sentence,
)

pytestmark = pytest.mark.anyio

# Ten of these may be in one batch, in whatever mixture.
EXPENSIVE = [
    ("users.create", ["bobby", PASSWORD]),
    ("users.auth", ["nobody", PASSWORD]),
    ("users.password", [PASSWORD, "another password"]),
]


def expensive(count: int) -> list[dict[str, Any]]:
    """So many expensive calls, each third of them a notification."""
    picked = [EXPENSIVE[number % 3] for number in range(count)]
    return [notification(*one) if n % 3 == 0 else call(*one, id=n) for n, one in enumerate(picked)]


async def test_the_calls_of_a_batch_are_done_in_their_order(gateway: Gateway) -> None:
    login = {"username": "carol", "password": PASSWORD}
    replies = await send(
        gateway,
        [
            call("users.check", ["carol"], id=1),
            call("users.create", login, id="two"),
            call("users.auth", login, id=3.5),
            call("users.check", ["carol"], id=None),
        ],
    )
    assert [reply["id"] for reply in replies] == [1, "two", 3.5, None]
    created, login_reply = replies[1]["result"], replies[2]["result"]
    assert login_reply["user_id"] == created["id"]
    assert (replies[0]["result"], replies[3]["result"]) == (False, True)


async def test_a_notification_is_done_before_the_call_that_follows_it(gateway: Gateway) -> None:
    create = notification("users.create", ["carol", PASSWORD])
    assert await send(gateway, [create, call("users.check", ["carol"])]) == [result(True)]


async def test_calls_of_a_batch_may_share_an_id(shared_gateway: Gateway) -> None:
    batch = [call("users.check", ["alice"]), call("users.check", ["nobody"])]
    assert await send(shared_gateway, batch) == [result(True), result(False)]


async def test_a_call_that_is_refused_does_not_stop_the_batch(shared_gateway: Gateway) -> None:
    batch = [
        call("users.create", ["alice", PASSWORD], id=1),
        call("foobar", id=2),
        call("users.check", id=3),
        [],
        call("users.check", ["alice"], id=4),
    ]
    replies = await send(shared_gateway, batch)
    assert replies[0] == refusal("User with username alice already exists")
    assert [reply.get("error", {}).get("code") for reply in replies[1:]] == [
        *(-32601, -32602, -32600),
        None,
    ]


async def test_a_batch_in_a_batch_is_an_invalid_request(shared_gateway: Gateway) -> None:
    replies = await send(shared_gateway, [[call("users.check", ["alice"])]])
    assert without_sentence(replies) == [INVALID_REQUEST]


async def test_a_batch_of_one_call_is_answered_with_an_array(shared_gateway: Gateway) -> None:
    assert await send(shared_gateway, [call("users.check", ["alice"])]) == [result(True)]


async def test_a_batch_has_up_to_a_hundred_calls(shared_gateway: Gateway) -> None:
    batch = [call("users.check", ["alice"], id=number) for number in range(100)]
    assert await send(shared_gateway, batch) == [result(True, number) for number in range(100)]


@pytest.mark.parametrize(
    "surplus", [call("users.check", ["alice"]), notification("users.check", ["alice"]), 1]
)
async def test_a_batch_of_a_hundred_and_one_is_refused_as_a_whole(
    shared_gateway: Gateway, surplus: object
) -> None:
    batch = [notification("users.check", ["alice"])] * 100
    assert await send(shared_gateway, batch) is None
    assert without_sentence(await send(shared_gateway, [*batch, surplus])) == INVALID_REQUEST


async def test_a_batch_has_up_to_ten_calls_that_hash_passwords(gateway: Gateway) -> None:
    batch = [*expensive(10), *[call("users.check", ["bobby"], id="check")] * 90]
    replies = await send(gateway, batch)
    assert len(replies) == 96
    assert replies[-1] == result(True, "check")


@pytest.mark.parametrize("surplus", range(3))
async def test_an_eleventh_call_that_hashes_refuses_the_batch_before_anything_is_done(
    gateway: Gateway, surplus: int
) -> None:
    batch = [*expensive(10), notification(*EXPENSIVE[surplus])]
    assert without_sentence(await send(gateway, batch)) == INVALID_REQUEST
    assert await gateway.rpc("users.check", ["bobby"]) == result(False)


async def test_odd_methods_do_not_disturb_the_counting_of_a_batch(shared_gateway: Gateway) -> None:
    batch = [{"method": []}, {"method": {}}, {"method": None}, {}, 1, None, "users.auth"] * 10
    assert without_sentence(await send(shared_gateway, batch)) == [INVALID_REQUEST] * 70


# ------------------------------------------------------------------- bytes of the replies

NO_ROOM = "The replies to this batch are too large; send the remaining calls in another one."


async def post_batch(gateway: Gateway, batch: list[Any], query: str = "") -> tuple[int, list[Any]]:
    """The size of the replies, and the replies."""
    response = await gateway.client.post(f"/rpc{query}", json=batch)
    return len(response.content), response.json()


@pytest.mark.parametrize("query", ["", "?errors=problem"])
async def test_the_replies_to_a_batch_have_a_megabyte_and_the_rest_is_overloaded(
    shared_gateway: Gateway, query: str
) -> None:
    size, replies = await post_batch(
        shared_gateway, [call("rpc.discover", id=number) for number in range(100)], query
    )
    assert size <= REPLIES_MAX
    assert [reply["id"] for reply in replies] == [*range(100)]
    answered = [reply for reply in replies if "result" in reply]
    assert replies[: len(answered)] == answered
    assert size > REPLIES_MAX - 2 * len(json.dumps(answered[0]["result"])) - 100 * ERROR_MAX
    refused = replies[-1]["error"]
    if query:
        assert (refused["code"], refused["data"]["status"]) == (-32020, 503)
    else:
        assert replies[-1] == refusal(NO_ROOM, 99)


async def test_nothing_is_done_once_the_replies_have_no_room_but_notifications(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.rpc.exchange.REPLIES_MAX", 5 * ERROR_MAX + 10)
    login = ["carol", PASSWORD]
    _, replies = await post_batch(
        gateway,
        [
            call("users.check", ["carol"], id=1),
            call("users.create", login, id=2),
            notification("users.create", ["david", PASSWORD]),
            call("users.check", ["david"], id=3),
            call("rpc.discover", id=4),
        ],
    )
    assert replies == [
        result(False, 1),
        refusal(NO_ROOM, 2),
        refusal(NO_ROOM, 3),
        refusal(NO_ROOM, 4),
    ]
    taken = [await gateway.rpc("users.check", [name]) for name in ("carol", "david")]
    assert [reply["result"] for reply in taken] == [False, True]


async def test_calls_that_are_done_together_share_what_room_there_is(
    shared_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.rpc.exchange.REPLIES_MAX", 3 * ERROR_MAX + 100)
    ask = {"auth": shared_gateway.admin_key}
    batch = [call("users.self", id=number, **ask) for number in range(3)]
    _, replies = await post_batch(shared_gateway, batch)
    assert "result" in replies[0]
    assert replies[1:] == [refusal(NO_ROOM, 1), refusal(NO_ROOM, 2)]
