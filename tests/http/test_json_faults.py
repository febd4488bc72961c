"""Hints for bodies that are not JSON: about the text at the place of the fault."""

import pytest

from app.http import json
from app.http.json_faults import kind_of, not_an_object


def sentence_of(body: str | bytes) -> str:
    content = body.encode() if isinstance(body, str) else body
    try:
        json.parse(content)
    except ValueError as error:
        return json.sentence(content, error)
    raise AssertionError("The body is JSON.")


def test_a_hint_follows_the_line_and_column_of_the_parser() -> None:
    assert "JSON has no comments" in sentence_of('{\n  "é": 1,\n  // here\n  "b": 2\n}')


def test_a_byte_order_mark_does_not_shift_the_place() -> None:
    assert "JSON has no comments" in sentence_of("\ufeff[/* x */]")


def test_a_curly_quote_inside_a_string_is_not_blamed_for_what_follows() -> None:
    assert "curly" not in sentence_of('{"a": "“x”", b: 1}')
    assert "curly" in sentence_of('{"a": "x”, "b": 1}')


def test_a_fault_behind_ten_thousand_lines_has_the_hint_of_its_message() -> None:
    assert "JSON has no comments" in sentence_of("\n" * 9_000 + "#")
    assert "Write strings in double quotes" in sentence_of("\n" * 10_001 + "#")


@pytest.mark.parametrize("body", [b"{\0}\0", b"\xff\xfe{\0}\0", b'{"a": "\xe9"}', b"\xff"])
def test_another_encoding_is_named(body: bytes) -> None:
    assert sentence_of(body).endswith("It is not UTF-8; encode it in UTF-8.")


def test_a_value_is_never_repeated() -> None:
    secret = "correct horse battery"
    texts = [f'{{"password": "{secret}"', f"password={secret}", f"'{secret}'", f'"{secret}" x']
    for text in texts:
        assert secret not in sentence_of(text)
    assert secret not in not_an_object("The body", secret)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_the_kind_of_a_value_is_named(value: object, kind: str) -> None:
    assert kind_of(value) == kind
