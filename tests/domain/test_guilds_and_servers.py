"""Guilds and servers: valid names, members and owners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInput
from app.domain.guilds_and_servers import (
    parse_guild_id,
    parse_icon_url,
    parse_label,
    parse_server_uuid,
)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [("Survival", "Survival"), ("  My  server ", "My  server"), ("服务器", "服务器")],
)
def test_a_label_is_kept_without_the_spaces_around_it(raw: str, kept: str) -> None:
    assert parse_label(raw) == kept


@pytest.mark.parametrize(("length", "fits"), [(0, False), (1, True), (100, True), (101, False)])
def test_a_label_has_1_to_100_characters(length: int, fits: bool) -> None:
    if fits:
        assert parse_label("名" * length) == "名" * length
    else:
        with pytest.raises(InvalidInput):
            parse_label("名" * length)


def test_emoji_are_welcome_in_a_label() -> None:
    assert parse_label("🧑‍🌾 farm ❤️") == "🧑‍🌾 farm ❤️"


@pytest.mark.parametrize(
    "raw", [" ", "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "\ud800"], ids=ascii
)
def test_a_label_is_printable(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_label(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["name"]


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "https://example.com/icon.png",
        "http://example.com",
        "HTTPS://例え.jp/アイコン.png?size=64#x",
        "https://[2001:db8::1]:8443/i.png",
    ],
)
def test_an_icon_is_a_url_or_none(raw: str | None) -> None:
    assert parse_icon_url(raw) == raw


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "icon.png",
        "/icon.png",
        "//example.com/icon.png",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "ftp://example.com/icon.png",
        "https://",
        "https:///icon.png",
        "http://[::1",
        "https://example.com/a b.png",
        "\thttps://example.com",
        "https://example.com/\n",
        "https://example.com/\ud800",
        "https://example.com/" + "a" * 2048,
    ],
    ids=lambda raw: ascii(raw)[:40],
)
def test_an_icon_has_to_be_a_web_address(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_icon_url(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["icon"]


def test_a_guild_is_named_by_snowflake() -> None:
    assert parse_guild_id("71395574100676610") == 71395574100676610


def test_a_server_is_named_by_uuid_in_any_case() -> None:
    assert (
        parse_server_uuid("7C9E6679-7425-40DE-944B-E07FC1F90AE7")
        == "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    )


@pytest.mark.parametrize("raw", ["", "0", "-1", "abc", "7c9e6679-7425-40de-944b-e07fc1f90ae7"])
def test_a_guild_has_no_other_name(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_guild_id(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["id"]


@pytest.mark.parametrize("raw", ["", "71395574100676610", "7c9e6679742540de944be07fc1f90ae7"])
def test_a_server_has_no_other_name(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_server_uuid(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["uuid"]


@given(st.text(st.characters(), max_size=60) | st.text().map("https://{}".format))
def test_any_text_is_an_icon_or_invalid_input(raw: str) -> None:
    try:
        icon = parse_icon_url(raw)
    except InvalidInput:
        return
    assert icon == raw
