"""Usernames, display names and e-mail addresses: the rules of the wire contract, section 1."""

from unicodedata import normalize, unidata_version

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from app.domain.errors import InvalidEmail, InvalidInput, InvalidUsername
from app.domain.names import (
    ALWAYS_RESERVED,
    Email,
    ReservedNames,
    Username,
    email_key,
    parse_display_name,
    parse_stored_username,
)
from app.domain.ts39 import remove_repeated_marks, skeleton
from app.domain.ts39.data_files import read_code_points
from tests.domain.emoji import EMOJI

CYRILLIC_A = "\u0430"
GREEK_FINAL_SIGMA = "\u03c2"
ZERO_WIDTH_SPACE = "\u200b"
ZERO_WIDTH_JOINER = "\u200d"
SOFT_HYPHEN = "\u00ad"
RIGHT_TO_LEFT_OVERRIDE = "\u202e"
VARIATION_SELECTOR = "\ufe0f"

anything = st.text(st.characters(), max_size=40)  # lone surrogates, too
# Letters, marks and digits of many scripts, so that many examples are valid names.
name_like = st.text(
    st.characters(categories=["Ll", "Lu", "Lt", "Lo", "Lm", "Mn", "Mc", "Nd"])
    | st.sampled_from("_-."),
    min_size=4,
    max_size=16,
)
latin_like = st.text(st.characters(max_codepoint=0x24F), min_size=4, max_size=16)


def is_username(raw: str) -> bool:
    return Username.try_parse(raw) is not None


# ------------------------------------------------------------------------------ usernames


@pytest.mark.parametrize("raw", ["ＤｅＭｏ1", "DEMO1", "demo1", "Demo1", "ｄｅｍｏ１"])
def test_width_and_case_do_not_tell_names_apart(raw: str) -> None:
    assert Username.parse(raw).value == "demo1"


@given(st.from_regex(r"[A-Za-z0-9._-]{4,16}", fullmatch=True))
def test_a_plain_name_is_what_precis_makes_of_it(raw: str) -> None:
    """RFC 8265: names in ASCII take a shorter way than others, to the same end."""
    found = Username.try_parse(raw)
    if raw[0] in "._-" or raw[-1] in "._-":
        assert found is None
    else:
        mapped = get_profile("UsernameCaseMapped").enforce(raw)
        assert found == Username(mapped, skeleton(mapped))


def test_composed_and_decomposed_forms_are_one_name() -> None:
    assert Username.parse(normalize("NFD", "éclair")) == Username.parse("éclair")


def test_half_width_katakana_is_katakana() -> None:
    assert Username.parse("ｱｲｳｴｵ").value == "アイウエオ"


@pytest.mark.parametrize(
    "raw",
    [
        "user",
        "a-b.c_d",
        "a..b",
        "1234",
        "2fast4you",
        "naïve",
        "straße",
        "张三李四",
        "張三1234",
        "日本ご飯",
        "カタカナ",
        "한국사람",
        "한국names",
        "алиса",
        "νίκος",
        "שלום",
        "กรุงเทพ",
        "हिन्दी",
        "\u0301abcd",  # begins with a mark
    ],
)
def test_letters_marks_and_digits_of_any_script_are_welcome(raw: str) -> None:
    assert Username.parse(raw).value == raw


@pytest.mark.parametrize(
    ("length", "fits"), [(0, False), (3, False), (4, True), (16, True), (17, False), (5000, False)]
)
@pytest.mark.parametrize("letter", ["x", "张", "Ａ"])
def test_a_username_has_4_to_16_characters(length: int, fits: bool, letter: str) -> None:
    assert is_username(letter * length) is fits


def test_length_counts_after_mapping() -> None:
    assert Username.parse(normalize("NFD", "é" * 16)).value == "é" * 16
    assert not is_username(normalize("NFD", "ééé"))


def test_astral_letters_count_once() -> None:
    assert is_username("𠀀" * 16)
    assert not is_username("𠀀" * 17)


