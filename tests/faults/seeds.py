"""A row of each kind for every table there ever was."""

from typing import Any

from sqlalchemy import Connection

from tests.databases import Database, tables, within

# By table; of the columns, those are filled in that there are.
ROWS: dict[str, list[dict[str, Any]]] = {
    "users": [
        {
            "number": number,
            "id": 4_000_000_000_000_000_000 + number,
            "uuid": f"00000000-0000-4000-8000-00000000000{number}",
            "username": f"member{number}",
            "display_name": f"Member {number} – “ö”",
            "email": email,
            "email_key": (email or "").lower(),
            "password_hash": hashed,
            "admin": number == 1,
            "disabled": number == 3,
            "version": number,
            "presence": "DND" if number == 2 else None,
        }
        for number, email, hashed in (
            (1, None, None),
            (2, "Member@Example.com", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"),
            (3, "", "!"),
        )
    ],
    "name_claims": [
        {"skeleton": "rnernber1", "user_id": 4_000_000_000_000_000_001, "held_until": None},
        {"skeleton": "left", "user_id": 4_000_000_000_000_000_001, "held_until": 1_800_000_000_000},
    ],
    "renames": [
        {
            "user_id": 4_000_000_000_000_000_001,
            "times": "1700000000000 1700000000001",
            "ends_at": 1_700_086_400_001,
        }
    ],
    "sessions": [
        {
            "id": "a session",
            "user_id": 4_000_000_000_000_000_002,
            "created_at": 1_700_000_000_001,
            "expires_at": 1_800_000_000_002,
            "last_seen_at": 1_700_000_000_003,
            "address": address,
            "agent": agent,
        }
        for address, agent in (("2001:db8::1", "curl/8"),)
    ],
    "access_keys": [
        {
            "id": id,
            "user_id": 4_000_000_000_000_000_001,
            "name": f"key {id}",
            "secret_hash": bytes(range(32)),
            "created_at": 1_700_000_000_000,
            "expires_at": expires_at,
            "last_used_at": None,
            "scope": "admin",
            "networks": None,
        }
        for id, expires_at in (("AAAAAAAA", None), ("BBBBBBBB", 1_800_000_000_000))
    ],
    "signing_keys": [
        {
            "kid": "kid",
            "jwk": "{}",
            "created_at": 1_700_000_000_000,
            "retired_at": None,
            "signs_from": 1_700_000_000_000,
            "renewed_at": 1_700_000_000_000,
            "replaces": None,
        }
    ],
    "guilds": [{"id": 71395574100676610, "name": "Guild", "owner_id": 4_000_000_000_000_000_001}],
    "guild_members": [{"guild_id": 71395574100676610, "user_id": 4_000_000_000_000_000_002}],
    "servers": [
        {
            "number": 7,
            "uuid": "00000000-0000-4000-8000-000000000070",
            "owner_id": 4_000_000_000_000_000_003,
            "name": "Server",
            "enabled": True,
        }
    ],
    "leases": [{"name": "a lease", "holder": "a process", "ends_at": 1_700_000_000_000}],
    "workers": [{"number": 3, "holder": "a process", "ends_at": 1_700_000_000_000}],
    "audit": [
        {
            "number": 5,
            "at": 1_700_000_000_000,
            "actor": None,
            "action": "users.create",
            "outcome": "done",
            "changes": "{}",
            "door": "rpc",
        }
    ],
    "password_attempts": [
        {
            "subject": -5,
            "place": "192.0.2.0/24",
            "failures": 3,
            "failed_at": 1_700_000_000_000,
            "familiar_until": None,
        }
    ],
    "idempotency_records": [
        {
            "caller": "192.0.2.0/24",
            "key": b"key",
            "fingerprint": b"\0\xff",
            "made_at": 1_700_000_000_000,
            "answer": "{}",
        }
    ],
    "outbox": [
        {
            "number": 9,
            "kind": "servers",
            "subject": 4_000_000_000_000_000_003,
            "payload": "{}",
            "created_at": 1_700_000_000_000,
            "due_at": 1_700_000_000_000,
            "deadline": 1_700_000_600_000,
            "state": "waiting",
            "attempts": 1,
        }
    ],
    "stopped_servers": [
        {
            "user_id": 4_000_000_000_000_000_003,
            "server": "00000000-0000-4000-8000-000000000071",
        }
    ],
}


def fill(database: Database) -> None:
    """A row in each table of a schema of any release. KeyError for a table without one here."""

    def insert(connection: Connection) -> None:
        for table in tables(connection).sorted_tables:
            if table.name == "alembic_version":
                continue
            for row in ROWS[table.name]:
                values = {name: value for name, value in row.items() if name in table.columns}
                connection.execute(table.insert().values(values))

    within(database, insert)
