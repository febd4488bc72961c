"""What the house needs of the outside, small and by capability.

Everything inside a transaction is a plain function: a transaction waits for nothing but its
store. Absence is `None` or `False`; a refusal is an error of the catalogue.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from app.domain.audit import Entry, EntryFilter
from app.domain.credentials import SESSION_MAX, AccessKey, Session, TokenClaims
from app.domain.idempotency import IdempotencyRecord
from app.domain.outbox import Delivery, Depth, Json, OutboxFilter
from app.domain.registry import Guild, PanelServer, Server
from app.domain.shapes import Shape
from app.domain.throttling import Attempts, Limit
from app.domain.users import AccountRef, NewUser, Position, Sort, User, UserFilter

T = TypeVar("T")


class Clock(Protocol):
    """The time, in UTC, to the millisecond."""

    def now(self) -> datetime: ...


class Ids(Protocol):
    """New identifiers, never the same twice."""

    def snowflake(self) -> int:
        """A 63-bit id whose order is the order of time."""

    def uuid(self) -> str:
        """A random RFC 9562 UUID."""


class Randomness(Protocol):
    """Secrets from a cryptographically secure source."""

    def access_key(self) -> str:
        """The text of a new access key."""

    def password(self) -> str:
        """A password for somebody who did not choose one."""

    def fraction(self) -> float:
        """A number from 0 to below 1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password was right, and its new hash where the old one is out of date."""

    right: bool
    rehashed: str | None = None


class PasswordHasher(Protocol):
    """Slow hashes, computed off the event loop."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str | None, hashed: str | None) -> Verdict:
        """Compare; without a password or a usable hash: wrong, after the same time."""


class BreachedPasswords(Protocol):
    """Passwords that are known from breaches, beyond the shipped list of common ones."""

    async def knows(self, password: str) -> bool:
        """Whether it is among them; False, too, where that cannot be told soon. Raises nothing."""


class Tokens(Protocol):
    """Signed tokens (ES256 JWT, RFC 7519)."""

    def issue(self, claims: TokenClaims) -> str: ...

    async def read(self, token: str) -> TokenClaims | None:
        """The claims of a token of ours that has not expired; None for anything else."""


