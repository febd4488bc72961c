"""Quoting of requests: clipped, and without credentials."""

import pytest

from app.domain.credentials import TOKEN_MAX
from app.domain.quoting import LEFT_OUT, QUOTED_MAX, SEARCHED_MAX, clip, quote

KEY = "Q7WXM2PL-8sKe-Zt4v-Hb1n-9rTqLw3c"
TOKEN = f"{'a' * 40}.{'b' * 80}.{'c' * 86}"


@pytest.mark.parametrize("secret", [KEY, TOKEN])
@pytest.mark.parametrize("around", ["{}", "users.{}", "{} x", "x{}"])
def test_a_text_with_a_credential_is_left_out(secret: str, around: str) -> None:
    assert clip(around.format(secret)) == LEFT_OUT


def test_a_credential_behind_the_end_of_the_quoted_part_is_found() -> None:
    assert clip("x" * QUOTED_MAX + " " + KEY) == LEFT_OUT


def test_a_credential_far_behind_it_is_not_searched() -> None:
    """Each of many names in a body may be long."""
    assert clip("x" * SEARCHED_MAX + " " + KEY) == "x" * QUOTED_MAX


def test_the_longest_token_is_found_where_the_quoted_part_ends() -> None:
    rest = TOKEN_MAX - 3 - len("a" * 40 + "c" * 86)
    token = f"{'a' * 40}.{'b' * rest}.{'c' * 86}x"
    assert len(token) == TOKEN_MAX
    assert clip(" " * (QUOTED_MAX - 1) + token) == LEFT_OUT


@pytest.mark.parametrize("text", ["users.check", "", "7c9e6679-7425-40de-944b-e07fc1f90ae7"])
def test_any_other_text_is_repeated(text: str) -> None:
    assert clip(text) == text


def test_a_long_text_is_clipped_and_control_characters_are_escaped() -> None:
    assert quote("x" * 1000) == f"'{'x' * QUOTED_MAX}'"
    assert quote("a\nb") == "'a\\nb'"
