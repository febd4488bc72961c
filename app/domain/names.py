"""Usernames, display names and e-mail addresses: valid once constructed."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Self
from unicodedata import category

from app.domain.emoji import prepare_around_emoji
from app.domain.errors import FieldError, InvalidEmail, InvalidInput, InvalidUsername
from app.domain.text import (
    ASCII,
    DisallowedError,
    Pattern,
    PrecisProfile,
    TextTooLongError,
    email_address,
    nfc,
    nfd,
)
from app.domain.ts39 import NONSPACING, is_highly_restrictive, remove_repeated_marks, skeleton

USERNAME_MIN, USERNAME_MAX = 4, 16
# Imported names may have another length.
IMPORTED_MAX = 64
DISPLAY_NAME_MAX = 32
EMAIL_MAX = 254
# Held names per account; the oldest one is released for another.
FORMER_NAMES_MAX = 3
# UTS 39 section 5.4.
MARKS_MAX = 4
ALWAYS_RESERVED = frozenset({"admin", "auth", "self", "root", "system", "support", "moderator"})

# A character may have several code points before normalization.
_EXPANSION = 8
# Mapping a text in NFC joins at most two code points into one.
_USERNAME = PrecisProfile("UsernameCaseMapped", 2 * IMPORTED_MAX)
# RFC 8266 maps case only for comparison; the displayed name keeps its case.
_NICKNAME = PrecisProfile("NicknameCasePreserved", 2 * DISPLAY_NAME_MAX)
_PLAIN = Pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{2,14}[A-Za-z0-9]", USERNAME_MAX, ASCII)
_SPACES = Pattern(" +", _EXPANSION * DISPLAY_NAME_MAX)
_PUNCTUATION = "_-."


@dataclass(frozen=True, slots=True)
class Username:
    """A username as it is stored and shown, and the TS 39 skeleton that makes it unique.

    RFC 8265 section 3.3 (UsernameCaseMapped), restricted to 4 to 16 code points after mapping:
    letters with their marks, digits, `_`, `-`, `.`; a letter, mark or digit at both ends; scripts
    mixed no further than 'highly restrictive' (Unicode TS 39 section 5.2).
    """

    value: str
    skeleton: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Map and check `raw`. Raises InvalidUsername, which says what rule was broken."""
        if raw.isascii() and _PLAIN.fullmatch(raw):
            # These satisfy all rules below, and mapping only changes their case.
            return cls(value := raw.lower(), skeleton(value))
        value = _mapped(raw, USERNAME_MAX)
        if not USERNAME_MIN <= len(value) <= USERNAME_MAX:
            raise _wrong_length(f", not {len(value)}")
        if not _has_only_name_characters(value):
            raise InvalidUsername("A username may only contain letters, digits, '_', '-' and '.'")
        _require_plain_marks(value)
        if not (_is_alphanumeric(value[0]) and _is_alphanumeric(value[-1])):
            raise InvalidUsername("A username must begin and end with a letter or digit")
        if not is_highly_restrictive(value):
            raise InvalidUsername("A username must not mix scripts that are easily confused")
        return cls(value, skeleton(value))

    @classmethod
    def try_parse(cls, raw: str) -> Self | None:
        """Return the name that registering `raw` would create, or None if it is invalid."""
        try:
            return cls.parse(raw)
        except InvalidUsername:
            return None


@dataclass(frozen=True, slots=True)
class ReservedNames:
    """The names that only admins can assign: the built-in and the configured ones."""

    names: frozenset[str]
    skeletons: frozenset[str]

    @classmethod
    def from_config(cls, configured: Collection[str]) -> Self:
        """Combine the built-in names with `configured`; all are compared like usernames."""
        names = ALWAYS_RESERVED | {_mapped(name, IMPORTED_MAX) for name in configured}
        return cls(frozenset(names), frozenset(skeleton(name) for name in names))

    def contains(self, username: Username) -> bool:
        """Return True if `username` is reserved or looks like a reserved name."""
        return username.skeleton in self.skeletons

    def require_free(self, username: Username) -> None:
        """Raise InvalidUsername if `username` is reserved or looks like a reserved name."""
        if self.contains(username):
            raise InvalidUsername(f"The username {username.value} is reserved; choose another one")