class Throttle(Protocol):
    """Counts calls by address, without ever waiting long; what fails is no reason to let pass.

    `seldom_waits`: it counts without waiting for anything, but for rare cases.
    """

    seldom_waits: bool

    async def count(self, limit: Limit, address: str) -> float:
        """Count one call; 0, or where it is one too many the seconds to wait.

        One too many is not counted itself, so that whoever waits gets in.
        """

    async def count_each(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        """Count so many calls, one after the other: how many of them fit in, and as of `count`
        the seconds for the others to wait."""

    def peek(self, limit: Limit, address: str) -> float:
        """The seconds to wait as far as is known here and now, without counting."""


class Users(Protocol):
    """Accounts. Names and addresses are unique by constraint; a race has one winner."""

    def find(self, ref: AccountRef) -> User | None: ...

    def by_username(self, username: str) -> User | None: ...

    def add(self, new: NewUser) -> User:
        """Raise EmailTaken, or UsernameTaken for an equal name."""

    def save(self, user: User) -> None:
        """Store a changed account. Raises as `add` does."""

    def newest_id(self) -> int:
        """The highest snowflake of an account, 0 where there is none."""

    def has_other_active_admin(self, user_id: int) -> bool:
        """Whether another active admin exists; stays true until the transaction ends."""

    def page(
        self, wanted: UserFilter, sort: Sort, after: Position | None, limit: int, shape: Shape
    ) -> Sequence[str]:
        """Up to `limit` accounts that follow `after` in the order of `sort`.

        Each is a member of a JSON object: its uuid, and the account in its shape.
        """


class Names(Protocol):
    """Claims on names, by TS 39 skeleton: the present name of each account, and names held back."""

    def claim(self, skeleton: str, user_id: int, *, now: datetime, held_too: bool) -> bool:
        """Give the name to the account; False where another has it or it is held back.

        An account's own claims never stand in its way; `held_too` takes what is held back, too.
        """

    def release(self, user_id: int, held_until: datetime) -> None:
        """Hold the account's present name back from others until then."""

    def taken(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        """Those of these names that a new account could not have."""


class Sessions(Protocol):
    """Sessions; one that ended is gone."""

    def add(self, session: Session) -> None: ...

    def with_owner(self, session_id: str) -> tuple[Session, User] | None: ...

    def of(self, user_id: int) -> Sequence[Session]:
        """All of an account, the oldest first."""

    def refresh(self, session: Session) -> None:
        """Store a moved end."""

    def seen(self, session_id: str, at: datetime) -> None: ...

    def end(self, user_id: int, *, only: str | None = None, keep: str | None = None) -> int:
        """End an account's sessions: the one, or all but the kept one. Returns how many."""

    def end_expired(self, user_id: int, now: datetime) -> None: ...


class Keys(Protocol):
    """Access keys; one that was revoked is gone."""

    def add(self, key: AccessKey) -> None: ...

    def with_owner(self, key_id: str) -> tuple[AccessKey, User] | None: ...

    def of(self, user_id: int) -> Sequence[AccessKey]:
        """All of an account, the oldest first."""

    def used(self, key_id: str, at: datetime) -> None: ...

    def revoke(self, user_id: int, *, only: str | None = None) -> int:
        """Revoke an account's keys: the one, or all. Returns how many."""


class PasswordAttempts(Protocol):
    """Attempts at passwords, counted by account and place."""

    def of(self, subject: int, *places: str) -> Sequence[Attempts]:
        """What is counted of the account at these places, where anything is."""

    def put(self, attempts: Attempts) -> None:
        """Store what is counted at one place."""

    def clear(self, subject: int, place: str, now: datetime) -> None:
        """Forget what is counted there, and all places that are familiar no longer."""

    def forgive(self, subject: int) -> bool:
        """Count from zero at every place; familiar ones stay so. Whether anything was counted."""


class IdempotencyRecords(Protocol):
    """What was answered to requests that may come again, by caller and key."""

    def find(self, caller: str, key: bytes) -> IdempotencyRecord | None: ...

    def claim(self, record: IdempotencyRecord) -> bool:
        """Store it; False where one of the same caller and key is kept. Of two transactions at
        once, one waits here until the other has ended."""

    def complete(self, record: IdempotencyRecord) -> None:
        """Store its answer, after it was claimed."""

    def sweep(self, caller: str, now: datetime) -> None:
        """Delete some of those that are kept no longer, and what the caller has too many of."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a signing key: its RFC 7638 thumbprint and its JWK as JSON text."""

    kid: str
    jwk: str
    created_at: datetime
    retired_at: datetime | None

    def is_trusted(self, now: datetime) -> bool:
        """Whether a token signed with it may still be valid: until the last session has ended."""
        return self.retired_at is None or now < self.retired_at + SESSION_MAX


class SigningKeys(Protocol):
    """The public halves of all signing keys; tokens of a retired one stay valid until they end."""

    def publish(self, key: PublicKey) -> None: ...

    def find(self, kid: str) -> PublicKey | None: ...

    def all(self) -> Sequence[PublicKey]: ...

    def retire(self, kid: str, at: datetime) -> None: ...


class Guilds(Protocol):
    """Guilds and who belongs to them."""

    def find(self, guild_id: int) -> Guild | None: ...

    def put(self, guild: Guild) -> bool:
        """Create or replace; True where it is new."""

    def delete(self, guild_id: int) -> bool: ...

    def all(self) -> Sequence[Guild]: ...

    def of(self, user_id: int) -> Sequence[Guild]:
        """Those that the account owns or is a member of, the oldest first."""

    def add_member(self, guild_id: int, user_id: int) -> bool:
        """True where the membership is new."""

    def remove_member(self, guild_id: int, user_id: int) -> bool: ...


class Servers(Protocol):
    """Game servers."""

    def find(self, uuid: str) -> Server | None: ...

    def put(self, uuid: str, *, owner_id: int, name: str, enabled: bool) -> bool:
        """Create or replace; True where it is new."""

    def delete(self, uuid: str) -> bool: ...

    def all(self) -> Sequence[Server]: ...

    def uuids_of(self, user_id: int) -> Sequence[str]:
        """The servers of an account, the oldest first."""


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What another service said.

    `overdue` is None for what may be shown as it is; else the service could not be asked again, and
    it is for how many seconds that it should have been (RFC 5861 section 4, stale-if-error).
    """

    value: T
    overdue: int | None = None


class GuildSource(Protocol):
    """The chat service, where it keeps the guilds in our stead. Never asked in a transaction."""

    async def guilds_of(self, user_id: int) -> Told[Sequence[Guild]]:
        """Those that the account with this snowflake owns or is a member of, in the given order.

        An account that it does not know has none. Raises UpstreamFailed, UpstreamTimeout,
        Overloaded.
        """


class Panel(Protocol):
    """The panel, where it keeps the servers in our stead. Never asked in a transaction.

    It knows an account by the account's uuid. Everything raises UpstreamFailed, UpstreamTimeout and
    Overloaded: of what was to be done, any part may have been done then, and it can be done again.
    """

    async def servers_of(self, owner: str) -> Told[Sequence[PanelServer]]:
        """The servers of an account, to be shown: a few seconds old, or older and `overdue`.

        An account that it does not know has none.
        """

    async def look_up_servers(self, owner: str) -> Sequence[PanelServer]:
        """The same as it is at this moment, at most SERVERS_MAX; to decide by."""

    async def stop_servers(self, owner: str, servers: Sequence[str]) -> None:
        """Stop those of `servers` that are the account's, so that they stay so until started.

        One after the other, in this order.

        One that is stopped already stays so; one that is gone, or is another's by now, is left
        alone. Who wants to start later just what he stopped has `look_up_servers` tell which are
        active, keeps that where it lasts, and then has those stopped: however often that has to be
        tried, nothing that somebody else stopped is among them.
        """

    async def start_servers(self, owner: str, servers: Sequence[str]) -> None:
        """Let those of `servers` run again that are the account's, in this order; one that may
        stays so."""


class Audit(Protocol):
    """The audit trail. There is no way to change or delete an entry, here or past this port."""

    def add(self, entry: Entry) -> None: ...

    def page(self, wanted: EntryFilter, after: Position | None, limit: int) -> Sequence[Entry]:
        """Up to `limit` entries, the newest first; those that follow `after`, whose value is a time
        in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class LiveCredentials:
    """How many sessions and access keys are good at a moment."""

    sessions: int
    keys: int


class Restoration(Protocol):
    """What befalls a whole store that was brought back from a backup."""

    def credentials(self, now: datetime) -> LiveCredentials: ...

    def end_credentials(self, kid: str) -> None:
        """End all sessions and access keys, and trust no signing key but this one."""

    def skip_numbers(self, count: int) -> None:
        """Give none of the next `count` numbers: of accounts, of servers, of the trail."""


class Outbox(Protocol):
    """Messages for the outside, which are there if and only if the change is that asks for them.

    Whoever adds one about an account has changed the account in the same transaction, so that the
    order of numbers is the order of commits.
    """

    def add(self, delivery: Delivery) -> None: ...

    def is_due(self, kinds: Collection[str], now: datetime) -> bool:
        """Whether `claim` would give anything."""

    def claim(
        self, kinds: Collection[str], now: datetime, holder: str, most: int
    ) -> Sequence[Delivery]:
        """Messages to be delivered now, each at the head of its line, for `holder` alone.

        They are his until he settles them or `LEASE` has passed. An attempt more is counted.
        """

    def settle(self, delivery: Delivery, holder: str) -> bool:
        """Store what came of a message and let go of it; False where it was not his any more."""

    def find(self, number: int) -> Delivery | None: ...

    def save(self, delivery: Delivery) -> None:
        """Store what was changed of a message, whoever holds it."""

    def drop(self, number: int) -> bool:
        """Take it out, whatever its state; False where somebody holds it."""

    def forget(self, before: datetime) -> None:
        """Take out what was done before then."""

    def page(self, wanted: OutboxFilter, after: int | None, limit: int) -> Sequence[Delivery]:
        """Up to `limit` messages, the newest first; those with numbers below `after`."""

    def depth(self) -> Sequence[Depth]:
        """What waits, and what is dead."""


class StoppedServers(Protocol):
    """The servers of a panel that were stopped because their owner is disabled, by uuid."""

    def of(self, user_id: int) -> Sequence[str]: ...

    def put(self, user_id: int, servers: Collection[str]) -> None:
        """Let those be all there are of the account."""


# Does what a message asks for, as often as it is called. What it returns is kept as the outcome; of
# what it raises, the sentences of the error catalogue are kept.
Handler = Callable[[Delivery], Awaitable[Json | None]]


class Transaction(Protocol):
    """A consistent view of the store, and in a `write` everything or nothing of its changes."""

    @property
    def users(self) -> Users: ...
    @property
    def names(self) -> Names: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def attempts(self) -> PasswordAttempts: ...
    @property
    def idempotency(self) -> IdempotencyRecords: ...
    @property
    def signing_keys(self) -> SigningKeys: ...
    @property
    def guilds(self) -> Guilds: ...
    @property
    def servers(self) -> Servers: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def restoration(self) -> Restoration: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def stopped_servers(self) -> StoppedServers: ...


class Store(Protocol):
    """Runs transactions, one as if after the other. `work` may be run more than once.

    `seldom_waits`: a `read` is done without waiting for anything, but for rare cases.
    `tells_of_accounts`: another version follows an account that is new, too.
    """

    seldom_waits: bool
    tells_of_accounts: bool

    def read(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run `work`, which touches few rows, in one consistent view."""

    def scan(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run `work`, which may go through many rows, in one consistent view."""

    def write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run `work`; its changes are on disk when this returns, and an error undoes them all."""

    def version(self) -> object | None:
        """Something that is another one after every commit, whoever made it.

        None where the store cannot tell at once, and without waiting.
        """

    def note(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Run `work` soon, for what may be lost; a later one about the same takes its place."""
