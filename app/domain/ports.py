"""Ports: the interfaces that the domain needs from outside, one per capability.

Everything inside a transaction is a plain function: a transaction waits for nothing but its store.
A missing object is `None` or `False`; a refusal is an error of the catalogue.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from app.domain.audit import Entry, EntryFilter
from app.domain.credentials import AccessKey, Session, TokenClaims
from app.domain.guilds_and_servers import Guild, PanelServer, Server
from app.domain.idempotency import IdempotencyRecord
from app.domain.json_rows import RowShape
from app.domain.outbox import Delivery, Depth, Json, OutboxFilter
from app.domain.presence import Presence
from app.domain.rate_limits import Limit, LoginAttempts
from app.domain.signing_keys import PublicKey
from app.domain.users import AccountRef, Position, Sort, User, UserFilter

T = TypeVar("T")


class Clock(Protocol):
    """The current time, in UTC and milliseconds."""

    def now(self) -> datetime: ...


class Ids(Protocol):
    """New identifiers, each unique."""

    def new_snowflake(self) -> int:
        """Return a 63-bit id; ids are ordered by time."""

    def new_uuid(self) -> str:
        """Return a random RFC 9562 UUID."""


class Randomness(Protocol):
    """Secrets from a cryptographically secure source."""

    def new_access_key(self) -> str:
        """Return the text of a new access key."""

    def new_password(self) -> str:
        """Return a generated password."""

    def fraction(self) -> float:
        """Return a number from 0 to below 1."""


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The result of a password verification, and a new hash if the old one is outdated."""

    is_correct: bool
    new_hash: str | None = None


