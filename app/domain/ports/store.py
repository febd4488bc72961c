"""The store, its transactions and its single queries.

Everything inside a transaction is a plain function: a transaction waits for nothing but its store.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Protocol, TypeVar

from app.domain.credentials import AccessKey, Session
from app.domain.ports.repositories import (
    Audit,
    Guilds,
    IdempotencyRecords,
    Keys,
    Names,
    Outbox,
    PasswordAttempts,
    RestoredDatabase,
    Servers,
    Sessions,
    SigningKeys,
    StoppedServers,
    Totals,
    Users,
)
from app.domain.users import User

T = TypeVar("T")


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
