"""Permissions, independent of the code: each operation by each kind of caller, in both APIs.

This is what the policy (`app/domain/policy.py`) is held to. It is here and not in `app/`:
a table that the program itself reads would only prove that the program agrees with itself.

`python -m tests.security.matrix` tells its size.
"""

from collections.abc import Mapping
from typing import Any

from app.operations.catalog import OPERATIONS
from app.operations.framework.operation import Operation
from app.rest.openapi import ALSO
from app.rest.operation_route import OperationRoute
from app.rest.router import ROUTES

DONE, NOTHING, FORBIDDEN, UNKNOWN = "+", "0", "-", "?"
"""It is done; it finds nothing of his; `forbidden`; `unauthenticated`."""

# A kind of caller, and the column that applies to it.
ROLES = {
    # Nothing that lets anybody in.
    "nobody": "none",
    "an empty credential": "none",
    "nonsense": "none",
    "an expired token": "none",
    "a token of a session that ended": "none",
    "a disabled user": "none",
    "a disabled user's key": "none",
    "a disabled admin": "none",
    "a disabled admin's key": "none",
    "a token from before the user was disabled and enabled": "none",
    "a key from before the user was disabled and enabled": "none",
    "an expired key": "none",
    "a revoked key": "none",
    "a key with another secret": "none",
    "a user's key outside its networks": "none",
    "an admin's key outside its networks": "none",
    # A user who names what is another's, and users who name what is theirs.
    "another user": "other",
    "a user": "user",
    "a user's key": "key",
    "a user's self key": "self",
    "a user's read key": "read",
    # No more than they are now.
    "a demoted admin": "user",
    "a demoted admin's key": "key",
    "a demoted admin's self key": "self",
    "a demoted admin's read key": "read",
    # Admins.
    "an admin": "ADMIN",
    "an admin's key": "KEY",
    "an admin's self key": "SELF",
    "an admin's read key": "READ",
    "an admin's key inside its networks": "KEY",
    "a key made with an admin's self key": "SELF",
    "a self key of a user who became an admin": "SELF",
}

# A word behind an operation is the member that it is asked with, where that makes a difference.
# Lower case: a user's token, key, `self` key and `read` key; upper case: an admin's.
TABLE = """
                              none other user key self read ADMIN KEY SELF READ
users.create                  +    +     +    +   +    +    +     +   +    +
users.auth                    +    +     +    +   +    +    +     +   +    +
users.check                   +    +     +    +   +    +    +     +   +    +
users.self                    ?    +     +    +   +    +    +     +   +    +
users.guilds                  ?    +     +    +   +    +    +     +   +    +
users.profile                 ?    +     +    +   +    +    +     +   +    +
users.profiles                ?    +     +    +   +    +    +     +   +    +
guilds.members                ?    0     +    +   +    +    +     +   +    +
users.presence                ?    +     +    +   +    +    +     +   +    +
users.presence presence       ?    +     +    +   +    -    +     +   +    -
users.update                  ?    +     +    +   +    -    +     +   +    -
users.password                ?    +     +    +   +    -    +     +   +    -
users.logout                  ?    +     +    -   -    -    +     -   -    -
users.refresh                 ?    +     +    -   -    -    +     -   -    -
sessions.list                 ?    +     +    +   +    +    +     +   +    +
sessions.revoke               ?    +     +    +   +    -    +     +   +    -
sessions.revoke id            ?    0     +    +   +    -    +     +   +    -
keys.list                     ?    +     +    +   +    +    +     +   +    +
keys.create                   ?    +     +    +   +    -    +     +   +    -
keys.revoke                   ?    0     +    +   +    -    +     +   +    -
admin.users.list              ?    -     -    -   -    -    +     +   -    +
admin.users.get               ?    -     -    -   -    -    +     +   -    +
admin.users.create            ?    -     -    -   -    -    +     +   -    -
admin.users.update            ?    -     -    -   -    -    +     +   -    -
admin.users.disable           ?    -     -    -   -    -    +     +   -    -
admin.users.unlock            ?    -     -    -   -    -    +     +   -    -
admin.sessions.list           ?    -     -    -   -    -    +     +   -    +
admin.sessions.revoke         ?    -     -    -   -    -    +     +   -    -
admin.keys.list               ?    -     -    -   -    -    +     +   -    +
admin.keys.revoke             ?    -     -    -   -    -    +     +   -    -
admin.audit.list              ?    -     -    -   -    -    +     +   -    +
admin.outbox.list             ?    -     -    -   -    -    +     +   -    +
admin.servers.list            ?    -     -    -   -    -    +     +   -    +
admin.servers.put             ?    -     -    -   -    -    +     +   -    -
admin.servers.delete          ?    -     -    -   -    -    +     +   -    -
admin.guilds.list             ?    -     -    -   -    -    +     +   -    +
admin.guilds.put              ?    -     -    -   -    -    +     +   -    -
admin.guilds.delete           ?    -     -    -   -    -    +     +   -    -
admin.guilds.members.put      ?    -     -    -   -    -    +     +   -    -
admin.guilds.members.delete   ?    -     -    -   -    -    +     +   -    -
auth.verify                   ?    +     +    +   +    -    +     +   +    -
auth.verify admin             ?    -     -    -   -    -    +     +   -    -
auth.verify changes           ?    +     +    +   +    +    +     +   +    +
auth.verify both              ?    -     -    -   -    -    +     +   -    +
GET /metrics                  ?    -     -    -   -    -    +     +   -    +
"""

