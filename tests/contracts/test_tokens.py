"""Every implementation of tokens."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.credentials import KeyText, TokenClaims
from app.domain.ports import Tokens
from tests.fakes.ports import START, FakeClock

pytestmark = pytest.mark.anyio

CLAIMS = TokenClaims(
    user_id=2**63 - 1,
    session_id="5b1c0f4e-6a1f-4d7e-9c55-2f9d2f6f0a11",
    issued_at=START,
    expires_at=START + timedelta(days=7),
    token_id="0f8fad5b-d9cb-469f-a165-70867728950e",
)


async def test_a_token_says_what_was_issued(tokens: Tokens) -> None:
    assert await tokens.read(tokens.issue(CLAIMS)) == CLAIMS


async def test_each_token_says_its_own(tokens: Tokens) -> None:
    others = [replace(CLAIMS, user_id=n, token_id=CLAIMS.token_id[:-1] + str(n)) for n in (1, 2, 3)]
    issued = [tokens.issue(claims) for claims in others]
    assert [await tokens.read(token) for token in issued] == others


async def test_a_token_says_nothing_once_it_expired(
    tokens: Tokens, turned_clock: FakeClock
) -> None:
    token = tokens.issue(CLAIMS)
    turned_clock.turn(timedelta(days=7) - timedelta(milliseconds=1))
    assert await tokens.read(token) == CLAIMS
    turned_clock.turn(timedelta(milliseconds=1))
    assert await tokens.read(token) is None


async def test_a_token_contains_dots_and_is_no_access_key(tokens: Tokens) -> None:
    token = tokens.issue(CLAIMS)
    assert token.count(".") == 2
    assert KeyText.parse(token) is None


@pytest.mark.parametrize(
    "change", [str.upper, lambda t: t[:-1], lambda t: t + "x", lambda t: " " + t]
)
async def test_a_changed_token_says_nothing(tokens: Tokens, change: object) -> None:
    assert callable(change)
    assert await tokens.read(change(tokens.issue(CLAIMS))) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "null",
        "ABCDEFGH-1234-5678-0000-abcdefgh",
        "é.é.é",
        "\ud800",
        "x" * 9999,
    ],
    ids=lambda text: ascii(text)[:20],
)
async def test_any_other_text_says_nothing(tokens: Tokens, text: str) -> None:
    assert await tokens.read(text) is None