def parse_stored_username(raw: str) -> str | None:
    """Return `raw` in the form in which usernames are stored, for a lookup; None if it is none.

    Names of imported accounts, of 1 to 64 characters, are accepted, too.
    """
    if raw.isascii() and _PLAIN.fullmatch(raw):
        return raw.lower()
    try:
        value = _mapped(raw, IMPORTED_MAX)
    except InvalidUsername:
        return None
    return value if len(value) <= IMPORTED_MAX and _has_only_name_characters(value) else None


def parse_display_name(raw: str) -> str:
    """Return a display name: RFC 8266 Nickname with emoji, 1 to 32 code points. Raises
    InvalidInput."""
    rule = f"must have 1 to {DISPLAY_NAME_MAX} characters"
    try:
        value = prepare_around_emoji(_NICKNAME.enforce, _SPACES.sub(" ", raw))
        if len(value) <= DISPLAY_NAME_MAX:
            return value
    except DisallowedError as error:
        if error.character:
            rule = f"must not contain {error.rule}: U+{ord(error.character):04X}"
    except TextTooLongError:
        pass
    raise InvalidInput.for_fields(FieldError("display_name", rule))


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address as it is shown, and the key by which it is unique and looked up."""

    value: str
    key: str

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Check the syntax, without a DNS lookup. Raises InvalidEmail."""
        try:
            value = email_address(raw, EMAIL_MAX)
        except TextTooLongError:
            reason = f"it has more than {EMAIL_MAX} characters"
            raise InvalidEmail(f"The e-mail address is invalid: {reason}.") from None
        except ValueError as error:
            raise InvalidEmail(f"The e-mail address is invalid: {error}") from None
        if value.rpartition("@")[2].rpartition(".")[2].isdigit():
            raise InvalidEmail("The e-mail address is invalid: its domain is a number.")
        return cls(value, email_key(value))


def email_key(value: str) -> str:
    """Return the form in which addresses are compared: the local part case-folded, the domain
    unchanged.

    The domain is in Unicode, as in `Email`: one form for each A-label (RFC 5890 section 2.3.2.1),
    and searchable for a part.
    """
    local, at, domain = nfc(value, EMAIL_MAX).rpartition("@")
    return f"{local.casefold()}{at}{domain.lower()}"


def _mapped(raw: str, limit: int) -> str:
    """Map a name of up to `limit` code points after mapping. Raises InvalidUsername."""
    try:
        text = nfc(raw, _EXPANSION * limit)
        if not text or len(text) > 2 * limit:
            raise _wrong_length("")
        return _USERNAME.enforce(text)
    except TextTooLongError:
        raise _wrong_length("") from None
    except DisallowedError as error:
        if error.is_named:
            raise InvalidUsername(f"A username must not contain {error.rule} (RFC 8265)") from None
        raise InvalidUsername(
            "A username may only contain letters, digits, '_', '-' and '.' (RFC 8265)"
        ) from None


def _wrong_length(which: str) -> InvalidUsername:
    rule = f"A username must have {USERNAME_MIN} to {USERNAME_MAX} characters"
    return InvalidUsername(f"{rule}{which}")


def _require_plain_marks(value: str) -> None:
    """Raise InvalidUsername for marks that look the same (UTS 39 section 5.4)."""
    if value.isascii():
        return
    decomposed = nfd(value, USERNAME_MAX)
    if remove_repeated_marks(value) != decomposed:
        raise InvalidUsername("A letter of a username must not have the same mark twice")
    if _longest_mark_run(decomposed) > MARKS_MAX:
        raise InvalidUsername(f"A letter of a username must have at most {MARKS_MAX} marks")
    if any(
        one in _PUNCTUATION and category(next_one)[0] == "M" for one, next_one in pairwise(value)
    ):
        raise InvalidUsername("Marks in a username must follow a letter or digit")


def _longest_mark_run(text: str) -> int:
    """Return the length of the longest run of nonspacing marks."""
    runs = groupby(text, lambda char: category(char) in NONSPACING)
    return max((len(list(run)) for are_marks, run in runs if are_marks), default=0)


def _has_only_name_characters(value: str) -> bool:
    return all(_is_alphanumeric(char) or char in _PUNCTUATION for char in value)


def _is_alphanumeric(char: str) -> bool:
    return category(char) in _NAME_CATEGORIES


_NAME_CATEGORIES = frozenset({"Ll", "Lu", "Lt", "Lo", "Lm", "Mn", "Mc", "Nd"})
