"""Batches: in their order, within their limits, without replies to notifications."""

from typing import Any

import pytest

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


async def test_calls_of_a_batch_may_share_an_id(door: Gateway) -> None:
    batch = [call("users.check", ["alice"]), call("users.check", ["nobody"])]
    assert await send(door, batch) == [result(True), result(False)]


async def test_a_call_that_is_refused_does_not_stop_the_batch(door: Gateway) -> None:
    batch = [
        call("users.create", ["alice", PASSWORD], id=1),
        call("foobar", id=2),
        call("users.check", id=3),
        [],
        call("users.check", ["alice"], id=4),
    ]
    replies = await send(door, batch)
    assert replies[0] == refusal("User with username alice already exists")
    assert [reply.get("error", {}).get("code") for reply in replies[1:]] == [
        *(-32601, -32602, -32600),
        None,
    ]


async def test_a_batch_in_a_batch_is_an_invalid_request(door: Gateway) -> None:
    replies = await send(door, [[call("users.check", ["alice"])]])
    assert without_sentence(replies) == [INVALID_REQUEST]


async def test_a_batch_of_one_call_is_answered_with_an_array(door: Gateway) -> None:
    assert await send(door, [call("users.check", ["alice"])]) == [result(True)]


async def test_a_batch_has_up_to_a_hundred_calls(door: Gateway) -> None:
    batch = [call("users.check", ["alice"], id=number) for number in range(100)]
    assert await send(door, batch) == [result(True, number) for number in range(100)]


@pytest.mark.parametrize(
    "surplus", [call("users.check", ["alice"]), notification("users.check", ["alice"]), 1]
)
async def test_a_batch_of_a_hundred_and_one_is_refused_as_a_whole(
    door: Gateway, surplus: object
) -> None:
    batch = [notification("users.check", ["alice"])] * 100
    assert await send(door, batch) is None
    assert without_sentence(await send(door, [*batch, surplus])) == INVALID_REQUEST


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


async def test_odd_methods_do_not_disturb_the_counting_of_a_batch(door: Gateway) -> None:
    batch = [{"method": []}, {"method": {}}, {"method": None}, {}, 1, None, "users.auth"] * 10
    assert without_sentence(await send(door, batch)) == [INVALID_REQUEST] * 70
