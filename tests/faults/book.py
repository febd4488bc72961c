"""The acknowledged writes of a server, compared with its store.

The trail decides about what was sent and never answered: where there is an entry, all of it must
have been done, else nothing. So half a change shows, whichever half it is.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from app.domain.names import FORMER_NAMES_MAX
from tests.databases import Database, within


@dataclass(eq=False)
class Account:
    """The expected state of a user, with every credential ever issued."""

    id: str
    username: str
    display_name: str
    password: str
    email: str | None = None
    admin: bool = False
    disabled: bool = False
    uuid: str = ""
    number: int = 0
    names_left: int = 0
    former_password: str | None = None
    # By id; None where the response was lost.
    sessions: dict[str, str | None] = field(default_factory=dict)
    keys: dict[str, str | None] = field(default_factory=dict)
    servers: dict[str, tuple[str, bool]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def rename(self, username: str) -> None:
        """Another name; the one before is held back, of several the last ones."""
        self.username = username
        self.names_left = min(self.names_left + 1, FORMER_NAMES_MAX)

    def set_password(self, password: str, keep: str | None = None) -> None:
        """Another password; sessions end, but for the one to keep."""
        self.former_password, self.password = self.password, password
        self.end_sessions(*(session for session in self.sessions if session != keep))

    def disable(self) -> None:
        """Out, with every credential."""
        self.disabled = True
        self.end_sessions(*self.sessions)
        self.end_keys(*self.keys)

    def end_sessions(self, *ids: str) -> None:
        """These are over."""
        self._end(self.sessions, ids)

    def end_keys(self, *ids: str) -> None:
        """These are revoked."""
        self._end(self.keys, ids)

    def _end(self, living: dict[str, str | None], ids: tuple[str, ...]) -> None:
        ended = [living.pop(id) for id in ids]
        self.ended += [credential for credential in ended if credential is not None]

    @property
    def credentials(self) -> list[str]:
        """Credentials that have to be accepted."""
        return [known for known in (*self.sessions.values(), *self.keys.values()) if known]

    @property
    def stored(self) -> dict[str, Any]:
        """The user in a store."""
        return {
            "uuid": self.uuid,
            "number": self.number,
            "username": self.username,
            "display_name": self.display_name,
            "email": self.email,
            "admin": self.admin,
            "disabled": self.disabled,
            "sessions": set(self.sessions),
            "keys": set(self.keys),
            "servers": self.servers,
            "names": {"carried": 1, "held": self.names_left},
        }

    @property
    def listed(self) -> dict[str, Any]:
        """The user in the panel's list."""
        view = {
            "id": self.number,
            "username": self.username,
            "email": self.email,
            "admin": int(self.admin),
        }
        return {**view, "disabled": 1} if self.disabled else view


