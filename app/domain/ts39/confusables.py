"""Confusable detection (UTS 39 section 4)."""

from functools import cache
from unicodedata import normalize

from app.domain.ts39.tables import rows


def skeleton(text: str) -> str:
    """What `text` looks like: two strings are confusable when their skeletons are equal.

    UTS 39 section 4, `internalSkeleton`: NFD, drop Default_Ignorable_Code_Point, replace each
    character by its prototype, NFD. A skeleton is only to be compared with another: it is no
    name, it keeps case, and text that mixes directions is not reordered as `bidiSkeleton` does.
    """
    return normalize("NFD", normalize("NFD", text).translate(_replacements()))


@cache
def _replacements() -> dict[int, str]:
    prototypes = {
        int(source, 16): "".join(chr(int(code, 16)) for code in prototype)
        for source, *prototype in rows("confusables.txt")
    }
    ignorables = {
        code: ""
        for first, last in rows("ignorables.txt")
        for code in range(int(first, 16), int(last, 16) + 1)
    }
    # Dropping comes before replacing: an ignorable that has a prototype is dropped all the same.
    return prototypes | ignorables
