"""The audit log: actor, action, target, time, address and API of each change.

It is append-only and contains no secret: a credential is identified by its public id. Values of
changed members are kept only where they are public or flags; of all other members, only the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.timestamps import to_milliseconds
from app.domain.users import Position

DONE = "done"
# The action of a lock after wrong passwords, which no operation has.
LOCKED = "users.lock"
REQUEST_ID_MAX = 128
# At most one entry per interval for refusals of the same kind.
REFUSAL_INTERVAL = timedelta(minutes=1)

# Actions that are no operations of the APIs.
OTHER_ACTIONS = frozenset(
    {
        LOCKED,
        "credentials.end-all",
        "metrics",
        "outbox.drop",
        "outbox.retry",
        "restored",
        "signing-keys.rotate",
    }
)

Value = str | bool | None
# The values before and after, or None if the trail keeps only the name.
Change = tuple[Value, Value] | None
Changes = Mapping[str, Change]


class Door(StrEnum):
    """The interface that a request came through."""

    RPC = "rpc"
    REST = "rest"
    COMMAND_LINE = "command line"


class RefKind(StrEnum):
    """The kind of object that an entry refers to."""

    USER = "user"
    SERVER = "server"
    GUILD = "guild"
    SIGNING_KEY = "signing-key"
    SESSION = "session"
    KEY = "key"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an object: an account or server by uuid, a guild by snowflake, a session or
    key by public id, a signing key by thumbprint, an outbox message by number."""

    kind: RefKind
    id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the audit trail; the store assigns its number.

    `actor` is an account's uuid, `operator`, or None for an anonymous caller. `action` is the
    operation's name. `outcome` is `done`, or the slug of the error. `credential` is the session or
    key that was used.
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
        """The position of the entry in the trail."""
        return Position(to_milliseconds(self.at), self.number)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Conditions on entries; all that are set must hold.

    `target` contains ids, any of which may match; `since` is inclusive, `until` exclusive.
    """

    actor: str | None = None
    target: tuple[str, ...] = field(default=())
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
