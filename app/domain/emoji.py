"""Emoji as phones enter them: with variation selectors, skin tones, joiners and tags.

PRECIS rejects joiners and selectors, since they are invisible on their own. An emoji sequence (UTS
51, ED-17) is one picture, so it is replaced by a placeholder while PRECIS runs, and put back
afterwards.
"""

from collections.abc import Callable
from functools import cache

from app.domain.text import Match, Pattern, nfc, nfkc
from app.domain.ts39.data_files import read_rows

# More than any text with emoji may contain.
_MAX_LENGTH = 1024
# An emoji itself, so those in the text are replaced before it serves as the placeholder.
_PLACEHOLDER = "\u2603"
_SKIN_TONE = "[\U0001f3fb-\U0001f3ff]"
_SELECTOR, _JOINER, _KEYCAP = "[\ufe0e\ufe0f]", "\u200d", "\u20e3"
_FLAG_LETTERS = "[\U0001f1e6-\U0001f1ff]{2}"
# Flags such as those of England and Texas: a black flag and an ISO 3166-2 code in tags.
_REGION = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"


def prepare_around_emoji(prepare: Callable[[str], str], text: str) -> str:
    """Apply `prepare` to `text` in Normalization Form C, but keep its emoji sequences unchanged.

    Raises TextTooLongError and the errors of `prepare`.
    """
    found: list[str] = []

    def replace_emoji(match: Match[str]) -> str:
        # A character with a compatibility form, like the trade mark sign, needs a selector.
        if len(match[0]) == 1 and nfkc(match[0], 1) != match[0]:
            return match[0]
        found.append(match[0])
        return _PLACEHOLDER

    prepared = prepare(_sequences().sub(replace_emoji, nfc(text, _MAX_LENGTH)))
    between = prepared.split(_PLACEHOLDER)
    assert len(between) == len(found) + 1
    return "".join(part + emoji for part, emoji in zip(between, [*found, ""], strict=True))


def remove_emoji(text: str) -> str:
    """Return `text` without its emoji sequences. Raises TextTooLongError."""
    return _sequences().sub("", text)


@cache
def _sequences() -> "Pattern[str]":
    """Match emoji sequences: pictures, keycaps, flags, and several of them with joiners."""
    ranges = "".join(f"{chr(int(a, 16))}-{chr(int(b, 16))}" for a, b in read_rows("emoji.txt"))
    keycap = f"[0-9#*]\ufe0f{_KEYCAP}"
    picture = f"[{ranges}](?:{_SKIN_TONE}|{_SELECTOR}{_KEYCAP}?)?"
    one = f"(?:{_FLAG_LETTERS}|{keycap}|{_REGION}|{picture})"
    return Pattern(f"{one}(?:{_JOINER}{one})*", _MAX_LENGTH)
