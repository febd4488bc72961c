"""What a test needs of the machine, and what becomes of it without."""

import os

import pytest


def need(is_there: bool, sentence: str) -> None:
    """Skip the test out loud where a thing is missing, or fail with REQUIRE_SERVICES=1.

    The sentence says what it is and how to get it.
    """
    if is_there:
        return
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)
