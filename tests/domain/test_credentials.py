"""Sessions, access keys and their times: the wire contract, section 2."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.credentials import (
    KEY_NAME_MAX,
    AccessKey,
    Origin,
    RawAccessKey,
    Session,
    parse_key_expiry,
    parse_key_name,
)
from app.domain.errors import InvalidInput

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
KEY = "ABCDefgh-0123-abcd-WXYZ-zzzz9999"


def session(ttl: timedelta = WEEK, origin: Origin | None = None) -> Session:
    return Session.create(
        session_id="s", user_id=1, now=NOW, ttl=ttl, origin=origin or Origin("192.0.2.1", "curl")
    )


def access_key(text: str = KEY, expires_at: datetime | None = None) -> AccessKey:
    parsed = RawAccessKey.parse(text)
    assert parsed is not None
    return AccessKey(parsed.id, 1, "test", parsed.secret_hash, NOW, expires_at, None)


# ------------------------------------------------------------------------------- sessions


def test_a_session_lives_as_long_as_its_first_token() -> None:
    opened = session()
    assert opened.expires_at == NOW + WEEK
    assert opened.is_active(NOW + WEEK - timedelta(seconds=1))
    assert not opened.is_active(NOW + WEEK)


def test_a_session_remembers_where_it_came_from() -> None:
    opened = session()
    assert (opened.address, opened.agent) == ("192.0.2.1", "curl")
    assert opened.created_at == opened.last_seen_at == NOW


def test_a_session_of_unknown_origin_says_so() -> None:
    opened = session(origin=Origin())
    assert (opened.address, opened.agent) == (None, None)


@pytest.mark.parametrize(
    ("agent", "kept"), [("x" * 300, "x" * 256), ("a\x1b[31mb\nc", "a[31mbc"), ("", "")], ids=ascii
)
def test_an_agent_is_kept_printable_and_short(agent: str, kept: str) -> None:
    assert session(origin=Origin(None, agent)).agent == kept


def test_a_refresh_moves_the_end_on() -> None:
    day = timedelta(days=1)
    assert session().refreshed(NOW + day, WEEK).expires_at == NOW + day + WEEK


def test_a_session_ends_after_90_days_however_often_it_is_refreshed() -> None:
    refreshed = session()
    for day in range(1, 90):
        refreshed = refreshed.refreshed(NOW + timedelta(days=day), WEEK)
    assert refreshed.expires_at == NOW + timedelta(days=90)


def test_a_token_lifetime_beyond_90_days_makes_no_longer_session() -> None:
    assert session(ttl=timedelta(days=365)).expires_at == NOW + timedelta(days=90)


def test_a_refresh_never_brings_the_end_nearer() -> None:
    refreshed = session().refreshed(NOW, timedelta(hours=1))
    assert refreshed.expires_at == NOW + WEEK


# ---------------------------------------------------------------------------- access keys


def test_the_first_group_of_a_key_is_its_public_id() -> None:
    key = RawAccessKey.parse(KEY)
    assert key is not None
    assert key.id == "ABCDefgh"


def test_a_key_opens_what_was_stored_of_it() -> None:
    assert RawAccessKey(KEY).matches(access_key())


@pytest.mark.parametrize("place", [i for i, c in enumerate(KEY) if i > 8 and c != "-"])
def test_a_key_with_another_secret_opens_nothing(place: int) -> None:
    other = KEY[:place] + KEY[place].swapcase().replace(KEY[place], "x") + KEY[place + 1 :]
    assert other != KEY
    assert not RawAccessKey(other).matches(access_key())


def test_the_secret_of_a_key_is_not_in_what_is_stored() -> None:
    stored = repr(access_key())
    assert not any(group in stored for group in KEY.split("-")[1:])


@pytest.mark.parametrize(
    "raw",
    [
        "",
        KEY[:-1],
        KEY + "x",
        KEY + "\n",
        " " + KEY,
        KEY.replace("-", "_"),
        KEY.replace("-", ""),
        KEY.replace("A", "Ａ"),
        KEY.replace("0", "٠"),
        KEY.replace("A", "!"),
        "a.b.c",
        "00000000-0000-0000-0000-000000000000",
    ],
    ids=ascii,
)
def test_a_malformed_key_is_none(raw: str) -> None:
    assert RawAccessKey.parse(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        "ABCDEFGH-1234-5678-0000-abcdefgh",
        "demo1111-2222-3333-4444-55556666",
        "DEMO1111-2222-3333-4444-55556666",
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxx",
        "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbb",
    ],
)
def test_the_panel_documents_examples_are_known_for_keys_that_everybody_knows(raw: str) -> None:
    assert RawAccessKey(raw).is_published
    assert not RawAccessKey(raw[:-1] + "7").is_published


def test_a_key_without_an_end_lives_on() -> None:
    assert access_key().is_active(NOW + timedelta(days=10_000))


def test_a_key_with_an_end_is_dead_from_then_on() -> None:
    key = access_key(expires_at=NOW + WEEK)
    assert key.is_active(NOW + WEEK - timedelta(milliseconds=1))
    assert not key.is_active(NOW + WEEK)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("panel", "panel"),
        ("  my key ", "my key"),
        ("钥匙", "钥匙"),
        ("x" * 64, "x" * 64),
        ("👩🏾‍💻 ❤️", "👩🏾‍💻 ❤️"),
    ],
)
def test_a_key_has_a_name(raw: str, kept: str) -> None:
    assert parse_key_name(raw) == kept


@pytest.mark.parametrize(
    "raw", ["", "  ", "x" * 65, "a\nb", "a\x00b", "a\u202eb", "a\u200db", "\ud800"], ids=ascii
)
def test_a_key_has_no_other_name(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_key_name(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["name"]


# --------------------------------------------------------------------------- when it ends


@pytest.mark.parametrize(
    ("raw", "instant"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31t12:00:00z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00+02:00", datetime(2030, 1, 31, 10, tzinfo=UTC)),
        ("2030-01-31T23:30:00-01:00", datetime(2030, 2, 1, 0, 30, tzinfo=UTC)),
        ("2030-01-31T12:00:00.250Z", datetime(2030, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-01-01T12:00:01Z", datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)),
    ],
)
def test_an_end_is_read_as_an_instant_in_utc(raw: str, instant: datetime) -> None:
    expires = parse_key_expiry(raw, NOW)
    assert expires == instant
    assert expires is not None
    assert expires.utcoffset() == timedelta(0)


def test_no_end_is_never() -> None:
    assert parse_key_expiry(None, NOW) is None


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "tomorrow",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "2030-01-31 12:00:00Z",
        "2030-01-31T12:00Z",
        "2030-W05-4T12:00:00Z",
        "20300131T120000Z",
        "2030-02-30T12:00:00Z",
        "2030-01-31T25:00:00Z",
        "2030-01-31T12:00:00+25:00",
        "2030-01-31T12:00:00.Z",
        "0000-01-01T00:00:00Z",
        "２０３０-01-31T12:00:00Z",
        "2030-01-31T12:00:00Z\n",
        "1893499200",
        "9999-12-31T23:59:59-23:59",
    ],
    ids=ascii,
)
def test_an_invalid_rfc_3339_time_is_refused(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_key_expiry(raw, NOW)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["expires_at"]


@pytest.mark.parametrize(
    "raw", ["2026-01-01T12:00:00Z", "2025-12-31T00:00:00Z", "2026-01-01T13:00:00+02:00"]
)
def test_an_end_lies_in_the_future(raw: str) -> None:
    with pytest.raises(InvalidInput):
        parse_key_expiry(raw, NOW)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=365 * 7000)))
def test_output_of_isoformat_is_parsed(ahead: timedelta) -> None:
    moment = NOW + ahead
    assert parse_key_expiry(moment.isoformat(timespec="milliseconds"), NOW) is not None
    assert parse_key_expiry(moment.isoformat(timespec="seconds"), NOW) == moment.replace(
        microsecond=0
    )


@given(st.text(st.characters(), max_size=40) | st.from_regex(r"\A[0-9]{4}(-[0-9]{2}){2}T.*"))
def test_any_text_is_a_future_end_or_invalid_input(raw: str) -> None:
    try:
        expires = parse_key_expiry(raw, NOW)
    except InvalidInput:
        return
    assert expires is not None
    assert expires > NOW


def test_a_far_too_long_name_of_a_key_is_refused_unread() -> None:
    longest = " " * (8 * KEY_NAME_MAX - 1) + "x"
    assert parse_key_name(longest) == "x"
    with pytest.raises(InvalidInput):
        parse_key_name(" " + longest)
