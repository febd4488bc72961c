"""Programs and services that a test needs; without them it is skipped or fails."""

import os
from typing import NoReturn

import pytest


def need(is_there: bool, sentence: str) -> None:
    """Do without nothing: `missing`, unless it is there."""
    if not is_there:
        missing(sentence)


def missing(sentence: str) -> NoReturn:
    """Skip the test out loud, or fail with REQUIRE_SERVICES=1.

    The sentence says what is missing and how to get it.
    """
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
