"""Repositories: the rows of a transaction, as the domain sees them.

A missing object is `None` or `False`; a refusal is an error of the catalogue.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.audit import Entry, EntryFilter
from app.domain.credentials import AccessKey, Session
from app.domain.guilds_and_servers import Guild, Server
from app.domain.idempotency import IdempotencyRecord
from app.domain.json_rows import RowShape
from app.domain.outbox import Delivery, Depth, OutboxFilter
from app.domain.presence import Presence
from app.domain.rate_limits import LoginAttempts
from app.domain.signing_keys import PublicKey
from app.domain.users import AccountRef, Position, Sort, User, UserFilter


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