@pytest.mark.parametrize(
    "raw",
    [
        "ab cd",
        " abcd",
        "abcd ",
        "ab\u3000cd",
        "ab@cd",
        "ab!cd",
        "ab/cd",
        "ab:cd",
        "ab%cd",
        "ab+cd",
        "ab'cd",
        'ab"cd',
        "ab\\cd",
        "ab😀cd",
        "ab\x00cd",
        "ab\ncd",
        "abcd\n",
        "ab\x7fcd",
        f"ab{ZERO_WIDTH_SPACE}cd",
        f"ab{ZERO_WIDTH_JOINER}cd",
        f"ab{SOFT_HYPHEN}cd",
        f"ab{VARIATION_SELECTOR}cd",
        f"ab{RIGHT_TO_LEFT_OVERRIDE}cd",
        "\ufeffabcd",
        "ab\u00b7cd",  # middle dot
        "ab\u2024cd",  # one dot leader
        "ab\u2013cd",  # en dash
        "ﬁsh1",  # a ligature
        "ab\u0378cd",  # unassigned
        "ab\ue000cd",  # private use
        "ab\ud800cd",  # lone surrogate
        "abc\u05d0",  # left to right, then right to left
        "क्\u200dष\u200d",  # joiners where PRECIS would allow one
    ],
    ids=ascii,
)
def test_nothing_else_is_part_of_a_username(raw: str) -> None:
    with pytest.raises(InvalidUsername):
        Username.parse(raw)


@pytest.mark.parametrize("sign", "_-.")
def test_a_username_neither_begins_nor_ends_with_a_sign(sign: str) -> None:
    assert is_username(f"ab{sign}cd")
    assert not is_username(f"{sign}abcd")
    assert not is_username(f"abcd{sign}")


@pytest.mark.parametrize(
    "raw",
    [
        f"{CYRILLIC_A}lice",
        f"b{CYRILLIC_A}nk",
        "paypаl",
        "alpha\u03b1",
        "αλφαа",
        "漢字аб",
        "한국ひら",
        "abcกข",
    ],
    ids=ascii,
)
def test_scripts_are_mixed_no_further_than_highly_restrictive(raw: str) -> None:
    with pytest.raises(InvalidUsername, match="mix scripts"):
        Username.parse(raw)


@pytest.mark.parametrize("raw", ["漢字name", "かなカナ漢字ab", "한국漢字ab", "漢字ㄅㄆab"])
def test_latin_goes_with_the_writing_systems_of_east_asia(raw: str) -> None:
    assert Username.parse(raw).value == raw


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("demo1", "demol"),
        ("demo1", "DEMOL"),
        ("modern", "rnodern"),
        ("алиса", "алисa".replace("a", CYRILLIC_A)),
        ("раура", "paypa"),  # all Cyrillic, all Latin
        ("二二二二", "ニニニニ"),  # Han, Katakana
    ],
    ids=ascii,
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert Username.parse(one).skeleton == Username.parse(other).skeleton


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "alicia"), ("user", "user1"), ("a.b1", "a-b1")]
)
def test_names_that_look_different_have_different_skeletons(one: str, other: str) -> None:
    assert Username.parse(one).skeleton != Username.parse(other).skeleton


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("", "4 to 16"),
        ("abc", "4 to 16"),
        ("a" * 17, "characters, not 17"),
        ("ab@cd", "may only contain letters"),
        ("ab cd", "may only contain letters"),
        ("_abcd", "must begin and end"),
        (f"{CYRILLIC_A}lice", "mix scripts"),
        ("x" * 5000, "4 to 16"),
        ("abc\u05d0", "letters of both writing directions"),
        ("ab\u0378cd", "is not in Unicode"),
        ("ab\u200bcd", "invisible"),
        ("ab\x00cd", "a control character"),
        ("ab\ud800cd", "half of a surrogate pair"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_the_refusal_of_a_username_says_which_rule_it_breaks(raw: str, rule: str) -> None:
    with pytest.raises(InvalidUsername) as refusal:
        Username.parse(raw)
    assert rule in refusal.value.detail


SOFT_DOTTED = [chr(code) for code in read_code_points("soft_dotted.txt")]
DOT_ABOVE = "\u0307"


@pytest.mark.parametrize("letter", SOFT_DOTTED, ids=ascii)
def test_a_dot_above_a_letter_that_has_one_is_nothing(letter: str) -> None:
    """The Unicode property Soft_Dotted, of which there is a list in PropList.txt."""
    assert skeleton(f"ab{letter}{DOT_ABOVE}cd") == skeleton(f"ab{letter}cd")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("adm\u0130n", "admin"),
        ("ADM\u0130N", "admin"),
        ("admi\u0307n", "admin"),
        ("adm\u0131\u0307n", "admin"),  # dotless, and a dot
        ("adm\u0131n", "admin"),
        ("admi\u0358n", "admin"),  # a mark that looks like the dot
        ("admi\u0323\u0307n", "adm\u1ecbn"),  # a mark below lies between
        ("hij\u0307ack", "hijack"),
        ("n\u0237mb", "njmb"),
    ],
    ids=ascii,
)
def test_marks_that_do_not_show_tell_no_names_apart(one: str, other: str) -> None:
    assert Username.parse(one).skeleton == Username.parse(other).skeleton


