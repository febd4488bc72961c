"""Usernames, display names and e-mail addresses: valid once constructed."""

import re
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from email_validator import EmailNotValidError, validate_email
from precis_i18n import get_profile

from app.domain.errors import Flaw, InvalidEmail, InvalidInput, InvalidUsername
from app.domain.ts39 import is_highly_restrictive, skeleton

USERNAME_MIN, USERNAME_MAX = 4, 16
DISPLAY_NAME_MAX = 32
ALWAYS_RESERVED = frozenset({"admin", "auth", "self", "root", "system", "support", "moderator"})

_USERNAME = get_profile("UsernameCaseMapped")
# RFC 8266 maps case only to compare nicknames; what is shown keeps its case.
_NICKNAME = get_profile("NicknameCasePreserved")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,14}[A-Za-z0-9]", re.ASCII)
_SPACES = re.compile(" +")
_EMAIL_MAX = 1024


@dataclass(frozen=True, slots=True)
class Username:
    """A username as it is stored and shown, and the TS 39 skeleton that makes it unique.

    RFC 8265 section 3.3 (UsernameCaseMapped), narrowed to 4 to 16 code points after mapping:
    letters with their marks, digits, `_`, `-`, `.`; a letter, mark or digit at both ends; scripts
    mixed no further than 'highly restrictive' (Unicode TS 39 section 5.2).
    """

    value: str
    skeleton: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Map and check `raw`; raise InvalidUsername saying which rule it breaks."""
        if raw.isascii() and _PLAIN.fullmatch(raw):
            # All the rules below say yes to these, and map no more than their case.
            return cls(value := raw.lower(), skeleton(value))
        value = _mapped(raw)
        if not USERNAME_MIN <= len(value) <= USERNAME_MAX:
            raise InvalidUsername(
                f"A username must have {USERNAME_MIN} to {USERNAME_MAX} characters, "
                f"this one has {len(value)}"
            )
        if not all(_is_letter_mark_or_digit(c) or c in "_-." for c in value):
            raise InvalidUsername("A username may have letters, digits, '_', '-' and '.' alone")
        if not (_is_letter_mark_or_digit(value[0]) and _is_letter_mark_or_digit(value[-1])):
            raise InvalidUsername("A username must begin and end with a letter or digit")
        if not is_highly_restrictive(value):
            raise InvalidUsername("A username must not mix scripts that are easily confused")
        return cls(value, skeleton(value))

    @classmethod
    def find(cls, raw: str) -> Self | None:
        """The name somebody may mean by `raw`, or None where no account can have it."""
        try:
            return cls.parse(raw)
        except InvalidUsername:
            return None


@dataclass(frozen=True, slots=True)
class ReservedNames:
    """The names that only an admin may give out: the built-in ones and the configured ones."""

    names: frozenset[str]
    skeletons: frozenset[str]

    @classmethod
    def of(cls, configured: Collection[str]) -> Self:
        """Reserve `configured` beside the built-in names; each is compared as usernames are."""
        names = ALWAYS_RESERVED | {_mapped(name) for name in configured}
        return cls(frozenset(names), frozenset(skeleton(name) for name in names))

    def require_free(self, username: Username) -> None:
        """Raise InvalidUsername where `username` is reserved or looks like a reserved name."""
        if username.skeleton in self.skeletons:
            raise InvalidUsername(f"The username {username.value} is reserved")


def display_name(raw: str) -> str:
    """Prepare a display name: RFC 8266 Nickname, 1 to 32 code points; else InvalidInput."""
    with suppress(ValueError):
        bounded = _bounded(_SPACES.sub(" ", raw), DISPLAY_NAME_MAX)
        if len(value := str(_NICKNAME.enforce(bounded))) <= DISPLAY_NAME_MAX:
            return value
    rule = f"must have 1 to {DISPLAY_NAME_MAX} characters, none of them a control character"
    raise InvalidInput.of(Flaw("display_name", rule))


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address as it is shown, and the key under which it is unique."""

    value: str
    key: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Check the syntax, without any lookup; raise InvalidEmail."""
        try:
            value = validate_email(raw[:_EMAIL_MAX], check_deliverability=False).normalized
        except EmailNotValidError as reason:
            raise InvalidEmail(f"The e-mail address is invalid: {reason}") from None
        return cls(value, email_key(value))


def email_key(raw: str) -> str:
    """The form in which addresses are compared: without regard to case."""
    return unicodedata.normalize("NFC", raw).casefold()


def _mapped(raw: str) -> str:
    try:
        return str(_USERNAME.enforce(_bounded(raw, USERNAME_MAX)))
    except ValueError:
        raise InvalidUsername(
            "A username may have letters, digits, '_', '-' and '.' alone (RFC 8265)"
        ) from None


def _bounded(raw: str, limit: int) -> str:
    """`raw` in NFC where mapping can bring it down to `limit` code points, else ValueError.

    The context rules of PRECIS cost the square of the length; and of what is in NFC already,
    mapping joins no more than two into one.
    """
    text = unicodedata.normalize("NFC", raw) if len(raw) <= 8 * limit else raw
    if len(text) > 2 * limit:
        raise ValueError("too long")
    return text


def _is_letter_mark_or_digit(char: str) -> bool:
    return unicodedata.category(char) in _NAME_CATEGORIES


_NAME_CATEGORIES = frozenset({"Ll", "Lu", "Lt", "Lo", "Lm", "Mn", "Mc", "Nd"})
