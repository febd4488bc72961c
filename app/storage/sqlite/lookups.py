"""Single queries as the domain's `Lookups`."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Protocol, TypeVar

from app.domain.credentials import AccessKey, Session
from app.domain.ports.store import Transaction
from app.domain.users import User

T = TypeVar("T")


class RunQuery(Protocol):
    """Run one query outside any transaction."""

    def __call__(self, query: Callable[[Transaction], T], /) -> Awaitable[T]: ...


class SqliteLookups:
    """Lookups on SQLite."""

    def __init__(self, run: RunQuery) -> None:
        self._run = run

    def get_session_with_owner(self, session_id: str) -> Awaitable[tuple[Session, User] | None]:
        return self._run(lambda tx: tx.sessions.get_with_owner(session_id))

    def get_key_with_owner(self, key_id: str) -> Awaitable[tuple[AccessKey, User] | None]:
        return self._run(lambda tx: tx.keys.get_with_owner(key_id))

    def find_taken_names(
        self, skeletons: Collection[str], now: datetime
    ) -> Awaitable[Collection[str]]:
        return self._run(lambda tx: tx.name_claims.find_taken(skeletons, now))