class PasswordHasher(Protocol):
    """Slow password hashes, computed off the event loop."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        """Compare; without a password or a usable hash the result is wrong, after the same time."""


class BreachedPasswords(Protocol):
    """Passwords that are known from breaches, beyond the shipped list of common ones."""

    async def contains(self, password: str) -> bool:
        """Return True if the password is known; False, too, if that cannot be found out soon.
        Never raises."""


class Tokens(Protocol):
    """Signed tokens (ES256 JWT, RFC 7519)."""

    def issue(self, claims: TokenClaims) -> str:
        """Sign a token. Raises Overloaded while no key may sign."""

    def can_issue(self) -> bool:
        """Return True if there is a key that may sign."""

    async def verify(self, token: str) -> TokenClaims | None:
        """Return the claims of a token of ours, which may have expired; None for anything else."""


class RateLimiter(Protocol):
    """Counters of calls by address or account, with bounded latency.

    If the shared counters are unavailable, local ones are used; calls are never unlimited.
    """

    async def count(self, limit: Limit, address: str) -> float:
        """Count a call; return 0, or the seconds to wait if it is over the limit.

        A call over the limit is not counted, so a client that waits is admitted.
        """

    async def count_many(self, limit: Limit, address: str, calls: int) -> tuple[int, float]:
        """Count several calls; return how many are within the limit, and the seconds to wait for
        the others."""

    async def refund(self, limit: Limit, address: str) -> None:
        """Remove a call from the count that turned out not to count."""

    def peek(self, limit: Limit, address: str) -> float:
        """Return the seconds to wait as far as they are known locally, without counting."""


class Users(Protocol):
    """Accounts. Names and addresses are unique by constraint; one of two concurrent writers
    wins."""

    def find(self, ref: AccountRef) -> User | None: ...

    def find_many(self, refs: Collection[AccountRef]) -> Mapping[AccountRef, User]:
        """Return those accounts that exist, by one query."""

    def get_by_username(self, username: str) -> User | None: ...

    def get_by_email_key(self, email_key: str) -> User | None: ...

    def add(self, user: User) -> User:
        """Store a new account, and return it with its number.

        Raises EmailTaken, or UsernameTaken for an equal name.
        """

    def save(self, user: User) -> None:
        """Store a changed account. Raises the errors of `add`."""

    def set_presence(self, user_id: int, presence: Presence) -> None:
        """Store a presence, which changes more often than all else."""

    def newest_id(self) -> int:
        """Return the highest snowflake of an account, 0 if there is none."""

    def has_other_active_admin(self, user_id: int) -> bool:
        """Return True if another active admin exists; this stays so until the transaction ends."""

    def list_page(
        self, wanted: UserFilter, sort: Sort, after: Position | None, limit: int, shape: RowShape
    ) -> Sequence[str]:
        """Return up to `limit` accounts that follow `after` in the order of `sort`.

        Each is a member of a JSON object: the uuid, and the account in the given shape.
        """

    def count(self, wanted: UserFilter) -> int:
        """Return the number of accounts; it may have to read every one."""


class Names(Protocol):
    """Claims on names, by TS 39 skeleton: the current name of each account, and held names."""

    def claim(self, skeleton: str, user_id: int, *, now: datetime, include_held: bool) -> bool:
        """Claim the name for the account; return False if another account has it or it is held
        back.

        An account's own claims do not conflict; `include_held` ignores that a name is held back.
        """

    def find_current_owner(self, skeleton: str) -> int | None:
        """Return the id of the account whose current name this is."""

    def hold_current(self, user_id: int, held_until: datetime) -> None:
        """Hold the account's current name back from others until that time."""

    def release_oldest_held(self, user_id: int, max_count: int) -> None:
        """Release the account's held names except the `max_count` that are held longest."""

    def list_renames(self, user_id: int) -> Sequence[datetime]:
        """Return the recent renames by the account, as `save_renames` stored them."""

    def save_renames(self, user_id: int, times: Sequence[datetime]) -> None: ...

    def find_taken(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        """Return those of the names that a new account could not have."""


class Sessions(Protocol):
    """Sessions; ended sessions are deleted."""

    def add(self, session: Session) -> None: ...

    def get_with_owner(self, session_id: str) -> tuple[Session, User] | None: ...

    def list_for_user(self, user_id: int) -> Sequence[Session]:
        """Return the sessions of an account, the oldest first."""

    def save_expiry(self, session: Session) -> None:
        """Store a changed expiry."""

    def set_last_seen(self, session_id: str, at: datetime) -> None: ...

    def end_for_user(
        self, user_id: int, *, only: str | None = None, keep: str | None = None
    ) -> int:
        """End a session of an account, or all but `keep`. Returns how many."""

    def end_expired(self, user_id: int, now: datetime) -> None: ...

    def end_oldest(self, user_id: int, *, max_count: int, keep: str) -> Sequence[str]:
        """End the oldest sessions, so that `max_count` are left, including `keep`. Returns their
        ids."""


class Keys(Protocol):
    """Access keys; revoked keys are deleted."""

    def add(self, key: AccessKey) -> None: ...

    def get_with_owner(self, key_id: str) -> tuple[AccessKey, User] | None: ...

    def list_for_user(self, user_id: int) -> Sequence[AccessKey]:
        """Return the keys of an account, the oldest first."""

    def count_for_user(self, user_id: int) -> int:
        """Return the number of keys of an account, including expired ones."""

    def set_last_used(self, key_id: str, at: datetime) -> None: ...

    def revoke_for_user(self, user_id: int, *, only: str | None = None) -> int:
        """Revoke a key of an account, or all. Returns how many."""


class PasswordAttempts(Protocol):
    """Failed password attempts, by account and place."""

    def list_for_subject(self, subject: int, *places: str) -> Sequence[LoginAttempts]:
        """Return the records of the account at these places."""

    def list_failed(self, subject: int) -> Sequence[LoginAttempts]:
        """Return the records of the account with failures, the newest first."""

    def list_locking(
        self, uuids: Iterable[str], since: datetime
    ) -> Mapping[str, Sequence[LoginAttempts]]:
        """Return by uuid the records of these accounts with enough failures for a lock, the last
        of them after `since`. `uuids` are read only if there are any records."""

    def save(self, attempts: LoginAttempts) -> None:
        """Store the record of a place."""

    def clear(self, subject: int, place: str, now: datetime) -> None:
        """Delete the record of the place, and those of places that are no longer familiar."""

    def delete_oldest(self, subject: int, *, max_count: int, keep: str) -> None:
        """Delete the records of the places that became familiar first, so that `max_count` are
        left, including `keep`."""

    def reset(self, subject: int) -> bool:
        """Reset all failures of the account; familiar places stay familiar. Returns False if
        there were none."""


class IdempotencyRecords(Protocol):
    """Responses to requests that may be repeated, by caller and key."""

    def find(self, caller: str, key: bytes) -> IdempotencyRecord | None: ...

    def claim(self, record: IdempotencyRecord) -> bool:
        """Store the record; return False if one of the same caller and key exists.

        Of two concurrent transactions, one waits here until the other has ended.
        """

    def complete(self, record: IdempotencyRecord) -> None:
        """Store the response in a claimed record."""


class SigningKeys(Protocol):
    """The public halves of all signing keys; tokens of a retired key stay valid until they
    expire."""

    def publish(self, key: PublicKey) -> None: ...

    def find(self, kid: str) -> PublicKey | None: ...

    def list_all(self) -> Sequence[PublicKey]: ...

    def retire(self, kid: str, at: datetime) -> None: ...

    def renew(self, key: PublicKey) -> None:
        """Store when a key signs and when its lease was renewed."""


class Guilds(Protocol):
    """Guilds and their members."""

    def find(self, guild_id: int) -> Guild | None: ...

    def upsert(self, guild: Guild) -> bool:
        """Create or replace a guild; return True if it is new."""

    def delete(self, guild_id: int) -> bool: ...

    def list_all(self) -> Sequence[Guild]: ...

    def list_for_user(self, user_id: int) -> Sequence[Guild]:
        """Return the guilds that the account owns or is a member of, the oldest first."""

    def add_member(self, guild_id: int, user_id: int) -> bool:
        """Return True if the membership is new."""

    def remove_member(self, guild_id: int, user_id: int) -> bool: ...

    def belongs_to(self, guild: Guild, user_id: int) -> bool:
        """Return True for the owner and for members."""

    def list_members(self, guild: Guild, after: int, limit: int) -> Sequence[User]:
        """Return up to `limit` active accounts that belong to the guild and have snowflakes above
        `after`, in the order of snowflakes."""


class Servers(Protocol):
    """Game servers."""

    def find(self, uuid: str) -> Server | None: ...

    def upsert(self, uuid: str, *, owner_id: int, name: str, enabled: bool) -> bool:
        """Create or replace a server; return True if it is new."""

    def delete(self, uuid: str) -> bool: ...

    def list_all(self) -> Sequence[Server]: ...

    def list_uuids_for_user(self, user_id: int) -> Sequence[str]:
        """Return the servers of an account, the oldest first."""


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A response of another service, possibly stale (RFC 5861 section 4, stale-if-error).

    `stale_seconds` is None while the value is fresh; otherwise the service could not be reached,
    and it is the time in seconds since the value should have been refreshed.
    """

    value: T
    stale_seconds: int | None = None


class GuildSource(Protocol):
    """The chat service, if it manages the guilds. Never called in a transaction."""

    async def list_guilds(self, user_id: int) -> Cached[Sequence[Guild]]:
        """Return the guilds that the account with this snowflake owns or is a member of, in its
        order.

        An unknown account has none. Raises UpstreamFailed, UpstreamTimeout, Overloaded.
        """


class Panel(Protocol):
    """The panel, if it manages the servers. Never called in a transaction.

    It identifies an account by uuid. Every method raises UpstreamFailed, UpstreamTimeout and
    Overloaded: the call may then have been carried out in part, and can be repeated.
    """

    async def list_servers(self, owner: str) -> Cached[Sequence[PanelServer]]:
        """Return the servers of an account for display: up to a few seconds old, or stale.

        An unknown account has none.
        """

    async def fetch_servers(self, owner: str) -> Sequence[PanelServer]:
        """Return the current servers of an account, at most SERVERS_MAX, without a cache."""

    async def stop_servers(self, owner: str, servers: Sequence[str]) -> None:
        """Stop those of `servers` that belong to the account, in this order; they stay stopped.

        A stopped server stays stopped; one that is deleted or belongs to another account is left
        alone. To restart later only the servers that this call stopped, call `fetch_servers`, store
        which are active, and stop those: servers stopped by others are then never included, however
        often this is retried.
        """

    async def start_servers(self, owner: str, servers: Sequence[str]) -> None:
        """Start those of `servers` that belong to the account, in this order; running ones keep
        running."""


class Audit(Protocol):
    """The audit trail. Entries cannot be changed or deleted, through this port or otherwise."""

    def add(self, entry: Entry) -> None: ...

    def list_page(self, wanted: EntryFilter, after: Position | None, limit: int) -> Sequence[Entry]:
        """Return up to `limit` entries that follow `after`, the newest first.

        The value of a position is a time in milliseconds since 1970.
        """

    def get_complete_up_to(self) -> int:
        """Return the number up to which the trail is complete.

        Transactions that begin from now on see all entries up to it, and none is added below it.
        Later entries may be committed while others are still being written.
        """

    def list_after(
        self, wanted: EntryFilter, after: int, up_to: int, limit: int
    ) -> Sequence[Entry]:
        """Return up to `limit` entries with numbers above `after`, up to `up_to`, the oldest
        first."""


@dataclass(frozen=True, slots=True)
class LiveCredentials:
    """The number of sessions and access keys that are valid at a time."""

    sessions: int
    keys: int


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """The number of accounts by state, of active admins, and of accounts that are locked."""

    active: int
    disabled: int
    admins: int
    locked: int


class Totals(Protocol):
    """Numbers of rows, for monitoring. Each reads a whole table or index."""

    def count_accounts(self, now: datetime) -> AccountTotals: ...

    def count_credentials(self, now: datetime) -> LiveCredentials: ...


class RestoredDatabase(Protocol):
    """Maintenance of a database that was restored from a backup."""

    def end_credentials(self, kid: str | None) -> None:
        """End all sessions and access keys, and trust no signing key but this one."""

    def skip_numbers(self, count: int) -> None:
        """Skip the next `count` numbers of accounts, of servers, and of the audit trail."""


class Outbox(Protocol):
    """Messages for external services, stored if and only if the change that causes them is.

    A message about an account is added in the transaction that changes the account, so that the
    order of numbers is the order of commits.
    """

    def add(self, delivery: Delivery) -> None: ...

    def has_due(self, kinds: Collection[str], now: datetime) -> bool:
        """Return True if `claim` would return a message."""

    def claim(
        self, kinds: Collection[str], now: datetime, holder: str, max_count: int
    ) -> Sequence[Delivery]:
        """Claim due messages, each the first of its queue, for `holder`.

        `holder` keeps them until it releases them or `LEASE` has passed. Each claim counts an
        attempt.
        """

    def release(self, delivery: Delivery, holder: str) -> bool:
        """Store the result of a delivery and release the message; False if the lease was lost."""

    def find(self, number: int) -> Delivery | None: ...

    def save(self, delivery: Delivery) -> None:
        """Store a changed message, whether or not it is being delivered."""

    def delete(self, number: int) -> bool:
        """Delete a message in any state; return False if it is being delivered."""

    def list_page(self, wanted: OutboxFilter, after: int | None, limit: int) -> Sequence[Delivery]:
        """Return up to `limit` messages with numbers below `after`, the newest first."""

    def depth(self) -> Sequence[Depth]:
        """Return the number of waiting and dead messages by kind."""


class StoppedServers(Protocol):
    """The servers of a panel that were stopped because their owner is disabled, by uuid."""

    def list_for_user(self, user_id: int) -> Sequence[str]: ...

    def replace_for_user(self, user_id: int, servers: Collection[str]) -> None:
        """Replace the stopped servers of the account."""


# Deliver a message; repeated calls have the same effect. The return value is stored as the outcome,
# the details of catalogue errors are stored as the error.
Handler = Callable[[Delivery], Awaitable[Json | None]]


class Transaction(Protocol):
    """A consistent view of the store; the changes of a `write` are applied all or not at all."""

    @property
    def users(self) -> Users: ...
    @property
    def name_claims(self) -> Names: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def login_attempts(self) -> PasswordAttempts: ...
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
    def totals(self) -> Totals: ...
    @property
    def restored_database(self) -> RestoredDatabase: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def stopped_servers(self) -> StoppedServers: ...


class Lookups(Protocol):
    """Single queries of frequent operations, each on the latest commit, outside a transaction."""

    def get_session_with_owner(self, session_id: str) -> Awaitable[tuple[Session, User] | None]: ...

    def get_key_with_owner(self, key_id: str) -> Awaitable[tuple[AccessKey, User] | None]: ...

    def find_taken_names(
        self, skeletons: Collection[str], now: datetime
    ) -> Awaitable[Collection[str]]:
        """Return those of these names, at least one, that a new account cannot have."""


class Store(Protocol):
    """Transactions, which are serializable. `work` may be run more than once."""

    @property
    def lookups(self) -> Lookups: ...

    def read(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run `work`, which reads few rows, in a consistent view."""

    def scan(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run `work`, which may read many rows, in a consistent view."""

    def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> Awaitable[T]:
        """Run `work`; its changes are on disk when this returns, and an error undoes them all.

        Those that are not durable survive the end of this process, but perhaps not that of the
        machine or the database server within the next second.
        """

    def accepts_writes(self) -> Awaitable[bool]:
        """Return True unless the database is a standby. Raises Overloaded."""

    def version(self) -> object | None:
        """Return a value that changes with every commit; None if the store cannot tell without
        waiting."""

    def defer(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Run `work` soon; it may be lost, and a later one with the same key replaces it."""
