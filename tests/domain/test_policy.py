"""Permissions: every access level for every kind of caller."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.credentials import AccessKey, Origin, Session
from app.domain.errors import Forbidden, InvalidPresence, RegistrationClosed
from app.domain.key_limits import UNLIMITED, Scope
from app.domain.policy import (
    OPERATOR_PRINCIPAL,
    READ_ONLY,
    Access,
    Principal,
    can_list_members,
    can_take_held_names,
)
from app.domain.presence import Presence
from app.domain.rules import Rules
from app.domain.users import User

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = User(1, 10, "u", "demo", "Demo", None, None, admin=False, disabled=False, version=1)
ADMIN = replace(USER, admin=True)
SESSION = Session.create(
    session_id="s", user_id=10, now=NOW, ttl=timedelta(days=7), origin=Origin()
)
KEY = AccessKey("FAKE0001", 10, "key", b"", NOW, None, None)

ACTORS = {
    "user by token": Principal(USER, session=SESSION),
    "user by key": Principal(USER, key=KEY),
    "admin by token": Principal(ADMIN, session=SESSION),
    "admin by key": Principal(ADMIN, key=KEY),
    "user by self key": Principal(USER, key=replace(KEY, scope=Scope.SELF)),
    "user by read key": Principal(USER, key=replace(KEY, scope=Scope.READ)),
    "admin by self key": Principal(ADMIN, key=replace(KEY, scope=Scope.SELF)),
    "admin by read key": Principal(ADMIN, key=replace(KEY, scope=Scope.READ)),
    "operator": OPERATOR_PRINCIPAL,
}
ALLOWED = {
    Access.ANYONE: set(ACTORS),
    Access.HOLDER: set(ACTORS) - {"operator"},
    Access.TOKEN: {"user by token", "admin by token"},
    Access.ADMIN: {"admin by token", "admin by key", "admin by read key", "operator"},
}
READERS = {"user by read key", "admin by read key"}


@pytest.mark.parametrize("name", ACTORS)
@pytest.mark.parametrize("access", Access)
def test_access_is_given_to_just_whom_it_is_for(access: Access, name: str) -> None:
    if name in ALLOWED[access]:
        access.require(ACTORS[name], changes=False)
    else:
        with pytest.raises(Forbidden):
            access.require(ACTORS[name], changes=False)


@pytest.mark.parametrize("name", ACTORS)
@pytest.mark.parametrize("access", Access)
def test_changes_are_for_the_same_callers_except_read_keys(access: Access, name: str) -> None:
    if name in ALLOWED[access] and (name not in READERS or access is Access.ANYONE):
        access.require(ACTORS[name], changes=True)
    else:
        with pytest.raises(Forbidden):
            access.require(ACTORS[name], changes=True)


def test_the_error_for_a_read_key_names_its_scope() -> None:
    with pytest.raises(Forbidden) as refusal:
        Access.HOLDER.require(ACTORS["user by read key"], changes=True)
    assert refusal.value.detail == READ_ONLY


@pytest.mark.parametrize("name", ACTORS)
def test_a_key_has_bounds_and_nothing_else_has(name: str) -> None:
    actor = ACTORS[name]
    assert actor.limits == (UNLIMITED if actor.key is None else actor.key.limits)


def test_a_disabled_admin_is_no_admin() -> None:
    with pytest.raises(Forbidden):
        Access.ADMIN.require(
            Principal(replace(ADMIN, disabled=True), session=SESSION), changes=False
        )


@pytest.mark.parametrize("access", [Access.HOLDER, Access.TOKEN, Access.ADMIN])
def test_a_refusal_says_what_it_takes(access: Access) -> None:
    refused = next(actor for name, actor in ACTORS.items() if name not in ALLOWED[access])
    with pytest.raises(Forbidden) as refusal:
        access.require(refused, changes=False)
    assert refusal.value.detail == access.refusal != ""


@pytest.mark.parametrize("name", ACTORS)
def test_only_admins_override_names_that_are_held_back(name: str) -> None:
    assert can_take_held_names(ACTORS[name]) is (name in ALLOWED[Access.ADMIN])


def test_registration_is_open_unless_it_is_closed() -> None:
    Rules().require_open_registration()
    with pytest.raises(RegistrationClosed):
        Rules(registration_open=False).require_open_registration()


def test_the_default_rules_are_those_of_the_contract() -> None:
    rules = Rules()
    assert (rules.name_hold.days, rules.token_ttl.days) == (30, 7)


@pytest.mark.parametrize("raw", ["ONLINE", "IDLE", "DND", "INVISIBLE", "OFFLINE"])
def test_a_presence_is_one_of_five(raw: str) -> None:
    assert Presence.parse(raw) == raw


@pytest.mark.parametrize("raw", ["", "online", "AWAY", " ONLINE", "ONLINE\n", "ＯＮＬＩＮＥ"])
def test_any_other_presence_is_refused_with_the_five_named(raw: str) -> None:
    with pytest.raises(InvalidPresence) as refusal:
        Presence.parse(raw)
    assert all(name in refusal.value.detail for name in Presence)


def test_a_principal_names_its_credential() -> None:
    assert Principal(USER, session=SESSION).credential_id == "s"
    assert Principal(USER, key=KEY).credential_id == "FAKE0001"
    assert OPERATOR_PRINCIPAL.credential_id == ""


@pytest.mark.parametrize("name", ACTORS)
def test_members_are_listed_to_members_and_admins(name: str) -> None:
    assert can_list_members(ACTORS[name], belongs=lambda: True)
    is_admin = name in ALLOWED[Access.ADMIN]
    assert can_list_members(ACTORS[name], belongs=lambda: False) is is_admin
