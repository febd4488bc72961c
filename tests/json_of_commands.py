"""The JSON that each command prints with --json; `make generate` writes the table to the docs."""

from collections.abc import Iterator
from typing import Any

ACCOUNT = ("id", "username", "email", "admin", "uuid", "user_id", "display_name")
REPORT = (
    *ACCOUNT,
    *("has_password", "locked_until", "obstacles", "wrong_passwords"),
    *("logins", "sessions", "keys", "servers"),
)
KEY = ("kid", "created_at", "signs_from", "retired_at")
# In this order, on one database: the command line, and the method whose result it prints, the
# members of its object, or in a list those of each object of its array.
COMMANDS: list[tuple[str, str | tuple[str, ...] | list[str]]] = [
    ("migrate", ("database",)),
    ("signing-keys rotate", KEY),
    ("signing-keys list", [*KEY]),
    ("users create demo --admin", "admin.users.create"),
    ("users create other", "admin.users.create"),
    ("users list", "admin.users.list"),
    ("users list --limit 1", "admin.users.list"),
    ("users show demo", REPORT),
    ("users update other --display-name Other", ACCOUNT),
    ("users password other", ACCOUNT),
    ("users password other --generate", (*ACCOUNT, "password")),
    ("users sessions other", "admin.sessions.list"),
    ("users end-sessions other", ("ended",)),
    ("users disable other", ACCOUNT),
    ("users enable other", ACCOUNT),
    ("users unlock demo", ACCOUNT),
    ("keys create demo", "keys.create"),
    ("keys list demo", "admin.keys.list"),
    ("keys revoke {key}", ("revoked",)),
    ("keys revoke demo --all", ("revoked",)),
    ("audit list", "admin.audit.list"),
    ("outbox list", "admin.outbox.list"),
    ("outbox retry 1", ("retried",)),
    ("outbox drop 1", ("dropped",)),
    ("openapi", ("openapi", "info", "paths")),
    ("openrpc", ("openrpc", "info", "methods")),
    ("doctor", ("ok", "findings")),
    ("backup copy.sqlite3", ("file", "accounts", "schema", "deleted")),
    (
        "restore copy.sqlite3 --replace",
        (
            *("accounts", "kept_as", "active_again", "admins_again"),
            *("as_of", "credentials", "sessions", "keys"),
        ),
    ),
    ("copy --to sqlite:///other.sqlite3", ("source", "target", "rows", "tables")),
    ("restored --yes", ("as_of", "credentials", "sessions", "keys")),
    ("end-all-credentials --yes", ("sessions", "keys")),
]


def each_command(group: Any, *words: str) -> Iterator[str]:
    """Yield the names of all commands of a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from each_command(command, *words, name)
        else:
            yield " ".join([*words, name])
