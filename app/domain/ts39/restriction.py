"""Mixed-script and restriction-level detection (UTS 39 sections 5.1 and 5.2)."""

from bisect import bisect_right
from functools import cache

from app.domain.ts39.data_files import read_rows

Scripts = frozenset[str]

# Section 5.1: writing systems that combine a script with others.
_WRITING_SYSTEMS = {
    "Hani": {"Hanb", "Jpan", "Kore"},
    "Bopo": {"Hanb"},
    "Hira": {"Jpan"},
    "Kana": {"Jpan"},
    "Hang": {"Kore"},
}
# Section 5.2: the recommended combinations; Hanb is Han with Bopomofo, Jpan Han with Hiragana
# and Katakana, Kore Han with Hangul.
_COMBINATIONS = tuple({"Latn", system} for system in ("Hanb", "Jpan", "Kore"))
_ANY_SCRIPT = ({"Zyyy"}, {"Zinh"})


def is_highly_restrictive(text: str) -> bool:
    """Return True if the scripts of `text` satisfy UTS 39 section 5.2, Highly Restrictive.

    ASCII, a single script, or Latin with one of: Han and Bopomofo; Han, Hiragana and Katakana; Han
    and Hangul. Common and Inherited characters go with any script. Identifier_Status is not
    checked: PRECIS decides the repertoire.
    """
    # ASCII needs no special case: it is Latin and Common.
    sets = {scripts for scripts in map(augmented_scripts, text) if scripts is not None}
    return _is_single_script(sets) or any(
        all(scripts & combination for scripts in sets) for combination in _COMBINATIONS
    )


def augmented_scripts(character: str) -> Scripts | None:
    """Return the augmented script set (section 5.1); None for Common and Inherited, which match
    all."""
    firsts, sets = _runs()
    return sets[bisect_right(firsts, ord(character)) - 1]


def _is_single_script(sets: set[Scripts]) -> bool:
    """Return True if the scripts have one in common (section 5.1)."""
    return not sets or bool(frozenset.intersection(*sets))


@cache
def _runs() -> tuple[list[int], list[Scripts | None]]:
    """Return the start of each run of code points with equal scripts, and those scripts."""
    runs = [(int(first, 16), tuple(scripts)) for first, *scripts in read_rows("scripts.txt")]
    return [first for first, _ in runs], [_augmented(scripts) for _, scripts in runs]


@cache
def _augmented(scripts: tuple[str, ...]) -> Scripts | None:
    if set(scripts) in _ANY_SCRIPT:
        return None
    return frozenset(scripts).union(*(_WRITING_SYSTEMS.get(script, ()) for script in scripts))
