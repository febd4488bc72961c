"""The header Idempotency-Key, and the header that marks a repeated response, for both APIs."""

from collections.abc import Sequence
from typing import Any

from app.domain.errors import FieldError, InvalidInput
from app.domain.idempotency import IdempotencyKey
from app.domain.text import ASCII, Pattern
from app.operations.framework.idempotency import HEADER
from app.operations.views.results import Created

KEY_MAX = 255
# Visible ASCII as a structured field's string (RFC 9651 section 3.3.3), or without
# quotes, as clients sent keys before there was a draft; then without separators.
_STRING = rf'"(?:[!#-\[\]-~]|\\["\\]){{1,{KEY_MAX}}}"'
_BARE = rf"[!#-+\--:<-\[\]-~]{{1,{KEY_MAX}}}"
_KEY = Pattern(f"{_STRING}|{_BARE}", 2 * KEY_MAX + 2, ASCII)
_ESCAPED = Pattern(r'\\(["\\])', 2 * KEY_MAX)

REPLAYED = "Idempotent-Replayed"
REPLAYED_TEXT = "`true` where this repeats the answer to an earlier request with the same key."
KEY_SCHEMA: dict[str, Any] = {
    "type": "string",
    "description": (
        "A name of your own for this request, such as a random UUID. Sent again with the same key "
        "within 24 hours, the same request is answered as at first and does nothing more."
    ),
    "pattern": f"^(?:{_STRING}|{_BARE})$",
    "maxLength": 2 * KEY_MAX + 2,
    "examples": ['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
}


def idempotency_key(sent: Sequence[str]) -> IdempotencyKey | None:
    """Return the key in the lines of the header, or None. Raises InvalidInput."""
    if not sent:
        return None
    text = sent[0].strip(" \t")
    if len(sent) > 1 or not _KEY.fullmatch(text):
        reason = f"must be one string of 1 to {KEY_MAX} visible ASCII characters, such as a UUID"
        raise InvalidInput.for_fields(FieldError(HEADER, reason, "header"))
    return IdempotencyKey(_ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text)


def is_replay(result: object) -> bool:
    """Return whether the result is the response to an earlier request."""
    return isinstance(result, Created) and result.is_repeated


def replayed(created: Created[Any]) -> dict[str, str]:
    """Return the headers that mark a repeated response."""
    return {REPLAYED: "true"} if is_replay(created) else {}
