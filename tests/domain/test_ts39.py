"""UTS 39: known answers from the standard and its data, and rules that hold for the whole data."""

from itertools import pairwise
from unicodedata import normalize

import pytest

from app.domain.ts39 import is_highly_restrictive, skeleton
from app.domain.ts39.data_files import read_rows, read_strings
from app.domain.ts39.restriction import augmented_scripts

CYRILLIC_A = "\u0430"
GREEK_OMICRON = "\u03bf"
GREEK_OMEGA = "\u03c9"
LATIN = "abc"
HAN = "\u6f22\u5b57"
HIRAGANA = "\u304b\u306a"
KATAKANA = "\u30ab\u30ca"
HANGUL = "\ud55c\uae00"
BOPOMOFO = "\u3105\u3106"
CYRILLIC = "\u0431\u0434"
GREEK = "\u03b1\u03b2"
HEBREW = "\u05d0\u05d1"
THAI = "\u0e01\u0e02"
# Common with Script_Extensions Hiragana and Katakana.
PROLONGED_SOUND_MARK = "\u30fc"
# Inherited with Script_Extensions Arabic and Syriac.
ARABIC_FATHATAN = "\u064b"
UNASSIGNED = "\u0378"

CONFUSABLES = [
    (ord(source), prototype) for source, prototype in read_strings("confusables.txt").items()
]
IGNORABLES = {
    code
    for first, last in read_rows("ignorables.txt")
    for code in range(int(first, 16), int(last, 16) + 1)
}


# ------------------------------------------------------------------------------ skeleton


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CYRILLIC_A, "a"),
        (GREEK_OMICRON, "o"),
        ("1", "l"),
        ("I", "l"),
        ("|", "l"),
        ("0", "O"),
        ("m", "rn"),
        ("\u00e6", "ae"),  # latin small letter ae
        ("\ufb01", "fi"),  # latin small ligature fi
        ("\u0131", "i"),  # latin small letter dotless i
        ("\U0001d41a", "a"),  # mathematical bold small a
        ("", ""),
    ],
)
def test_a_skeleton_is_made_of_prototypes(text: str, expected: str) -> None:
    assert skeleton(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", f"p{CYRILLIC_A}ypal"),
        ("demo1", "demol"),
        ("demo1", "demoI"),
        ("modern", "rnodern"),
        ("google", f"g{GREEK_OMICRON}ogle"),
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),  # all Cyrillic, and a single script
        ("caf\u00e9", "cafe\u0301"),  # composed and decomposed
    ],
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("demo1", "demo2"),
        ("demo", "demos"),
        ("paypal", "paypa"),
        ("cafe", "caf\u00e9"),
        ("Demo", "demo"),
        ("demo0", "demoo"),  # the zero looks like a capital O
        (HAN, HIRAGANA),
    ],
)
def test_names_that_look_different_have_different_skeletons(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@pytest.mark.parametrize(
    "ignorable",
    [
        "\u00ad",  # soft hyphen
        "\u200b",  # zero width space
        "\u200d",  # zero width joiner
        "\u202e",  # right-to-left override
        "\u2065",  # reserved, and ignorable all the same
        "\u3164",  # hangul filler, which has a prototype too
        "\ufe0f",  # variation selector-16
        "\U000e0041",  # tag latin capital letter a
    ],
)
def test_a_default_ignorable_character_leaves_no_trace(ignorable: str) -> None:
    assert skeleton(f"pay{ignorable}pal") == skeleton("paypal")


def test_an_accent_is_compared_in_canonical_order() -> None:
    dot_below_then_acute, acute_then_dot_below = "e\u0323\u0301", "e\u0301\u0323"
    assert skeleton(dot_below_then_acute) == skeleton(acute_then_dot_below)


def test_the_whole_of_confusables_txt_is_there() -> None:
    assert len(CONFUSABLES) == len(dict(CONFUSABLES)) == 6712  # its own "# total: 6712"


def test_the_whole_of_default_ignorable_code_point_is_there() -> None:
    assert len(IGNORABLES) == 4174  # its own "# Total code points: 4174"


def test_every_confusable_has_the_skeleton_of_its_prototype() -> None:
    mapped = [pair for pair in CONFUSABLES if pair[0] not in IGNORABLES]
    differing = [
        f"{source:04X}"
        for source, prototype in mapped
        if normalize("NFD", chr(source)) == chr(source)
        and skeleton(chr(source)) != normalize("NFD", prototype)
    ]
    assert differing == []


def test_every_skeleton_is_its_own_skeleton() -> None:
    skeletons = {skeleton(chr(source)) for source, _ in CONFUSABLES}
    assert {text for text in skeletons if skeleton(text) != text} == set()


# ------------------------------------------------------------------------------- scripts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "paypal_2026",
        "caf\u00e9",
        CYRILLIC,
        GREEK,
        HEBREW,
        THAI,
        HAN,
        BOPOMOFO,
        HIRAGANA + KATAKANA,
        HAN + HIRAGANA + KATAKANA,
        HAN + HANGUL,
        HAN + BOPOMOFO,
        KATAKANA + PROLONGED_SOUND_MARK,
    ],
)
def test_a_single_script_is_highly_restrictive(text: str) -> None:
    assert is_highly_restrictive(text)


