"""The services that operations use."""

from asyncio import Event
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.ports.services import (
    BreachedPasswords,
    Clock,
    Handler,
    Ids,
    PasswordHasher,
    Randomness,
    RateLimiter,
    Tokens,
)
from app.domain.ports.store import Store
from app.domain.ports.upstreams import GuildSource, Panel
from app.domain.rules import Rules
from app.operations.framework.call_limits import RefusalLog
from app.operations.login_queue import LoginQueue
from app.runtime.background_tasks import Supervisor


@dataclass(frozen=True, slots=True)
class Services:
    """The ports, with the implementations that `app.container` chose, and the configured rules.

    Without `breached`, only the shipped list of common passwords is checked. Without `chat`, the
    embedded registry manages the guilds; without `panel`, the servers. Messages whose kind has no
    handler are not stored. `outbox_changed` is set when a message was added, or an earlier one has
    ended. `background` runs all background tasks.
    """

    store: Store
    hasher: PasswordHasher
    tokens: Tokens
    clock: Clock
    ids: Ids
    randomness: Randomness
    rate_limiter: RateLimiter
    rules: Rules
    breached: BreachedPasswords | None = None
    chat: GuildSource | None = None
    panel: Panel | None = None
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    outbox_changed: Event = field(default_factory=Event)
    login_queue: LoginQueue = field(default_factory=LoginQueue)
    refusals: RefusalLog = field(default_factory=RefusalLog)
    background: Supervisor = field(default_factory=Supervisor)
