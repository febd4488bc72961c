"""Events as lines that a pipe takes in one piece."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.logs.lines import json_line
from app.logs.writer import LINE_MAX

SHORT = {"event": "request", "level": "info", "status": 200}


def test_an_event_that_fits_is_written_whole() -> None:
    assert json.loads(json_line(SHORT)) == SHORT


@pytest.mark.parametrize(
    "value",
    [
        "a" * 7000,
        "灯" * 3000,
        "\n" * 4000,
        "\ud800" * 2000,
        "a" * 1_000_000,
        ["users.create"] * 1000,
        [{"frames": [{"name": f"frame{n}", "line": "x" * 80} for n in range(100)]}],
        {"inner": {"innermost": "x" * 9000}},
        10**5000,
    ],
    ids=["text", "wide", "escaped", "surrogates", "huge", "list", "traceback", "object", "number"],
)
def test_a_long_member_is_cut_and_named(value: Any) -> None:
    line = json_line({**SHORT, "path": value, "request_id": "abc"})
    assert len(line) < LINE_MAX
    shown = json.loads(line)
    assert shown.pop("cut") == ["path"]
    assert shown.pop("path", None) != value
    assert shown == {**SHORT, "request_id": "abc"}


def test_of_a_traceback_the_last_frames_stay() -> None:
    frames = [{"name": f"frame{n}", "line": "x" * 80} for n in range(100)]
    shown = json.loads(json_line({"exception": [{"exc_type": "ValueError", "frames": frames}]}))
    (exception,) = shown["exception"]
    assert exception["exc_type"] == "ValueError"
    assert exception["frames"][-1] == frames[-1]
    assert len(exception["frames"]) > 10


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3000),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=40,
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=20), JSON, max_size=20))
def test_whatever_an_event_has_its_line_fits(event: dict[str, Any]) -> None:
    line = json_line(event)
    assert len(line) < LINE_MAX
    assert b"\n" not in line
    json.loads(line)
