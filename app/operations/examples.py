"""Examples of requests and results, those of the seed documents where they have one.

Accounts, guilds and servers are shown by their views, so a new member of a view is in the examples.
"""

from typing import Any

from app.domain.guilds_and_servers import Guild, Server
from app.domain.users import User
from app.operations.views.accounts import (
    chat_user,
    created_user,
    panel_user,
    panel_user_detail,
    profile,
)
from app.operations.views.guilds_and_servers import guild_view, server_view


def _user(number: int, uuid: str, username: str, email: str | None, *, admin: bool = False) -> User:
    return User(number, 71395574100676609, uuid, username, username, email, None, admin)


_LOGIN = {"user_id": "71395574100676609", "token": "********"}
_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
_OTHER_UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
_USER = _user(1, _UUID, "user", None)
_CHAT_USER, _PROFILE = chat_user(_USER), profile(_USER)
_ADMIN = _user(1, _UUID, "demoaccount", "some@example.com", admin=True)
_PANEL_USERS = {
    _UUID: panel_user(_ADMIN),
    _OTHER_UUID: panel_user(_user(2, _OTHER_UUID, "demoaccount2", "two@example.com")),
}
_SESSION = {
    "id": "5b1c0f4e-6a1f-4d7e-9c55-2f9d2f6f0a11",
    "created_at": "2026-01-31T12:00:00Z",
    "expires_at": "2026-02-07T12:00:00Z",
    "last_seen_at": "2026-01-31T12:30:00Z",
    "address": "203.0.113.7",
    "agent": "chat-client/1.0",
    "current": True,
}
_KEY = {
    "id": "ABCDEFGH",
    "name": "panel",
    "created_at": "2026-01-31T12:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "scope": "self",
    "networks": ["192.0.2.0/24", "2001:db8::/32"],
}
_GUILD = guild_view(Guild(71395574100676610, "Builders", 71395574100676609, None))
_ENTRY = {
    "id": 12,
    "at": "2026-01-31T12:00:00Z",
    "actor": _UUID,
    "action": "admin.users.update",
    "outcome": "done",
    "target": {"kind": "user", "id": _OTHER_UUID},
    "changes": {"admin": {"before": 0, "after": 1}, "password": None},
    "door": "rest",
    "address": "203.0.113.7",
    "request_id": "9f0c2b8e6d3a4c51",
    "credential": {"kind": "key", "id": "ABCDEFGH"},
}
_MESSAGE = {
    "id": 7,
    "kind": "servers",
    "user_id": "71395574100676609",
    "payload": {"disabled": True},
    "state": "waiting",
    "created_at": "2026-01-31T12:00:00Z",
    "attempts": 3,
    "due_at": "2026-01-31T12:00:11Z",
    "ended_at": None,
    "outcome": None,
    "error": "The panel did not answer in time; try again later.",
}
_SERVER = server_view(
    Server(1, _OTHER_UUID, 71395574100676609, _UUID, "Survival", enabled=True, active=True)
)

# Used instead of the examples of the required members.
CALL_EXAMPLES: dict[str, dict[str, Any]] = {
    "admin.users.list": {},
    "admin.audit.list": {"target": _UUID},
    "admin.outbox.list": {"user": _UUID},
    "admin.users.create": {
        "username": "someusername",
        "email": "new@example.com",
        "password": "rawPassword1",
        "admin": 0,
    },
    "admin.users.update": {"uuid": _UUID, "email": "new@example.com", "admin": 0},
}
RESULT_EXAMPLES: dict[str, Any] = {
    "users.create": _CHAT_USER,
    "users.auth": _LOGIN,
    "users.check": True,
    "users.self": _CHAT_USER,
    "users.guilds": [_GUILD],
    "users.profile": _PROFILE,
    "users.profiles": [_PROFILE],
    "guilds.members": {"members": [_PROFILE], "next": None},
    "users.presence": "ONLINE",
    "users.update": {**_CHAT_USER, "display_name": "User"},
    "users.password": True,
    "users.logout": True,
    "users.refresh": {**_LOGIN, "expires_at": "2026-02-07T12:00:00Z"},
    "sessions.list": [_SESSION],
    "sessions.revoke": 1,
    "keys.list": [_KEY],
    "keys.create": {**_KEY, "key": "ABCDEFGH-1234-5678-0000-abcdefgh"},
    "keys.revoke": True,
    "admin.users.list": {"users": _PANEL_USERS, "next": None},
    "admin.users.get": panel_user_detail(
        _ADMIN, ["aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"]
    ),
    "admin.users.create": created_user(_user(3, _UUID, "someusername", "new@example.com"), None),
    "admin.users.update": True,
    "admin.users.disable": True,
    "admin.users.unlock": True,
    "admin.sessions.list": [{**_SESSION, "current": False}],
    "admin.sessions.revoke": 1,
    "admin.keys.list": [_KEY],
    "admin.keys.revoke": True,
    "admin.audit.list": {"entries": [_ENTRY], "next": None},
    "admin.outbox.list": {"messages": [_MESSAGE], "next": None},
    "admin.servers.list": {_OTHER_UUID: _SERVER},
    "admin.servers.put": _SERVER,
    "admin.servers.delete": True,
    "admin.guilds.list": [_GUILD],
    "admin.guilds.put": _GUILD,
    "admin.guilds.delete": True,
    "admin.guilds.members.put": True,
    "admin.guilds.members.delete": True,
}
