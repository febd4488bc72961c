"""What operations are asked and answer, by example: the seed documents' own where they have one."""

from typing import Any

_CHAT_USER = {
    "id": "71395574100676609",
    "username": "user",
    "display_name": "user",
    "presence": None,
}
_LOGIN = {"user_id": "71395574100676609", "token": "********"}
_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
_PANEL_USERS = {
    _UUID: {"id": 1, "username": "demoaccount", "email": "some@example.com", "admin": 1},
    "7c9e6679-7425-40de-944b-e07fc1f90ae7": {
        "id": 2,
        "username": "demoaccount2",
        "email": "two@example.com",
        "admin": 0,
    },
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
_GUILD = {
    "id": "71395574100676610",
    "name": "Builders",
    "owner_id": "71395574100676609",
    "icon": None,
}
_ENTRY = {
    "id": 12,
    "at": "2026-01-31T12:00:00Z",
    "actor": _UUID,
    "action": "admin.users.update",
    "outcome": "done",
    "target": {"kind": "user", "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"},
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
_SERVER = {"id": 1, "owner": _UUID, "name": "Survival", "active": 1}

# Where the examples of the members that are required do not make a good one.
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
    "users.presence": "ONLINE",
    "users.update": {**_CHAT_USER, "display_name": "User"},
    "users.password": True,
    "users.logout": True,
    "users.refresh": _LOGIN,
    "sessions.list": [_SESSION],
    "sessions.revoke": 1,
    "keys.list": [_KEY],
    "keys.create": {**_KEY, "key": "ABCDEFGH-1234-5678-0000-abcdefgh"},
    "keys.revoke": True,
    "admin.users.list": {"users": _PANEL_USERS, "next": None},
    "admin.users.get": {
        "id": 1,
        "username": "demoaccount",
        "email": "some@example.com",
        "admin": 1,
        "servers": [
            "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
            "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
        ],
    },
    "admin.users.create": {
        "id": 3,
        "username": "someusername",
        "email": "new@example.com",
        "admin": 0,
        "uuid": _UUID,
        "user_id": "71395574100676609",
    },
    "admin.users.update": True,
    "admin.users.disable": True,
    "admin.users.unlock": True,
    "admin.sessions.list": [{**_SESSION, "current": False}],
    "admin.sessions.revoke": 1,
    "admin.keys.list": [_KEY],
    "admin.keys.revoke": True,
    "admin.audit.list": {"entries": [_ENTRY], "next": None},
    "admin.outbox.list": {"messages": [_MESSAGE], "next": None},
    "admin.servers.list": {"7c9e6679-7425-40de-944b-e07fc1f90ae7": _SERVER},
    "admin.servers.put": _SERVER,
    "admin.servers.delete": True,
    "admin.guilds.list": [_GUILD],
    "admin.guilds.put": _GUILD,
    "admin.guilds.delete": True,
    "admin.guilds.members.put": True,
    "admin.guilds.members.delete": True,
}
