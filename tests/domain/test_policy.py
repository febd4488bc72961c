"""Who may do what, and who is told no."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.credentials import AccessKey, Origin, Session
from app.domain.errors import Forbidden, InvalidPresence, RegistrationClosed
from app.domain.policy import THE_OPERATOR, Access, Principal, may_take_held_names
from app.domain.presence import Presence
from app.domain.rules import Rules
from app.domain.users import User

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = User(1, 10, "u", "demo", "Demo", None, None, admin=False, disabled=False, version=1)
ADMIN = replace(USER, admin=True)
SESSION = Session.open(session_id="s", user_id=10, now=NOW, ttl=timedelta(days=7), origin=Origin())
KEY = AccessKey("FAKE0001", 10, "key", b"", NOW, None, None)

ACTORS = {
    "user by token": Principal(USER, session=SESSION),
    "user by key": Principal(USER, key=KEY),
    "admin by token": Principal(ADMIN, session=SESSION),
    "admin by key": Principal(ADMIN, key=KEY),
    "operator": THE_OPERATOR,
}
ALLOWED = {
    Access.ANYONE: set(ACTORS),
    Access.HOLDER: set(ACTORS) - {"operator"},
    Access.TOKEN: {"user by token", "admin by token"},
    Access.ADMIN: {"admin by token", "admin by key", "operator"},
}


@pytest.mark.parametrize("name", ACTORS)
@pytest.mark.parametrize("access", Access)
def test_access_is_given_to_just_whom_it_is_for(access: Access, name: str) -> None:
    if name in ALLOWED[access]:
        access.require(ACTORS[name])
    else:
        with pytest.raises(Forbidden):
            access.require(ACTORS[name])


def test_a_disabled_admin_is_no_admin() -> None:
    with pytest.raises(Forbidden):
        Access.ADMIN.require(Principal(replace(ADMIN, disabled=True), session=SESSION))


@pytest.mark.parametrize("access", [Access.HOLDER, Access.TOKEN, Access.ADMIN])
def test_a_refusal_says_what_it_takes(access: Access) -> None:
    refused = next(actor for name, actor in ACTORS.items() if name not in ALLOWED[access])
    with pytest.raises(Forbidden) as refusal:
        access.require(refused)
    assert refusal.value.detail == access.refusal != ""


@pytest.mark.parametrize(("actor", "may"), [(a, a.user.admin) for a in ACTORS.values()])
def test_only_admins_override_names_that_are_held_back(actor: Principal, may: bool) -> None:
    assert may_take_held_names(actor) is may


def test_registration_is_open_unless_it_is_closed() -> None:
    Rules().require_open_registration()
    with pytest.raises(RegistrationClosed):
        Rules(registration_open=False).require_open_registration()


def test_the_rules_are_those_of_the_contract_where_nobody_turned_them() -> None:
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
