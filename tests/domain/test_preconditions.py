"""If-Match and If-None-Match against the entity tag of what is there."""

import pytest

from app.domain.errors import InvalidInput, PreconditionFailed
from app.domain.preconditions import Preconditions

ETAG = '"3-1"'
MALFORMED = ["", " ", ",", "x", "3-1", '"3-1', '3-1"', '"3-1" "x"', '"a"b', "**", '*, "x"', "W/"]
MALFORMED += ['w/"3-1"', 'W/ "3-1"', '"a\x7f"', '"\t"', "'3-1'", f"{ETAG}," * 2000]


@pytest.mark.parametrize("text", ["{}", "*", " * ", '"x", {}', '{},"x"', '"x" ,, {},', '"a,b",{}'])
def test_if_match_is_met_by_the_tag_in_its_list(text: str) -> None:
    Preconditions(text.format(ETAG)).require(ETAG)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        *(('"x"', "has changed;"), ('"x", "y"', "has changed;"), ('""', "has changed;")),
        *(("W/{}", "weak"), ('W/{}, "x"', "weak"), ('"x", W/"x"', "weak")),
    ],
)
def test_if_match_is_not_met_by_other_and_weak_tags(text: str, sentence: str) -> None:
    with pytest.raises(PreconditionFailed, match=sentence):
        Preconditions(text.format(ETAG)).require(ETAG)


@pytest.mark.parametrize("text", ['"x"', 'W/"x"', '"x", "y"'])
def test_if_none_match_is_met_by_other_tags(text: str) -> None:
    Preconditions(if_none_match=text).require(ETAG)


@pytest.mark.parametrize("text", ["{}", "W/{}", "*", '"x", {}', '"x",W/{}'])
def test_if_none_match_is_not_met_by_the_tag_in_its_list(text: str) -> None:
    with pytest.raises(PreconditionFailed, match="If-None-Match"):
        Preconditions(if_none_match=text.format(ETAG)).require(ETAG)


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:12]))
def test_a_malformed_list_is_invalid_input(text: str) -> None:
    for conditions in (Preconditions(text), Preconditions(if_none_match=text)):
        with pytest.raises(InvalidInput, match="double quotes"):
            conditions.require(ETAG)


def test_if_match_comes_first_and_both_must_hold() -> None:
    Preconditions(ETAG, '"x"').require(ETAG)
    for conditions in (Preconditions('"x"', '"x"'), Preconditions(ETAG, ETAG)):
        with pytest.raises(PreconditionFailed):
            conditions.require(ETAG)