@pytest.mark.parametrize(
    "others",
    [
        HAN,
        HAN + BOPOMOFO,
        HAN + HIRAGANA + KATAKANA,
        KATAKANA + PROLONGED_SOUND_MARK,
        HAN + HANGUL,
        HANGUL,
    ],
)
def test_latin_may_join_an_east_asian_writing_system(others: str) -> None:
    assert is_highly_restrictive(LATIN + others)


@pytest.mark.parametrize(
    "text",
    [
        LATIN + CYRILLIC,
        LATIN + GREEK,
        LATIN + HEBREW,
        LATIN + THAI,
        CYRILLIC + GREEK,
        f"p{CYRILLIC_A}ypal",
        f"h{GREEK_OMEGA}me",
        HAN + CYRILLIC,
        HIRAGANA + HANGUL,
        HIRAGANA + BOPOMOFO,
        HANGUL + BOPOMOFO,
        LATIN + HAN + HIRAGANA + HANGUL,
        LATIN + HAN + HANGUL + BOPOMOFO,
        HANGUL + PROLONGED_SOUND_MARK,
        LATIN + ARABIC_FATHATAN,
        LATIN + UNASSIGNED,
    ],
)
def test_other_mixtures_of_scripts_are_not_highly_restrictive(text: str) -> None:
    assert not is_highly_restrictive(text)


@pytest.mark.parametrize(
    "script",
    [LATIN, CYRILLIC, GREEK, HEBREW, THAI, HAN, HIRAGANA, HANGUL, LATIN + HAN],
)
def test_digits_and_punctuation_go_with_every_script(script: str) -> None:
    assert is_highly_restrictive(f"1-{script}_2")


@pytest.mark.parametrize("script", [CYRILLIC, GREEK, HEBREW, THAI, HAN])
def test_inherited_marks_go_with_every_script(script: str) -> None:
    combining_long_vertical_line_overlay = "\u20d2"
    assert is_highly_restrictive(script + combining_long_vertical_line_overlay)


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("a", {"Latn"}),
        ("\u6f22", {"Hani", "Hanb", "Jpan", "Kore"}),
        ("\u304b", {"Hira", "Jpan"}),
        ("\u30ab", {"Kana", "Jpan"}),
        ("\ud55c", {"Hang", "Kore"}),
        ("\u3105", {"Bopo", "Hanb"}),
        (PROLONGED_SOUND_MARK, {"Hira", "Kana", "Jpan"}),
        (ARABIC_FATHATAN, {"Arab", "Syrc"}),
        (UNASSIGNED, {"Zzzz"}),
    ],
)
def test_a_script_set_is_augmented_with_the_writing_systems_that_use_it(
    character: str, expected: set[str]
) -> None:
    assert augmented_scripts(character) == frozenset(expected)


@pytest.mark.parametrize("character", ["1", "_", "\u20d2"])
def test_common_and_inherited_match_all_scripts(character: str) -> None:
    assert augmented_scripts(character) is None


def test_every_run_of_code_points_is_looked_up_from_its_first_to_its_last() -> None:
    runs = [(int(first, 16), frozenset(scripts)) for first, *scripts in read_rows("scripts.txt")]
    for (first, scripts), (following, _) in pairwise([*runs, (0x110000, frozenset())]):
        found = augmented_scripts(chr(first))
        assert found == augmented_scripts(chr(following - 1))
        assert scripts <= (found or {"Zyyy", "Zinh"})
