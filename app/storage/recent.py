"""What was read lately of credentials and their owners, for as long as the store has not changed.

A request that brings a credential of the last moments needs no query: that nothing has changed
since is known from a number which the store itself moves at every commit, whoever makes it. So
no use case has to remember what it makes stale.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from app.domain.credentials import AccessKey, Session
from app.domain.readings import Reading, cache
from app.domain.users import User
from app.storage.credentials import KeyTable, SessionTable

T = TypeVar("T")

# About a kilobyte each.
RECENT_MAX = 10_000


class Recent:
    """Answers of queries, all of them true in one version of the store."""

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._most = most
        self._answers: dict[Hashable, Any] = {}
        self._version: object = None
        self._hits = self._misses = 0

    def readings(self) -> Iterator[Reading]:
        """How often a credential was at hand."""
        return cache("credentials", self._hits, self._misses, len(self._answers))

    def is_of(self, version: object) -> None:
        """Go on with `version` of the store; another one makes all answers void."""
        if version != self._version:
            self._answers.clear()
            self._version = version

    def at(self, version: object) -> "RecentAt":
        """The answers of `version`, for as long as it is the present one."""
        self.is_of(version)
        return RecentAt(self, version)

    def find(self, version: object, question: Hashable) -> Any:
        """The answer that is at hand, if it is of `version`."""
        answer = self._answers.get(question) if version == self._version else None
        self._hits += answer is not None
        return answer

    def keep(self, version: object, question: Hashable, answer: object) -> None:
        """Keep what a query answered, if it did and is of `version` or later."""
        self._misses += 1
        if answer is None or version != self._version:
            return
        if len(self._answers) >= self._most:
            # The oldest goes; what is still in use is back after one query.
            del self._answers[next(iter(self._answers))]
        self._answers[question] = answer


@dataclass(frozen=True, slots=True)
class RecentAt:
    """What was read lately, for a transaction that began when the store had this version."""

    recent: Recent
    version: object

    def answer(self, question: Hashable, ask: Callable[[], T | None]) -> T | None:
        """The answer that is at hand, else that of `ask`, which is kept if it is one."""
        found: T | None = self.recent.find(self.version, question)
        if found is None:
            found = ask()
            self.recent.keep(self.version, question, found)
        return found


class RecentSessions(SessionTable):
    """Sessions, with those of the last moments at hand."""

    def __init__(self, connection: Connection, recent: RecentAt) -> None:
        super().__init__(connection)
        self._recent = recent

    def with_owner(self, session_id: str) -> tuple[Session, User] | None:
        ask = super().with_owner
        return self._recent.answer(("session", session_id), lambda: ask(session_id))


class RecentKeys(KeyTable):
    """Access keys, with those of the last moments at hand."""

    def __init__(self, connection: Connection, recent: RecentAt) -> None:
        super().__init__(connection)
        self._recent = recent

    def with_owner(self, key_id: str) -> tuple[AccessKey, User] | None:
        ask = super().with_owner
        return self._recent.answer(("key", key_id), lambda: ask(key_id))
