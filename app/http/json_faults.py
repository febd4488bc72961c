"""Sentences for bodies that are not JSON, or another JSON value than the API needs."""

from typing import Any

from app.domain.text import Pattern

# How much of a body is looked at for a hint.
_SHOWN_MAX = 256
# To find a later line takes too long.
_LINES_MAX = 10_000
# How far before the fault a curly quote may be.
_NEAR = 64
_PLACE = Pattern(r"(?s).* at line (\d+) column (\d+)", 1024)
_FORM = Pattern(rb"(?s)[\w.\[\]%-]+=.*", _SHOWN_MAX)
_WORD = Pattern(rb"[-+]?\w*", _SHOWN_MAX)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")
_GZIP = b"\x1f\x8b"
_QUOTES = 'Write names and strings in double quotes (").'
_STRAIGHT = 'Write straight double quotes (") instead of curly ones.'
_SURROGATES = (
    "Write both halves of a surrogate pair (\\ud83d\\ude00), or the character itself in UTF-8."
)
# What a body looks like from its beginning, and what to send instead.
_COMPRESSED = "It is compressed; send it uncompressed."
_NOT_UTF_8 = "It is not UTF-8; encode it in UTF-8."
_MARKUP = "It is XML or HTML; send a JSON object."
_IS_FORM = 'It is a form (name=value); send a JSON object, such as {"name": "value"}.'
_EMPTY = "It is empty; send a JSON object."
_TOO_MUCH = "there are too many"
# What to do about the parser's message, where the text at its place does not tell more.
_BY_MESSAGE = {
    "trailing comma": "Remove the comma before the closing bracket.",
    "EOF while parsing a string": "The text is incomplete: a closing double quote is missing.",
    "EOF while parsing": "The text is incomplete: a closing bracket is missing.",
    "trailing characters": "Send one JSON value and nothing after it.",
    "control character": "Inside a string, write a line break as \\n and a tab as \\t.",
    "invalid escape": "Inside a string, write a backslash as \\\\, and a single quote without one.",
    "invalid number": "Write numbers in decimal digits, without leading zeros.",
    "hex escape": _SURROGATES,
    "surrogate": _SURROGATES,
    "recursion limit": "The value is nested too deeply; at most 200 levels are read.",
    _TOO_MUCH: "Send less at once.",
    "number is too large": "No number may exceed 1.8e308 (IEEE 754).",
    "expected `:`": "Write a colon between a name and its value.",
    "expected `,`": 'A comma is missing, or a double quote inside a string is not written as \\".',
    "key must be": _QUOTES,
    "expected value": "Write strings in double quotes; every other value is a number, true, false, "
    "null, an object or an array.",
}
# What is written at the place of the fault in other languages, and what to write in JSON.
_BY_WORD = {
    **dict.fromkeys((b"None", b"nil"), "Write null."),
    **dict.fromkeys(
        (b"True", b"False", b"TRUE", b"FALSE", b"NULL", b"Null"),
        "Write true, false and null in lower case.",
    ),
    **dict.fromkeys((b"yes", b"no", b"on", b"off"), "Write true or false."),
    b"undefined": "The value is undefined in the program; leave the member out, or send null.",
    b"NaN": "NaN is not a JSON number; leave the member out, or send null.",
    **dict.fromkeys(
        (b"Infinity", b"-Infinity"),
        "Infinity is not a JSON number; leave the member out, or send null.",
    ),
}
_CURLY = tuple(char.encode() for char in "“”„‘’")
_INVISIBLE = tuple(char.encode() for char in "\u00a0\u200b\u2028\ufeff")
_BY_START = (
    ((b"'", b"`"), _QUOTES),
    (_CURLY, _STRAIGHT),
    (_INVISIBLE, "Remove the invisible character here; JSON has plain spaces only."),
    ((b"//", b"/*", b"#"), "JSON has no comments; remove them."),
    ((b"+",), "Write numbers without a plus sign."),
    ((b".",), "Write a digit before the decimal point."),
    ((b";",), "Separate members by commas."),
    ((b":",), "Begin an object with an opening brace."),
)
# Messages about the text at their place, where the text tells more.
_ABOUT_TEXT = ("expected ", "key must be", "trailing characters", "EOF while parsing a string")
# Messages about the end of a string; a curly quote is part of the string.
_ABOUT_END = ("expected `,`", "EOF while parsing a string")
_IN_DIGITS = Pattern(rb"0[xXoObB].*", _SHOWN_MAX)


def hint(body: bytes, error: ValueError) -> str:
    """Return what to do about a body that is not JSON, for an error of the parser."""
    head = body[:_SHOWN_MAX]
    if not body.strip():
        return _EMPTY
    if (message := str(error)).startswith(_TOO_MUCH):
        return _BY_MESSAGE[_TOO_MUCH]
    if head.startswith(_GZIP):
        return _COMPRESSED
    if head.startswith(_UTF_16) or not _is_utf_8(body):
        return _NOT_UTF_8
    if head.lstrip().startswith(b"<"):
        return _MARKUP
    if _FORM.fullmatch(head.strip()):
        return _IS_FORM
    found = _PLACE.fullmatch(message)
    line, column = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    if 0 < line <= _LINES_MAX and message.startswith(_ABOUT_TEXT):
        here = _hint_at(body, line, column, is_end=message.startswith(_ABOUT_END))
        if here is not None:
            return here
    return next((text for part, text in _BY_MESSAGE.items() if part in message), _QUOTES)


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _hint_at(body: bytes, line: int, column: int, *, is_end: bool) -> str | None:
    """Return what to do about the text at a line and column, both counted from 1.

    `is_end`: a string may not have been closed before.
    """
    start = 0
    for _ in range(line - 1):
        start = body.find(b"\n", start) + 1
    at = max(start + column - 1, 0)
    here = body[at : at + _SHOWN_MAX]
    for starts, text in _BY_START:
        if here.startswith(starts):
            return text
    if _IN_DIGITS.match(body[max(at - 1, 0) : at + 1]):
        return _BY_MESSAGE["invalid number"]
    if is_end and any(quote in body[max(at - _NEAR, 0) : at] for quote in _CURLY):
        return _STRAIGHT
    word = _WORD.match(here)
    return None if word is None else _BY_WORD.get(word[0])


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value, with its article; never the value itself."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def not_an_object(what: str, value: Any) -> str:
    """Return the sentence for another JSON value where `what` must be an object."""
    sentence = f"{what} must be a JSON object ({{…}}), not {kind_of(value)}."
    if type(value) is str and _is_object(value):
        return f"{sentence} It was encoded twice: send the object itself, not a string of it."
    if value == []:
        return f"{sentence} PHP writes an empty array as []; encode (object) [] instead."
    return sentence


def _is_object(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}
