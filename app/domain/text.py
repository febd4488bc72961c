"""Text processing with bounded cost: normalization, PRECIS, patterns, addresses.

Each of these functions may take quadratic time: 64,000 unordered combining marks keep one
normalization busy for seconds. So each takes a maximum length and processes nothing longer. No
other module calls the libraries below; `tests/architecture/test_bounded_text.py` enforces that.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import AnyStr, Generic
from unicodedata import category, east_asian_width, normalize, unidata_version
from urllib.parse import SplitResult, urlsplit

import email_validator
from precis_i18n import get_profile

# Such domains are valid on private networks, and no mail is sent.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

# The minimum similarity by difflib for a suggestion.
_SIMILAR = 0.75
Match = re.Match
ASCII, DOT_ALL, IGNORE_CASE, VERBOSE = re.ASCII, re.DOTALL, re.IGNORECASE, re.VERBOSE


class TextTooLongError(ValueError):
    """A text exceeds the maximum length of the function."""


def bounded(text: AnyStr, max_length: int) -> AnyStr:
    """Return `text` unchanged. Raises TextTooLongError if it is longer than `max_length`."""
    if len(text) > max_length:
        raise TextTooLongError(f"The text has more than {max_length} characters.")
    return text


def nfc(text: str, max_length: int) -> str:
    """Return `text` in Normalization Form C. Raises TextTooLongError."""
    return normalize("NFC", bounded(text, max_length))


def nfd(text: str, max_length: int) -> str:
    """Return `text` in Normalization Form D. Raises TextTooLongError."""
    return normalize("NFD", bounded(text, max_length))


def nfkc(text: str, max_length: int) -> str:
    """Return `text` in Normalization Form KC. Raises TextTooLongError."""
    return normalize("NFKC", bounded(text, max_length))


# Descriptions of PRECIS's reasons.
_RULES = {
    "DISALLOWED/controls": "a control character",
    "DISALLOWED/precis_ignorable_properties": "an invisible character",
    "DISALLOWED/zero_width_joiner": "a joiner between characters that do not join",
    "DISALLOWED/zero_width_nonjoiner": "a non-joiner between characters that do not join",
    "DISALLOWED/unassigned": f"a character that is not in Unicode {unidata_version}",
    "DISALLOWED/old_hangul_jamo": "a part of a Hangul syllable",
    "DISALLOWED/bidi_rule": "letters of both writing directions",
}
_SURROGATE, _PRIVATE = "half of a surrogate pair", "a private use character"


class DisallowedError(ValueError):
    """A text breaks a rule of its PRECIS profile.

    `rule` describes what the text must not contain, `is_named` tells if that is specific;
    `character` is the first disallowed one.
    """

    def __init__(self, error: UnicodeEncodeError) -> None:
        # A text of spaces is empty after preparation; no single character is disallowed.
        is_empty = error.reason == "DISALLOWED/empty"
        self.character = "" if is_empty else error.object[error.start : error.end][:1]
        by_category = {"Cs": _SURROGATE, "Co": _PRIVATE}.get(category(self.character or " "))
        named = by_category or _RULES.get(error.reason)
        self.is_named = named is not None
        self.rule = named or "a character that is not allowed (RFC 8264)"
        super().__init__(self.rule)


class PrecisProfile:
    """A PRECIS profile (RFC 8264) for texts of at most `max_length` code points."""

    def __init__(self, name: str, max_length: int) -> None:
        self._profile = get_profile(name)
        self._max_length = max_length

    def enforce(self, text: str) -> str:
        """Prepare `text`. Raises DisallowedError, TextTooLongError."""
        try:
            return str(self._profile.enforce(bounded(text, self._max_length)))
        except UnicodeEncodeError as error:
            raise DisallowedError(error) from None


def email_address(text: str, max_length: int) -> str:
    """Return an e-mail address with its domain in Unicode (IDNA 2008), without a DNS lookup.

    Raises ValueError with a reason, TextTooLongError.
    """
    found = email_validator.validate_email(
        bounded(text, max_length), check_deliverability=False, globally_deliverable=False
    )
    return found.normalized


def url_parts(text: str, max_length: int) -> SplitResult:
    """Split a URL (RFC 3986). Raises ValueError, TextTooLongError.

    The standard library normalizes the host.
    """
    return urlsplit(bounded(text, max_length))


def to_half_width(text: str, max_length: int) -> str:
    """Return `text` in Normalization Form C and half width (RFC 8265 section 3.3).

    Raises TextTooLongError.
    """
    return normalize("NFC", bounded(text, max_length).translate(_widths()))


def decode_a_labels(text: str, max_length: int) -> str:
    """Return `text` with each A-label decoded to its U-label (RFC 5890 section 2.3.2.1).

    Raises TextTooLongError.
    """
    return _A_LABEL.sub(_u_label, bounded(text, max_length))


def _u_label(found: "Match[str]") -> str:
    label = bounded(found[0], _LABEL_MAX)
    try:
        return label[len("xn--") :].encode("ascii").decode("punycode")
    except UnicodeError:
        return label


@cache
def _widths() -> dict[int, str]:
    """Return the replacements of characters of full and half width (East Asian Width F and H)."""
    wide = (char for char in map(chr, range(0xFF01, 0xFFEF)) if east_asian_width(char) in "FH")
    return {ord(char): nfkc(char, 1) for char in wide}


def closest_match(text: str, choices: Iterable[str], max_length: int) -> str | None:
    """Return the most similar choice, whatever the case and the separators of words.

    None if none is similar, or `text` is too long.
    """
    from difflib import get_close_matches

    if len(text) > max_length:
        return None
    by_letters = {only_letters(choice): choice for choice in choices}
    nearest = get_close_matches(only_letters(text), by_letters, 1, _SIMILAR)
    return by_letters[nearest[0]] if nearest else None


def only_letters(text: str) -> str:
    """Return the letters and digits of a text in lower case."""
    return "".join(filter(str.isalnum, text)).lower()


class Pattern(Generic[AnyStr]):
    """A regular expression for texts of at most `max_length` characters or bytes."""

    __slots__ = ("_compiled", "_max_length")

    def __init__(self, pattern: AnyStr, max_length: int, flags: int = 0) -> None:
        self._compiled: re.Pattern[AnyStr] = re.compile(pattern, flags)
        self._max_length = max_length

    def fullmatch(self, text: AnyStr) -> re.Match[AnyStr] | None:
        """Match the whole of `text`; None if it does not match or is too long."""
        return None if len(text) > self._max_length else self._compiled.fullmatch(text)

    def match(self, text: AnyStr, at: int = 0) -> re.Match[AnyStr] | None:
        """Match at the position `at` of `text`; None if it does not match or is too long."""
        return None if len(text) > self._max_length else self._compiled.match(text, at)

    def search(self, text: AnyStr) -> re.Match[AnyStr] | None:
        """Find the first match in `text`. Raises TextTooLongError."""
        return self._compiled.search(bounded(text, self._max_length))

    def findall(self, text: AnyStr) -> list[AnyStr]:
        """Return every match in `text`, of a pattern without groups. Raises TextTooLongError."""
        return self._compiled.findall(bounded(text, self._max_length))

    def finditer(self, text: AnyStr) -> Iterator[re.Match[AnyStr]]:
        """Yield every match in `text`. Raises TextTooLongError."""
        return self._compiled.finditer(bounded(text, self._max_length))

    def split(self, text: AnyStr) -> list[AnyStr]:
        """Split `text` at the matches of a pattern without groups. Raises TextTooLongError."""
        return self._compiled.split(bounded(text, self._max_length))

    def sub(
        self, replacement: AnyStr | Callable[[re.Match[AnyStr]], AnyStr], text: AnyStr
    ) -> AnyStr:
        """Replace every match in `text`. Raises TextTooLongError."""
        return self._compiled.sub(replacement, bounded(text, self._max_length))


# RFC 5890 section 2.3.2.1; a DNS label has at most 63 octets.
_LABEL_MAX = 63
_A_LABEL = Pattern(r"(?<![a-z0-9-])xn--[a-z0-9-]{1,59}(?![a-z0-9-])", 1024, IGNORE_CASE)
