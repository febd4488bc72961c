"""The audit trail: who did what to whom, when, from where, through which door, with what.

It is only ever added to. No secret gets into it: a credential is named by its public id; of what
changed, it keeps the values of a few members that are public or flags, of the others the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.times import milliseconds
from app.domain.users import Position

DONE = "done"
# A refusal of the same kind is put on record so often, however often it happens.
REFUSALS_EVERY = timedelta(minutes=1)

Value = str | bool | None
# What a member was and is, or None where the trail does not keep it.
Change = tuple[Value, Value] | None
Changes = Mapping[str, Change]


class Door(StrEnum):
    """Where a request comes in."""

    RPC = "rpc"
    REST = "rest"
    COMMAND_LINE = "command line"


class RefKind(StrEnum):
    """What an entry speaks of."""

    USER = "user"
    SERVER = "server"
    GUILD = "guild"
    SIGNING_KEY = "signing-key"
    SESSION = "session"
    KEY = "key"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Ref:
    """One of them: an account or server by its uuid, a guild by its snowflake, a session or key by
    its public id, a signing key by its thumbprint, a message of the outbox by its number."""

    kind: RefKind
    id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail; the store gives it its number.

    `actor` is an account's uuid, `operator`, or None for anyone; `action` the operation's name;
    `outcome` is `done`, or the slug of the refusal; `credential` is the session or key that acted.
    """

    at: datetime
    actor: str | None
    action: str
    outcome: str
    target: Ref | None
    changes: Changes
    door: Door
    address: str | None
    request_id: str | None
    credential: Ref | None
    number: int = 0

    @property
    def position(self) -> Position:
        """Where it stands in the trail."""
        return Position(milliseconds(self.at), self.number)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; every condition that is given must hold.

    `target` holds ids, of which any will do; `since` is the first moment wanted, `until` the first
    that no longer is.
    """

    actor: str | None = None
    target: tuple[str, ...] = field(default=())
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