@pytest.mark.parametrize(
    ("one", "other"),
    [("n\u0308ame", "name"), ("ni\u0301mb", "nimb"), ("n\u0307ame", "name"), ("nìmb", "nímb")],
    ids=ascii,
)
def test_marks_that_show_tell_names_apart(one: str, other: str) -> None:
    assert Username.parse(one).skeleton != Username.parse(other).skeleton


def test_a_mark_that_looks_like_two_is_no_mark_twice() -> None:
    """The prototype of a double acute is two acutes; Hungarian has it."""
    assert Username.parse("erdős").skeleton != Username.parse("erdós").skeleton


@given(name_like | latin_like)
def test_text_with_each_mark_once_keeps_them_all(raw: str) -> None:
    once = remove_repeated_marks(raw)
    assert remove_repeated_marks(once) == once


@pytest.mark.parametrize(
    "raw",
    [
        "jose\u0301\u0301",
        "josé\u0301",
        "josé\u0341",  # another code point for the same mark
        "n\u0303\u0323\u0303ame",  # apart in what was typed, together in NFD
        "ŝ\u0302abc",
        "s\u00f8\u0338ren",  # a stroke over the one that is there
    ],
    ids=ascii,
)
def test_no_letter_has_a_mark_twice(raw: str) -> None:
    with pytest.raises(InvalidUsername, match="same mark twice"):
        Username.parse(raw)


def test_at_most_four_marks_follow_a_letter() -> None:
    marks = "\u0300\u0323\u0331\u0330\u032d"
    assert is_username(f"abcd{marks[:4]}")
    with pytest.raises(InvalidUsername, match="at most 4 marks"):
        Username.parse(f"abcd{marks}")


@pytest.mark.parametrize("sign", "_-.")
def test_no_mark_follows_a_sign(sign: str) -> None:
    """A stroke over a hyphen, a line below an underline: they do not show."""
    for mark in "\u0335\u0336\u0332":
        with pytest.raises(InvalidUsername, match="must follow a letter"):
            Username.parse(f"ab{sign}{mark}cd")


