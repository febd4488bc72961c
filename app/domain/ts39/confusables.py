"""Confusable detection (UTS 39 section 4)."""

from collections.abc import Iterator
from functools import cache
from unicodedata import category, combining

from app.domain.text import nfd
from app.domain.ts39.data_files import read_code_points, read_strings

# More than any name has, and more than replacement by prototypes can make of it.
_MAX_LENGTH, _MAPPED_MAX_LENGTH = 256, 256 * 18
_DOT_ABOVE = "\u0307"
# The combining class of marks above a letter.
_ABOVE = 230
NONSPACING = frozenset({"Mn", "Me"})


def skeleton(text: str) -> str:
    """Return the skeleton of `text`: strings with equal skeletons are confusable.

    UTS 39 section 4, `internalSkeleton`: NFD, drop Default_Ignorable_Code_Point, replace each
    character by its prototype, NFD; in addition, drop dots that are invisible. A skeleton is only
    for comparison with others: it is not a name, it keeps case, and text of mixed direction is not
    reordered as in `bidiSkeleton`.
    """
    mapped = nfd(nfd(text, _MAX_LENGTH).translate(_replacements()), _MAPPED_MAX_LENGTH)
    return mapped if mapped.isascii() else "".join(_without_hidden_dots(mapped))


def _without_hidden_dots(mapped: str) -> Iterator[str]:
    """Yield a text in NFD without dots above letters that have one (Soft_Dotted, like i and j).

    Such a dot is visible only if another mark is between them.
    """
    hides_a_dot = False
    for char in mapped:
        if category(char) not in NONSPACING:
            hides_a_dot = ord(char) in _soft_dotted()
        elif char == _DOT_ABOVE and hides_a_dot:
            continue
        elif combining(char) == _ABOVE:
            hides_a_dot = False
        yield char


def remove_repeated_marks(text: str) -> str:
    """Return `text` in NFD without marks that their letter already has (UTS 39 section 5.4).

    They are invisible, like a second stroke over ø.
    """
    kept: list[str] = []
    marks: set[str] = set()
    for char in nfd(text, _MAX_LENGTH):
        looks_like = _replacements().get(ord(char), char)
        if category(char) not in NONSPACING:
            marks = {part for part in looks_like if category(part) in NONSPACING}
        elif looks_like and marks.issuperset(looks_like):
            continue
        else:
            marks.update(looks_like)
        kept.append(char)
    return "".join(kept)


@cache
def _soft_dotted() -> frozenset[int]:
    return frozenset(read_code_points("soft_dotted.txt"))


@cache
def _replacements() -> dict[int, str]:
    prototypes = str.maketrans(read_strings("confusables.txt"))
    # `translate` raises and catches an error for each character that is missing here.
    ascii_itself = {code: chr(code) for code in range(128)}
    # Ignorable characters are dropped even if they have a prototype.
    return ascii_itself | prototypes | dict.fromkeys(read_code_points("ignorables.txt"), "")
