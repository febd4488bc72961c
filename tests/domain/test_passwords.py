"""The password policy: the rules of the wire contract, section 1."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import WeakPassword
from app.domain.passwords import normalize_password, validate_new_password
from tests.domain.emoji import EMOJI


def policy(raw: str, username: str = "demouser", email: str | None = "demo@example.com") -> str:
    return validate_new_password(raw, username=username, email=email)


@pytest.mark.parametrize(
    "raw",
    [
        "********",
        "rawPassword1",
        "correct horse battery",
        "密码密码密码密码",
        "😀😀😀😀😀😀😀😀",
        "ÄÖÜäöüß!",
        '";DROP--',
    ],
)
def test_a_good_password_is_taken_as_it_is(raw: str) -> None:
    assert policy(raw) == raw == normalize_password(raw)


@pytest.mark.parametrize(
    ("length", "fits"),
    [(0, False), (7, False), (8, True), (128, True), (129, False), (9999, False)],
)
@pytest.mark.parametrize("character", ["~", "é", "字", "😀"])
def test_a_password_has_8_to_128_characters(length: int, fits: bool, character: str) -> None:
    try:
        assert policy(character * length) == character * length
    except WeakPassword:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize("count", [8, 64, 128])
@pytest.mark.parametrize("character", ["é", "ế", "각", "ᾂ"])
def test_composed_and_decomposed_forms_are_one_password(character: str, count: int) -> None:
    composed = character * count
    decomposed = normalize("NFD", composed)
    assert policy(composed) == composed
    assert policy(decomposed) == composed
    assert normalize_password(decomposed) == composed


def test_length_counts_after_composition() -> None:
    with pytest.raises(WeakPassword):
        policy(normalize("NFD", "ééééééé"))


@pytest.mark.parametrize("raw", [" inner space ", "        ", "  leading", "trailing  "])
def test_spaces_are_never_trimmed(raw: str) -> None:
    assert policy(raw) == raw == normalize_password(raw)


def test_all_spaces_are_one_space() -> None:
    assert policy("full\u3000width\u00a0space") == "full width space"


def test_case_and_width_tell_passwords_apart() -> None:
    assert policy("Ｓesame-ＯＰＥＮ") == "Ｓesame-ＯＰＥＮ"


@pytest.mark.parametrize(
    "raw",
    [
        "tab\there!",
        "line\nbreak",
        "nul\x00byte",
        "delete\x7fme",
        "c1\u0085control",
        "zero\u200bwidth",
        "bidi\u202eoverride",
        "unassigned\u0378",
        "surrogate\ud800",
    ],
    ids=ascii,
)
def test_control_and_unassigned_characters_are_refused(raw: str) -> None:
    with pytest.raises(WeakPassword):
        policy(raw)
    assert normalize_password(raw) is None


@pytest.mark.parametrize("emoji", EMOJI)
def test_emoji_as_phones_type_them_are_welcome(emoji: str) -> None:
    raw = f"horse {emoji} battery"
    assert policy(raw) == raw == normalize_password(raw)


def test_a_password_of_marks_out_of_order_is_refused_before_it_is_normalized() -> None:
    raw = "a" + "\u0327\u0301" * 500_000
    assert normalize_password(raw) is None
    with pytest.raises(WeakPassword, match="8 to 128"):
        policy(raw)


@pytest.mark.parametrize("raw", ["password1", "PASSWORD1", "12345678", "Princess09", "qwertyuiop"])
def test_common_passwords_are_refused_in_any_case(raw: str) -> None:
    with pytest.raises(WeakPassword, match="common"):
        policy(raw)


@pytest.mark.parametrize("raw", ["demouser", "DemoUser", "DEMOUSER"])
def test_the_username_is_no_password(raw: str) -> None:
    with pytest.raises(WeakPassword, match="username"):
        policy(raw)


@pytest.mark.parametrize("raw", ["demo@example.com", "Demo@Example.COM"])
def test_the_email_address_is_no_password(raw: str) -> None:
    with pytest.raises(WeakPassword, match="e-mail"):
        policy(raw)


def test_a_password_may_contain_the_username() -> None:
    assert policy("demouser-and-more") == "demouser-and-more"


def test_an_account_without_an_address_may_have_any_address_as_password() -> None:
    assert policy("demo@example.com", email=None) == "demo@example.com"


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("short", "8 to 128"),
        ("x" * 999, "128"),
        ("a\x00bcdefgh", "control"),
        ("zero\u200bwidth", "an invisible character"),
        ("select\ufe0fed", "an invisible character"),
        ("unassigned\u0378", "is not in Unicode"),
        ("surrogate\ud800", "half of a surrogate pair"),
        ("password1", "common"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_the_refusal_says_the_rule_and_not_the_password(raw: str, rule: str) -> None:
    with pytest.raises(WeakPassword) as refusal:
        policy(raw)
    assert rule in refusal.value.detail
    assert raw not in refusal.value.detail


@given(st.text(st.characters(), max_size=150))
def test_any_text_is_a_password_or_a_weak_one(raw: str) -> None:
    try:
        prepared = policy(raw)
    except WeakPassword:
        return
    assert 8 <= len(prepared) <= 128
    assert normalize_password(raw) == prepared


@given(st.text(st.characters(), max_size=150))
def test_preparing_a_prepared_password_changes_nothing(raw: str) -> None:
    prepared = normalize_password(raw)
    assert prepared is None or normalize_password(prepared) == prepared