@pytest.mark.parametrize(
    "raw", ["Việtnam", "ngườita", "हिन्दी", "กรุงเทพ", "שָׁלוֹם", "عَرَبِيّ", "ບໍ່ມີ"], ids=ascii
)
def test_marks_as_languages_have_them_are_welcome(raw: str) -> None:
    assert Username.parse(raw).value == normalize("NFC", raw).lower()


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("DEMO1", "demo1"),
        ("ＤｅＭｏ1", "demo1"),
        ("E\u0301clair", "éclair"),
        ("Al", "al"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("a b", None),
        ("", None),
        ("x" * 100_000, None),
        ("josé\u0301", "josé\u0301"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_name_is_looked_up_in_the_form_in_which_it_is_stored(
    raw: str, stored: str | None
) -> None:
    """Also names that were brought in, or given out before a rule was there."""
    assert parse_stored_username(raw) == stored


@given(name_like | latin_like)
def test_every_name_is_looked_up_as_it_would_be_stored(raw: str) -> None:
    name = Username.try_parse(raw)
    assert name is None or parse_stored_username(raw) == name.value


def test_find_returns_none_for_an_impossible_name() -> None:
    assert Username.try_parse("no") is None
    assert Username.try_parse("DEMO1") == Username.parse("demo1")


@given(anything | name_like | latin_like)
def test_any_text_is_a_username_or_is_refused_as_one(raw: str) -> None:
    try:
        name = Username.parse(raw)
    except InvalidUsername:
        return
    assert 4 <= len(name.value) <= 16


@given(name_like | latin_like)
def test_parsing_a_parsed_username_changes_nothing(raw: str) -> None:
    name = Username.try_parse(raw)
    assert name is None or Username.parse(name.value) == name


@given(name_like | latin_like)
def test_a_username_is_stored_composed_and_in_lower_case(raw: str) -> None:
    name = Username.try_parse(raw)
    assert name is None or name.value == normalize("NFC", name.value.lower())


# ------------------------------------------------------------------------- reserved names


@pytest.mark.parametrize("raw", sorted(ALWAYS_RESERVED))
def test_the_built_in_names_are_reserved_without_configuration(raw: str) -> None:
    with pytest.raises(InvalidUsername, match="reserved"):
        ReservedNames.from_config(()).require_free(Username.parse(raw))


def test_the_built_in_names_are_those_of_the_contract() -> None:
    names = {"admin", "auth", "self", "root", "system", "support", "moderator"}
    assert names == ALWAYS_RESERVED


@pytest.mark.parametrize("raw", ["ADMIN", "Ｒｏｏｔ", "rnoderator"])
def test_a_name_that_looks_like_a_reserved_one_is_reserved(raw: str) -> None:
    with pytest.raises(InvalidUsername, match="reserved"):
        ReservedNames.from_config(()).require_free(Username.parse(raw))


@pytest.mark.parametrize("raw", ["staff", "STAFF", "管理员们"])
def test_configured_names_are_reserved_beside_the_built_in_ones(raw: str) -> None:
    reserved = ReservedNames.from_config(["Ｓｔａｆｆ", "管理员们"])
    for name in (raw, "root"):
        with pytest.raises(InvalidUsername, match="reserved"):
            reserved.require_free(Username.parse(name))


def test_a_configured_name_may_be_shorter_than_any_username() -> None:
    reserved = ReservedNames.from_config(["me"])
    assert "me" in reserved.names


@pytest.mark.parametrize("raw", ["admin2", "administrator", "myroot", "userself"])
def test_only_the_whole_name_is_reserved(raw: str) -> None:
    ReservedNames.from_config(()).require_free(Username.parse(raw))


# -------------------------------------------------------------------------- display names


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("User", "User"),
        ("Ｂｏｂ", "Bob"),
        ("  Bob  the   Builder ", "Bob the Builder"),
        ("\u3000张\u3000三\u3000", "张 三"),
        ("ß", "ß"),
        ("😀", "😀"),
        ("x" * 32, "x" * 32),
        ("e\u0301", "é"),
    ],
)
def test_a_display_name_is_a_precis_nickname_that_keeps_its_case(raw: str, shown: str) -> None:
    assert parse_display_name(raw) == shown


