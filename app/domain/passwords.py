"""The password policy: validation, and the form of a password that is hashed."""

from functools import cache
from pathlib import Path

from app.domain.emoji import prepare_around_emoji
from app.domain.errors import WeakPassword
from app.domain.names import Username, email_key
from app.domain.text import DisallowedError, PrecisProfile, TextTooLongError, bounded, nfc

PASSWORD_MIN, PASSWORD_MAX = 8, 128
# A character has at most four code points in NFD.
_RAW_MAX = PASSWORD_MAX * 4

_OPAQUE = PrecisProfile("OpaqueString", PASSWORD_MAX)
_LENGTH = f"A password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters"


def validate_new_password(raw: str, *, username: str, email: str | None) -> str:
    """Prepare a password to be set. Raises WeakPassword, which says what rule was broken.

    RFC 8265 section 4.2 (OpaqueString) with emoji, then 8 to 128 code points; not a common
    password, not the username, not the e-mail address. Never trimmed and never truncated.
    """
    try:
        prepared = _prepared(raw)
    except TextTooLongError:
        raise WeakPassword(_LENGTH) from None
    except DisallowedError as error:
        raise WeakPassword(f"A password must not contain {error.rule}") from None
    if len(prepared) < PASSWORD_MIN:
        raise WeakPassword(_LENGTH)
    if f"\n{prepared.casefold()}\n" in _common_passwords():
        raise WeakPassword("This password is too common; choose another one")
    is_name = (name := Username.try_parse(prepared)) is not None and name.value == username
    if is_name or (email is not None and email_key(prepared) == email_key(email)):
        raise WeakPassword("A password must be neither the username nor the e-mail address")
    return prepared


def normalize_password(raw: str) -> str | None:
    """Return the form of a password to verify; None if no account can have it.

    NFC and NFD forms of a password are the same.
    """
    try:
        return _prepared(raw) or None
    except (TextTooLongError, DisallowedError):
        return None


def _prepared(raw: str) -> str:
    """Apply OpaqueString around emoji. Raises TextTooLongError, DisallowedError."""
    if not raw:
        return raw
    return bounded(prepare_around_emoji(_OPAQUE.enforce, nfc(raw, _RAW_MAX)), PASSWORD_MAX)


@cache
def _common_passwords() -> str:
    """Return the common passwords, each between line feeds: a set would take ten times as much."""
    text = Path(__file__).with_name("common_passwords.txt").read_text("utf-8")
    passwords = (line for line in text.splitlines() if not line.startswith("#"))
    return "\n".join(("", *passwords, ""))
