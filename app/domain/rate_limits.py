"""Rate limits and login locks: all numbers, and the rules that follow from them.

There are three independent mechanisms: limits on calls by address, limits on changes by account,
and locks after wrong passwords of an account from any address, which are kept in the store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from app.domain.addresses import parse_address
from app.domain.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of calls by one address or account in a number of seconds.

    With `refills`, it is a token bucket: it holds that many calls and refills evenly in that time.
    `is_refunded`: calls are counted before it is known if they count.
    """

    name: str
    calls: int
    seconds: int
    refills: bool = False
    is_refunded: bool = False

    def take(
        self, full_at: float, now: float, calls: int, parts: int = 1
    ) -> tuple[int, float, float]:
        """Take calls out of a bucket that is full again at `full_at`, 0 for a new bucket.

        Return the number of calls that fit, the seconds until the next one does (0 if all did), and
        the new `full_at`. `parts` is the number of processes that share the limit equally.
        """
        size = -(-self.calls // parts)
        each = self.seconds / size
        if full_at > now + 2 * self.seconds:
            # Recorded before the clock was set back.
            full_at = now
        # After a clock correction, a bucket is at most empty.
        full_at = min(max(full_at, now), now + self.seconds)
        fit = min(calls, int((now + self.seconds - full_at) / each + 1e-6))
        full_at += fit * each
        wait = 0.0 if fit == calls else max(full_at + each - now - self.seconds, 0.001)
        return fit, wait, full_at

    def wait(self, earlier: int, current: int, left: float, parts: int = 1) -> float:
        """Return the seconds until one more call fits, 0 if it does now.

        A sliding window over two fixed ones: `current` calls were in the current window, of which
        `left` seconds are left, `earlier` calls in the one before, assumed to be spread evenly.
        `parts` is the number of processes that share the limit equally, rounded up.
        """
        room = -(-self.calls // parts) - 1
        if current > room:
            # In the next window, when enough of this one has passed.
            return left + self.seconds * (1 - room / current)
        return max(0.0, left - self.seconds * (room - current) / earlier) if earlier else 0.0


# Generous, since a school or a company may share one address.
LOGINS = Limit("login", 100, 300, is_refunded=True)
REGISTRATIONS = Limit("registration", 100, 3600)
# All operations that reveal if a name is taken.
CHECKS = Limit("check", 300, 60)
# Access keys that were refused. The same one again is not a guess, so it is counted once.
WRONG_KEYS = Limit("key", 100, 300)
SAME_WRONG_KEY = Limit("same key", 1, 300)
# Changes by an account: 60 a minute, in bursts of 120. Each adds a permanent row to the audit
# trail.
CHANGES = Limit("change", 120, 120, refills=True)
# Logins and password changes of an account have their own limit: a stolen credential that uses up
# the changes does not keep the owner from logging in and changing the password.
PASSWORD_USES = Limit("password", 120, 120, refills=True)
# The limits whose refusals are reported to the caller.
REPORTED_LIMITS = (LOGINS, REGISTRATIONS, CHECKS, WRONG_KEYS, CHANGES, PASSWORD_USES)

# Consecutive wrong passwords without a lock; each further one doubles the lock.
FAILURES_BEFORE_LOCK = 10
LOCK_MIN = timedelta(seconds=15)
LOCK_MAX = timedelta(minutes=15)
_DOUBLINGS_MAX = (LOCK_MAX // LOCK_MIN).bit_length()
FAILURES_EXPIRE_AFTER = timedelta(days=1)
# After a login, attempts from that network are counted separately for this time.
FAMILIAR_FOR = timedelta(days=30)

# The number of familiar places that are kept; the newest ones.
PLACES_MAX = 100
# The number of renames by the account itself, per period.
RENAMES_MAX, RENAMES_WITHIN = 5, timedelta(days=1)

_IPV6_NETWORK = 64
# The number of counters for names without an account, however many are tried.
_UNKNOWN_NAMES = 2**20


# The key for all clients whose address is not known.
UNKNOWN = ""


def client_network(address: str | None) -> str:
    """Return the key under which calls are counted: an IPv4 address, or the /64 network of IPv6.

    UNKNOWN for a client whose address is not known.
    """
    if address is None:
        return UNKNOWN
    if ":" in address:
        return _network_of_ipv6(address)
    # IPv4 has only one form.
    return UNKNOWN if parse_address(address) is None else address


@lru_cache(maxsize=4096)
def _network_of_ipv6(address: str) -> str:
    parsed = parse_address(address)
    if parsed is None:
        return UNKNOWN
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    host_bits = 128 - _IPV6_NETWORK
    return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{_IPV6_NETWORK}"


def unknown_name_subject(name: str) -> int:
    """Return the subject under which attempts at a name without an account are counted.

    It is negative, unlike a snowflake, and always the same for a name; a few names share one.
    """
    digest = sha256(name.encode(errors="surrogatepass")).digest()
    return -1 - int.from_bytes(digest[:8]) % _UNKNOWN_NAMES


def add_rename(earlier: Sequence[datetime], now: datetime) -> Sequence[datetime]:
    """Return the recent renames of an account including one now. Raises RateLimited.

    A rename far in the future was recorded with a wrong clock, and is dropped.
    """
    lately = [time for time in earlier if abs(now - time) < RENAMES_WITHIN]
    if len(lately) >= RENAMES_MAX:
        raise RateLimited((min(lately) + RENAMES_WITHIN - now).total_seconds())
    return [*lately, now]


UNFAMILIAR_PLACES = ""


@dataclass(frozen=True, slots=True)
class LoginAttempts:
    """Failed attempts at an account's password from a place, since the last success there.

    `place` is a network from which the account's owner logged in recently, or UNFAMILIAR_PLACES for
    all other networks together, so that an attacker elsewhere does not lock out the owner.
    """

    subject: int
    place: str = UNFAMILIAR_PLACES
    failures: int = 0
    failed_at: datetime | None = None
    familiar_until: datetime | None = None

    @classmethod
    def at_familiar_place(cls, subject: int, place: str, now: datetime) -> Self:
        """Create the record of a place where the password was right just now."""
        return cls(subject, place, familiar_until=now + FAMILIAR_FOR)

    def is_familiar(self, now: datetime) -> bool:
        """Return True if the owner logged in from this place recently."""
        return self.familiar_until is not None and now < self.familiar_until

    def clamped_to(self, now: datetime) -> Self:
        """Return the record with a failure in the future, of a clock that was set back, moved to
        now.

        A lock is then neither cut short nor, once this is stored, longer than LOCK_MAX from now.
        """
        if self.failed_at is None:
            return self
        return replace(self, failed_at=min(self.failed_at, now))

    def add_failure(self, now: datetime) -> Self:
        """Return the record with one more attempt, which counts as failed until it succeeds.

        Raises RateLimited while the account is locked.
        """
        if (locked_until := self.locked_until(now)) is not None:
            raise RateLimited((locked_until - now).total_seconds())
        is_over = self.failed_at is not None and now >= self.failed_at + FAILURES_EXPIRE_AFTER
        return replace(self, failures=1 if is_over else self.failures + 1, failed_at=now)

    def locked_until(self, now: datetime) -> datetime | None:
        """Return when the lock of the account ends, None if it is not locked."""
        if self.failed_at is None:
            return None
        ends_at = self.failed_at + _lock(self.failures)
        return ends_at if now < ends_at else None

    def remove_failure(self) -> Self:
        """Return the record without an attempt that was never verified."""
        return replace(self, failures=max(0, self.failures - 1))


def last_lock_end(attempts: Iterable[LoginAttempts], now: datetime) -> datetime | None:
    """Return when the last lock of an account ends, None if it is locked nowhere."""
    ends = (
        attempt.clamped_to(now).locked_until(now)
        for attempt in attempts
        if attempt.place == UNFAMILIAR_PLACES or attempt.is_familiar(now)
    )
    return max((end for end in ends if end is not None), default=None)


def lock_durations() -> Sequence[tuple[int, timedelta]]:
    """Return the numbers of failures that lock an account, each with the duration of the lock.

    The last one also applies to all larger numbers.
    """
    steps = range(FAILURES_BEFORE_LOCK, FAILURES_BEFORE_LOCK + _DOUBLINGS_MAX + 1)
    return [(failures, _lock(failures)) for failures in steps]


def _lock(failures: int) -> timedelta:
    if failures < FAILURES_BEFORE_LOCK:
        return timedelta()
    doublings = min(failures - FAILURES_BEFORE_LOCK, _DOUBLINGS_MAX)
    return min(LOCK_MIN * (1 << doublings), LOCK_MAX)