@pytest.mark.parametrize(
    "raw",
    ["", " ", "\u3000", "x" * 33, "a\x00b", "a\nb", "\x7f", f"a{ZERO_WIDTH_SPACE}b", "\ud800"],
    ids=ascii,
)
def test_an_invalid_display_name_is_refused_by_its_name(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_display_name(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["display_name"]


@pytest.mark.parametrize("raw", EMOJI)
def test_emoji_as_phones_type_them_are_welcome_in_display_names(raw: str) -> None:
    assert parse_display_name(raw) == raw
    assert parse_display_name(f"  Anna   {raw} ") == f"Anna {raw}"


@pytest.mark.parametrize(("raw", "shown"), [("Foo™", "FooTM"), ("Foo™️", "Foo™️"), ("☃ ☃️", "☃ ☃️")])
def test_a_character_is_an_emoji_only_in_emoji_presentation(raw: str, shown: str) -> None:
    assert parse_display_name(raw) == shown


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("", "1 to 32 characters"),
        ("   ", "1 to 32 characters"),
        ("\u3000", "1 to 32 characters"),
        ("x" * 33, "1 to 32 characters"),
        ("x" * 100_000, "1 to 32 characters"),
        ("a\u0327\u0301" * 50_000, "1 to 32 characters"),
        ("❤️" * 17, "1 to 32 characters"),
        ("a\nb", "a control character: U+000A"),
        ("a\u200bb", "an invisible character: U+200B"),
        ("a\ufe0f", "an invisible character: U+FE0F"),
        ("1\ufe0f", "an invisible character: U+FE0F"),
        ("❤️\u200d", "a joiner between characters that do not join: U+200D"),
        ("a\u200d❤️", "a joiner between characters that do not join: U+200D"),
        ("😀\U000e0061", "an invisible character: U+E0061"),
        ("a\u0378", f"a character that is not in Unicode {unidata_version}: U+0378"),
        ("a\ue000", "a private use character: U+E000"),
        ("a\ud800", "half of a surrogate pair: U+D800"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_the_refusal_of_a_display_name_says_what_is_wrong(raw: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_display_name(raw)
    assert rule in refusal.value.detail


@pytest.mark.parametrize("tail", ["\x00", "x" * 40])
def test_a_display_name_is_not_cut_short_to_fit(tail: str) -> None:
    with pytest.raises(InvalidInput):
        parse_display_name("Bob" + " " * 2000 + tail)


@given(anything)
def test_any_text_is_a_display_name_or_invalid_input(raw: str) -> None:
    try:
        shown = parse_display_name(raw)
    except InvalidInput:
        return
    assert 1 <= len(shown) <= 32
    assert shown == shown.strip(" ")


# --------------------------------------------------------------------------------- e-mail


@pytest.mark.parametrize(
    "raw", ["new@example.com", "a.b+c@sub.example.co", "ñandú@example.com", "a@例え.jp"]
)
def test_an_address_is_shown_as_it_was_written(raw: str) -> None:
    assert Email.parse(raw).value == raw


@pytest.mark.parametrize(
    "domain",
    [
        *("panel.local", "localhost", "host.localhost", "example.test", "test", "nas", "fritz.box"),
        *("home.arpa", "mail.internal", "x.onion", "nobody.invalid", "server.lan", "example"),
    ],
)
def test_domains_of_ones_own_network_are_right(domain: str) -> None:
    """RFC 6761 sets them aside; at home and in tests they are used."""
    assert Email.parse(f"admin@{domain}").value == f"admin@{domain}"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "a",
        "@",
        "a@",
        "@example.com",
        "a@1.2.3.4",
        "a@127",
        "a b@example.com",
        " a@example.com",
        "a@example.com ",
        "a@example.com\n",
        "a@@example.com",
        "a@example..com",
        ".a@example.com",
        "A <a@example.com>",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a\x00b@example.com",
        "\ud800@example.com",
        "a" * 250 + "@example.com",
        "a@" + "b" * 5000 + ".com",
    ],
    ids=ascii,
)
def test_an_invalid_address_is_refused(raw: str) -> None:
    with pytest.raises(InvalidEmail):
        Email.parse(raw)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("User@Example.com", "user@example.COM"),
        ("ÑANDÚ@example.com", "ñandú@example.com"),
        ("n\u0303@example.com", "ñ@example.com"),
        ("STRASSE@example.com", "straße@example.com"),
    ],
)
def test_addresses_are_compared_without_regard_to_case(one: str, other: str) -> None:
    assert Email.parse(one).key == Email.parse(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.b@example.com", "ab@example.com"),
        ("anna@straße.example.de", "anna@strasse.example.de"),
        ("anna@faß.example", "anna@fass.example"),
        ("anna@βόλος.example", "anna@βόλοσ.example"),
        ("anna@ı.example", "anna@i.example"),
    ],
)
def test_different_addresses_have_different_keys(one: str, other: str) -> None:
    """IDNA 2008 (RFC 5894 section 7.2): sharp s and final sigma are letters of their own."""
    assert Email.parse(one).key != Email.parse(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user@münchen.example.de", "user@xn--mnchen-3ya.example.de"),
        ("user@MÜNCHEN.example.de", "User@XN--MNCHEN-3YA.example.DE"),
        ("user@mu\u0308nchen.example.de", "user@münchen.example.de"),
        ("user@straße.example.de", "user@xn--strae-oqa.example.de"),
        ("user@例え。jp", "user@例え.jp"),
        ("user@ｅｘａｍｐｌｅ.com", "user@example.com"),
    ],
)
def test_a_domain_is_one_in_whichever_form_it_is_written(one: str, other: str) -> None:
    assert Email.parse(one).key == Email.parse(other).key


@given(anything | st.emails())
def test_any_text_is_an_address_or_is_refused_as_one(raw: str) -> None:
    try:
        email = Email.parse(raw)
    except InvalidEmail:
        return
    assert email.key == email_key(email.value)
