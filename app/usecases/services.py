"""What every use case stands on."""

from asyncio import Event
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.ports import (
    BreachedPasswords,
    Clock,
    GuildSource,
    Handler,
    Ids,
    Panel,
    PasswordHasher,
    Randomness,
    Store,
    Throttle,
    Tokens,
)
from app.domain.rules import Rules


@dataclass(frozen=True, slots=True)
class Services:
    """The ports, each joined to an implementation by `app.bootstrap`, and the rules in force.

    Without `breached`, the shipped list of common passwords is all that is asked. Without `chat`
    the embedded registry keeps the guilds, without `panel` the servers. Messages of a kind that is
    not among `handlers` are not kept; `posted` is set when one was, or an earlier one has ended.
    """

    store: Store
    hasher: PasswordHasher
    tokens: Tokens
    clock: Clock
    ids: Ids
    randomness: Randomness
    throttle: Throttle
    rules: Rules
    breached: BreachedPasswords | None = None
    chat: GuildSource | None = None
    panel: Panel | None = None
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    posted: Event = field(default_factory=Event)
