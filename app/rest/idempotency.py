"""The header Idempotency-Key, and how an answer says that it is repeated."""

import re
from collections.abc import Sequence
from typing import Any

from app.domain.errors import Flaw, InvalidInput
from app.usecases.idempotency import HEADER
from app.usecases.views import Created

KEY_MAX = 255
# Visible ASCII as a structured field's string (RFC 9651 section 3.3.3), or as it is, which is how
# clients sent keys before there was a draft; there without what would end or begin something else.
_STRING = rf'"(?:[!#-\[\]-~]|\\["\\]){{1,{KEY_MAX}}}"'
_BARE = rf"[!#-+\--:<-\[\]-~]{{1,{KEY_MAX}}}"
_KEY = re.compile(f"{_STRING}|{_BARE}", re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')

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


def idempotency_key(sent: Sequence[str]) -> str | None:
    """The key in the lines of the header; None where there is none. Raises InvalidInput."""
    if not sent:
        return None
    text = sent[0].strip(" \t")
    if len(sent) > 1 or not _KEY.fullmatch(text):
        reason = f"must be one string of 1 to {KEY_MAX} visible ASCII characters"
        raise InvalidInput.of(Flaw(HEADER, reason, "header"))
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def replayed(created: Created[Any]) -> dict[str, str]:
    """What the answer's headers say of it."""
    return {REPLAYED: "true"} if created.is_repeated else {}
