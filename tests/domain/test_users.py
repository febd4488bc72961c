"""Accounts: their three names, their entity tags, and the last admin."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInput, LastAdmin, PreconditionFailed, UserNotFound
from app.domain.preconditions import Preconditions
from app.domain.users import (
    AccountRef,
    Sort,
    SortKey,
    User,
    parse_snowflake,
    parse_uuid,
    require_active_admin,
)

UUID_TEXT = "0f8fad5b-d9cb-469f-a165-70867728950e"
USER = User(7, 71395574100676609, UUID_TEXT, "demo", "Demo", None, None, False, False, 3)
ADMIN = replace(USER, admin=True)


# --------------------------------------------------------------------------- three names


@pytest.mark.parametrize("raw", [UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.title()])
def test_a_uuid_is_read_in_any_case(raw: str) -> None:
    assert parse_uuid(raw) == UUID_TEXT


@pytest.mark.parametrize(
    "raw",
    [
        "",
        UUID_TEXT.replace("-", ""),
        "{" + UUID_TEXT.replace("-", "") + "}--",
        "urn:uuid:" + UUID_TEXT,
        UUID_TEXT[:-1],
        UUID_TEXT + "0",
        UUID_TEXT[:-1] + "g",
        UUID_TEXT[:-1] + "\n",
        UUID_TEXT.replace("0", "٠"),
        "0f8fad5bd-9cb-469f-a165-70867728950e",
        "x" * 36,
    ],
    ids=ascii,
)
def test_a_uuid_without_36_characters_is_none(raw: str) -> None:
    assert parse_uuid(raw) is None


@pytest.mark.parametrize(
    ("raw", "value"),
    [("71395574100676609", 71395574100676609), ("1", 1), (str(2**63 - 1), 2**63 - 1)],
)
def test_a_snowflake_is_read_from_its_decimal_form(raw: str, value: int) -> None:
    assert parse_snowflake(raw) == value


@pytest.mark.parametrize(
    "raw",
    ["", "0", "01", "-1", "+1", " 1", "1 ", "1_0", "1.0", "1e3", "٣", "²", str(2**63), "9" * 99],
)
def test_an_invalid_snowflake_is_none(raw: str) -> None:
    assert parse_snowflake(raw) is None


@given(st.uuids())
def test_every_uuid_names_an_account_by_uuid(uuid: UUID) -> None:
    assert AccountRef.parse(str(uuid)) == AccountRef(uuid=str(uuid))


@given(st.integers(1, 2**63 - 1))
def test_every_snowflake_names_an_account_by_snowflake(value: int) -> None:
    assert AccountRef.parse(str(value)) == AccountRef(id=value)


@given(st.text(st.characters(), max_size=40).filter(lambda text: not text.isdecimal()))
def test_an_identifier_of_no_account_is_not_found(raw: str) -> None:
    with pytest.raises(UserNotFound):
        AccountRef.parse(raw)


# ---------------------------------------------------------------------------- entity tags


def test_the_tag_is_strong_and_of_one_version() -> None:
    assert USER.etag.startswith('"')
    assert USER.etag.endswith('"')
    assert USER.etag != replace(USER, version=4).etag
    assert USER.etag != replace(USER, number=8).etag


# --------------------------------------------------------------------------- the last one


@pytest.mark.parametrize(
    "loss", [{"admin": False}, {"disabled": True}, {"admin": False, "disabled": True}]
)
def test_the_last_admin_must_stay(loss: dict[str, bool]) -> None:
    after = replace(ADMIN, **loss)  # type: ignore[arg-type]
    with pytest.raises(LastAdmin):
        require_active_admin(ADMIN, after, others=lambda: False)
    require_active_admin(ADMIN, after, others=lambda: True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (USER, replace(USER, disabled=True)),
        (ADMIN, replace(ADMIN, username="other")),
        (USER, ADMIN),
        (replace(ADMIN, disabled=True), replace(USER, disabled=True)),
    ],
    ids=["disable a user", "rename an admin", "promote", "demote a disabled admin"],
)
def test_a_change_that_takes_no_active_admin_away_is_free(before: User, after: User) -> None:
    require_active_admin(before, after, others=lambda: False)


@pytest.mark.parametrize(
    ("admin", "disabled", "acts"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_an_admin_acts_unless_disabled(admin: bool, disabled: bool, acts: bool) -> None:
    assert replace(USER, admin=admin, disabled=disabled).is_active_admin is acts


# ------------------------------------------------------------------------------- sorting


@pytest.mark.parametrize("key", SortKey)
def test_a_sort_is_a_key_and_descends_with_a_dash(key: SortKey) -> None:
    assert Sort.parse(str(key)) == Sort(key, descending=False)
    assert Sort.parse(f"-{key}") == Sort(key, descending=True)


@pytest.mark.parametrize("raw", ["", "-", "--id", "ID", "number", "id ", "username,email"])
def test_any_other_sort_is_refused_by_its_name(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Sort.parse(raw)
    assert [
        (field_error.name, field_error.location) for field_error in refusal.value.field_errors
    ] == [("sort", "body")]


def test_parts_that_a_change_cannot_touch_do_not_guard_it() -> None:
    tags = {USER.etag_with(*parts) for parts in (("",), ("a",), ("b",), ("a", "b"), ("b", "a"))}
    assert len(tags) == 5
    assert USER.etag_with() == USER.etag_with(None) == USER.etag
    for tag in tags:
        assert tag != USER.etag
        Preconditions(f'"other", {tag}').require_version(USER.etag)
        with pytest.raises(PreconditionFailed):
            Preconditions(tag).require(USER.etag)
        Preconditions(if_none_match=tag).require(USER.etag)
        with pytest.raises(PreconditionFailed):
            Preconditions(tag).require_version(replace(USER, version=USER.version + 1).etag)
        with pytest.raises(PreconditionFailed):
            Preconditions(f"W/{tag}").require_version(USER.etag)