# What each row is asked with. In braces: what `Cast.scene` puts there for each call.
MEMBERS: dict[str, dict[str, str | list[str]]] = {
    "users.create": {"username": "{new}", "password": "{password}"},
    "users.auth": {"username": "victim", "password": "{password}"},
    "users.check": {"username": "victim"},
    "users.profile": {"user": "victim"},
    "users.profiles": {"users": ["victim"]},
    "guilds.members": {"id": "{owners_guild}"},
    "users.presence presence": {"presence": "DND"},
    "users.update": {"display_name": "{new}"},
    "users.password": {"current": "{password}", "password": "{password}"},
    "sessions.revoke id": {"id": "{session}"},
    "keys.create": {"name": "{new}"},
    "keys.revoke": {"id": "{key}"},
    "auth.verify admin": {"admin": "1"},
    "auth.verify changes": {"changes": "0"},
    "auth.verify both": {"admin": "1", "changes": "0"},
    "admin.users.get": {"uuid": "{uuid}"},
    "admin.users.create": {"username": "{new}", "email": "{new}@example.com"},
    "admin.users.update": {"uuid": "{uuid}", "display_name": "{new}"},
    "admin.users.disable": {"uuid": "{uuid}"},
    "admin.users.unlock": {"uuid": "{uuid}"},
    "admin.sessions.list": {"uuid": "{uuid}"},
    "admin.sessions.revoke": {"uuid": "{uuid}", "id": "{victims_session}"},
    "admin.keys.list": {"uuid": "{uuid}"},
    "admin.keys.revoke": {"uuid": "{uuid}", "id": "{victims_key}"},
    "admin.servers.put": {"uuid": "{server}", "owner": "{uuid}", "name": "{new}"},
    "admin.servers.delete": {"uuid": "{server}"},
    "admin.guilds.put": {"id": "{guild}", "owner_id": "{uuid}", "name": "{new}"},
    "admin.guilds.delete": {"id": "{guild}"},
    "admin.guilds.members.put": {"id": "{guild}", "user": "{uuid}"},
    "admin.guilds.members.delete": {"id": "{guild}", "user": "{uuid}"},
}


def members_of(row: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The input of the row's call, with these values in its places."""
    return {
        name: value.format(**values) if isinstance(value, str) else value
        for name, value in MEMBERS.get(row, {}).items()
    }


_HEAD, *_LINES = TABLE.strip("\n").splitlines()


def _row(line: str) -> tuple[str, dict[str, str]]:
    row, marks = line[:30].rstrip(), line[30:].split()
    return row, dict(zip(_HEAD.split(), marks, strict=True))


ROWS = dict(map(_row, _LINES))
PANEL_ROWS = [row for row in ROWS if not row.startswith("GET ")]
CHAT_ROWS = [row for row in PANEL_ROWS if row.split()[0] in OPERATIONS]


def expected(row: str, role: str) -> str:
    """The expected outcome."""
    return ROWS[row][ROLES[role]]


def row_of(operation: Operation, left_out: frozenset[str] = frozenset()) -> str:
    """The row of an operation that is asked without some of its members."""
    with_member = [row for row in ROWS if row.startswith(f"{operation.name} ")]
    return next((row for row in with_member if row.split()[1] not in left_out), operation.name)


def panel_asks() -> list[tuple[OperationRoute, str]]:
    """Each route with its row; one that shares its path with another operation, with both.

    What is not at JSON-RPC is asked in every way here.
    """
    shared = [route for route in ROUTES if route.operation.name in OPERATIONS]
    own = [(route, row_of(route.operation, route.left_out)) for route in shared]
    also = [(r, row_of(ALSO[r.operation.name])) for r in shared if r.operation.name in ALSO]
    alone = [
        (route, row)
        for route in ROUTES
        for row in PANEL_ROWS
        if row not in CHAT_ROWS and row.split()[0] == route.operation.name
    ]
    return own + also + alone


if __name__ == "__main__":
    asks = len(panel_asks())
    cells = len(ROLES) * (len(ROWS) + len(CHAT_ROWS))
    print(f"{len(ROLES)} roles x {len(ROWS)} rows x 2 APIs = {cells} cells,")
    print(f"asked at {len(CHAT_ROWS)} methods and {asks} routes with and without /api")
