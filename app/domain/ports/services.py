"""Capabilities of the process: time, ids, randomness, passwords, tokens, rate limits, delivery."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.credentials import TokenClaims
from app.domain.outbox import Delivery, Json
from app.domain.rate_limits import Limit


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


# Deliver a message; repeated calls have the same effect. The return value is stored as the outcome,
# the details of catalogue errors are stored as the error.
Handler = Callable[[Delivery], Awaitable[Json | None]]