@dataclass(eq=False, frozen=True)
class Deed:
    """A write that was sent: what it does with the id and the secret that come of it."""

    request_id: str
    operation: str
    effect: Callable[[str, str | None], Account] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the trail."""

    number: int
    action: str
    target_id: str
    changes: dict[str, Any]


class Book:
    """Every promise since the store was empty."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.touched: set[Account] = set()
        self.acknowledged: Counter[str] = Counter()
        self.doubtful: dict[str, Deed] = {}
        self.unanswered: Counter[str] = Counter()
        self.lost = 0
        self._done: dict[str, Deed] = {}
        self._entries: dict[str, Entry] = {}
        self._identities: dict[str, tuple[str, int]] = {}

    def send(self, deed: Deed) -> None:
        """From now on it may have been done."""
        self.doubtful[deed.request_id] = deed

    def refuse(self, deed: Deed) -> None:
        """Nothing was done."""
        del self.doubtful[deed.request_id]

    def acknowledge(self, deed: Deed, id: str, secret: str | None) -> None:
        """It was done, and from now on it must be there."""
        del self.doubtful[deed.request_id]
        self.acknowledged[deed.operation] += 1
        self._done[deed.request_id] = deed
        self.touched.add(deed.effect(id, secret))

    def settle(self, database: Database) -> None:
        """Compare the store with the book while there are no writes. Raises AssertionError."""
        stored = within(database, _Stored)
        self._settle_trail(stored)
        for id, account in self.accounts.items():
            if not account.uuid and id in stored.accounts:
                account.uuid = stored.accounts[id]["uuid"]
                account.number = stored.accounts[id]["number"]
        expected = {id: account.stored for id, account in self.accounts.items()}
        differences = _differences(expected, stored.accounts)
        assert not differences, f"promised, and stored: {differences}"
        now = {id: (found["uuid"], found["number"]) for id, found in stored.accounts.items()}
        assert self._identities.items() <= now.items(), "an account has got other ids"
        self._identities = now

    def _settle_trail(self, stored: "_Stored") -> None:
        assert not stored.told_twice, f"more than one entry each: {stored.told_twice}"
        lost = [deed for id, deed in self._done.items() if id not in stored.entries]
        self.lost = len(lost)
        assert not lost, f"{len(lost)} acknowledged writes are lost: {lost[:5]}"
        for request_id, deed in self.doubtful.items():
            entry = stored.entries.get(request_id)
            self.unanswered["not done" if entry is None else "done"] += 1
            if entry is not None:
                self._done[request_id] = deed
                id = _learned(deed, entry, stored)
                self.touched.add(deed.effect(id, None))
        self.doubtful.clear()
        told = {id: entry.action for id, entry in stored.entries.items()}
        done = {id: deed.operation for id, deed in self._done.items()}
        assert told == done, f"entries of nothing: {_differences(done, told)}"
        assert self._entries.items() <= stored.entries.items(), "an entry has changed"
        self._entries = stored.entries


def _learned(deed: Deed, entry: Entry, stored: "_Stored") -> str:
    """The id in the response that was lost."""
    match deed.operation:
        case "users.create" | "admin.users.create":
            assert entry.target_id in stored.ids, f"{deed} has an entry and no account"
            return stored.ids[entry.target_id]
        case "users.auth":
            return str(entry.changes["session"][1])
        case "keys.create":
            return str(entry.changes["key"][1])
    return ""


def _differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {
        id: (expected.get(id), found.get(id))
        for id in expected.keys() | found.keys()
        if expected.get(id) != found.get(id)
    }


class _Stored:
    """The contents of a store at one moment, without the first admin."""

    def __init__(self, connection: Connection) -> None:
        def ask(statement: str) -> Any:
            return connection.execute(text(statement)).mappings()

        self.accounts: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, str] = {}
        for row in ask("SELECT * FROM users WHERE username <> 'admin'"):
            id = str(row["id"])
            self.ids[row["uuid"]] = id
            members = ("uuid", "number", "username", "display_name", "email")
            flags = {name: bool(row[name]) for name in ("admin", "disabled")}
            of_it: dict[str, Any] = {"sessions": set(), "keys": set(), "servers": {}}
            of_it["names"] = {"carried": 0, "held": 0}
            self.accounts[id] = {**{name: row[name] for name in members}, **flags, **of_it}
        for row in self._owned(ask("SELECT user_id, id FROM sessions")):
            self.accounts[str(row["user_id"])]["sessions"].add(row["id"])
        for row in self._owned(ask("SELECT user_id, id FROM access_keys")):
            self.accounts[str(row["user_id"])]["keys"].add(row["id"])
        for row in self._owned(ask("SELECT user_id, held_until FROM name_claims")):
            kind = "carried" if row["held_until"] is None else "held"
            self.accounts[str(row["user_id"])]["names"][kind] += 1
        for row in ask("SELECT owner_id, uuid, name, enabled FROM servers"):
            servers = self.accounts[str(row["owner_id"])]["servers"]
            servers[row["uuid"]] = (row["name"], bool(row["enabled"]))
        self.entries: dict[str, Entry] = {}
        self.told_twice: list[str] = []
        for row in ask("SELECT * FROM audit WHERE outcome = 'done' AND request_id IS NOT NULL"):
            request_id = row["request_id"]
            if request_id in self.entries:
                self.told_twice.append(request_id)
            changes = row["changes"]
            self.entries[request_id] = Entry(
                row["number"], row["action"], row["target_id"], json.loads(changes)
            )

    def _owned(self, rows: Any) -> Any:
        return (row for row in rows if str(row["user_id"]) in self.accounts)
