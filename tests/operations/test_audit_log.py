"""The audit log records a field by name alone, unless a rule says otherwise."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.credentials import AccessKey, Session
from app.domain.guilds_and_servers import Guild, Server
from app.domain.key_limits import Networks, Scope
from app.domain.presence import Presence
from app.domain.users import User
from app.operations.framework.audit_log import AUDIT_RULES, AuditDetail, AuditRule, diff_entities

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# None of their fields is empty.
THINGS: list[Any] = [
    User(1, 2, "u", "alice", "Alice", "a@b.c", "hash", False, False, 1, Presence.IDLE),
    Session("s", 2, NOW, NOW, NOW, "192.0.2.1", "a browser"),
    AccessKey("k", 2, "panel", b"hash", NOW, NOW, NOW, networks=Networks.parse(["::/0"])),
    Server(1, "u", 2, "o", "Survival", enabled=False, active=False),
    Guild(1, "Builders", 2, "https://example.com/icon"),
]
OTHERS: dict[type, Any] = {
    bool: True,
    int: 7,
    str: "other",
    bytes: b"other",
    datetime: datetime(2030, 1, 1, tzinfo=UTC),
    Presence: Presence.DND,
    Scope: Scope.READ,
    Networks: Networks.parse(["192.0.2.0/24"]),
}


@pytest.mark.parametrize("kind", AUDIT_RULES)
def test_every_rule_is_about_a_field(kind: Any) -> None:
    assert AUDIT_RULES[kind].keys() <= {field.name for field in fields(kind)}


def test_a_field_without_a_rule_is_kept_by_name() -> None:
    user = THINGS[0]
    changed = replace(user, display_name="Alicia", email="new@b.c")
    assert diff_entities(user, changed) == {"display_name": None, "email": None}


def test_everything_whose_changes_are_recorded_has_rules() -> None:
    assert [*AUDIT_RULES] == [type(thing) for thing in THINGS]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_a_field_that_changes_is_shown_as_its_rule_says(thing: Any) -> None:
    for field in fields(thing):
        old = getattr(thing, field.name)
        new = OTHERS[type(old)]
        rule = AUDIT_RULES[type(thing)].get(field.name, AuditRule(AuditDetail.NAME))
        values = tuple(str(it) if type(it) is int else it for it in (old, new))
        shown = values if rule.kept is AuditDetail.VALUE else None
        expected = {} if rule.kept is AuditDetail.NOTHING else {rule.shown or field.name: shown}
        assert diff_entities(thing, replace(thing, **{field.name: new})) == expected


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_unchanged_values_are_not_shown(thing: Any) -> None:
    assert diff_entities(thing, replace(thing)) == {}


def test_secrets_and_texts_of_people_are_never_shown() -> None:
    kept = {
        (kind.__name__, name)
        for kind, rules in AUDIT_RULES.items()
        for name, rule in rules.items()
        if rule.kept is AuditDetail.VALUE
    }
    assert kept == {
        ("User", "username"),
        ("User", "admin"),
        ("User", "disabled"),
        ("Session", "id"),
        ("AccessKey", "id"),
        ("Server", "owner_uuid"),
        ("Server", "enabled"),
        ("Guild", "owner_id"),
    }


def test_created_and_deleted_entities_are_named() -> None:
    user, session, key, server, guild = THINGS
    assert diff_entities(None, user) == {"username": (None, "alice")}
    assert diff_entities(None, replace(user, admin=True)) == {
        "username": (None, "alice"),
        "admin": (False, True),
    }
    assert diff_entities(None, session) == {"session": (None, "s")}
    assert diff_entities(key, None) == {"key": ("k", None)}
    assert diff_entities(None, server) == {
        "owner": (None, "o"),
        "name": None,
        "active": (None, False),
    }
    assert diff_entities(server, None) == {"owner": ("o", None)}
    assert diff_entities(None, guild) == {"name": None, "owner_id": (None, "2")}
    assert diff_entities(guild, None) == {"owner_id": ("2", None)}
