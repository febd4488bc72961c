"""A ready answer ends with the credential that it was given to, and not a moment later."""

from datetime import timedelta

import pytest

from tests.gateway import Gateway
from tests.security.forge import LET_IN, REFUSED, Forge, answers

pytestmark = pytest.mark.anyio

SOON = timedelta(seconds=30)


async def test_an_answer_for_a_token_ends_with_the_token(gateway: Gateway, forger: Forge) -> None:
    """Its session lives on."""
    ends = gateway.clock.now() + SOON
    token = forger.token(claims={"exp": int(ends.timestamp())})
    assert await answers(gateway, token) == {LET_IN}
    gateway.clock.turn(SOON - timedelta(milliseconds=1))
    assert await answers(gateway, token) == {LET_IN}
    gateway.clock.turn(timedelta(milliseconds=1))
    (answer,) = await answers(gateway, token)
    assert answer[0] == 401


async def test_an_answer_for_a_key_ends_with_the_key(gateway: Gateway) -> None:
    token = await gateway.user("alice")
    ends = (gateway.clock.now() + SOON).isoformat()
    made = await gateway.rpc("keys.create", {"name": "x", "expires_at": ends}, token)
    key = made["result"]["key"]
    # A change notes the use of the key at once, and an answer is kept only after that.
    assert "result" in await gateway.rpc("users.update", {"display_name": "Alice"}, key)
    assert await answers(gateway, key) == {LET_IN}
    gateway.clock.turn(SOON - timedelta(milliseconds=1))
    assert await answers(gateway, key) == {LET_IN}
    gateway.clock.turn(timedelta(milliseconds=1))
    assert await answers(gateway, key) == {REFUSED}
