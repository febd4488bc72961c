"""How often is too often: every number in one place, and the rules that follow from them.

Two throttles stand side by side. One counts what comes from an address, whatever it is about. The
other counts wrong passwords of an account, wherever they come from, and is kept in the store.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Self

from app.domain.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls from one address in any so many seconds."""

    name: str
    calls: int
    seconds: int

    def wait(self, earlier: int, current: int, left: float, parts: int = 1) -> float:
        """Seconds until one more call fits in, 0 where it does now.

        The window slides over two that stand still: `current` calls were in the one of which `left`
        seconds are left, `earlier` ones in the one before, taken as spread evenly over it. With
        `parts`, only such a part of the calls is allowed, rounded up.
        """
        room = -(-self.calls // parts) - 1
        if current > room:
            # Only in the next window, when enough of this one has gone by.
            return left + self.seconds * (1 - room / current)
        return max(0.0, left - self.seconds * (room - current) / earlier) if earlier else 0.0


# Generous, since a school or a company may stand behind one address.
LOGINS = Limit("login", 100, 300)
REGISTRATIONS = Limit("registration", 100, 3600)
# Also what else tells of a name whether it is taken.
CHECKS = Limit("check", 300, 60)
# Access keys that were refused. The same one again is no guess: it is counted once.
WRONG_KEYS = Limit("key", 100, 300)
SAME_WRONG_KEY = Limit("same key", 1, 300)
# Those whose refusals are told to the caller.
REFUSING = (LOGINS, REGISTRATIONS, CHECKS, WRONG_KEYS)

# Wrong passwords in a row that cost nothing but the trouble; from then on, each doubles the wait.
FREE_FAILURES = 10
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=15)
_DOUBLINGS_MAX = (LONGEST_WAIT // FIRST_WAIT).bit_length()
FORGOTTEN_AFTER = timedelta(days=1)
# Somebody who logged in is counted apart from strangers there, for so long.
FAMILIAR_FOR = timedelta(days=30)

_IPV6_NETWORK = 64
# Names that nobody has are counted in so many places, however many are invented.
_UNKNOWN_NAMES = 2**20


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str:
    """Whose calls are counted together: an IPv4 address, or the /64 that a customer has in IPv6.

    '' for an address that is not known.
    """
    if address is None or ":" not in address:
        return address or ""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    assert isinstance(parsed, IPv6Address)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    host_bits = 128 - _IPV6_NETWORK
    return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{_IPV6_NETWORK}"


def subject_of_unknown(name: str) -> int:
    """What stands for a name that nobody has, where attempts at accounts are counted by snowflake.

    Below zero, and never another for the same name; a few names share one.
    """
    digest = sha256(name.encode(errors="surrogatepass")).digest()
    return -1 - int.from_bytes(digest[:8]) % _UNKNOWN_NAMES


STRANGERS = ""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts at one account's password from one place, since the last that succeeded there.

    `place` is a network that the account's owner logged in from lately, or STRANGERS for all the
    rest of the world together, so that nobody far away can use up what is left to him at home.
    """

    subject: int
    place: str = STRANGERS
    failures: int = 0
    failed_at: datetime | None = None
    familiar_until: datetime | None = None

    @classmethod
    def familiar(cls, subject: int, place: str, now: datetime) -> Self:
        """Of a place where the password was right just now."""
        return cls(subject, place, familiar_until=now + FAMILIAR_FOR)

    def is_familiar(self, now: datetime) -> bool:
        """Whether it is a place where the owner was lately."""
        return self.familiar_until is not None and now < self.familiar_until

    def as_of(self, now: datetime) -> Self:
        """With a failure that is still to come, since the clock was set back, taken as one of now.

        So a lock is neither cut short nor, once this is stored, longer than the longest from now.
        """
        if self.failed_at is None or self.failed_at <= now:
            return self
        return replace(self, failed_at=now)

    def one_more(self, now: datetime) -> Self:
        """With one that counts as failed until it succeeds. Raises RateLimited while locked."""
        failures = self.failures
        if self.failed_at is not None:
            if now >= self.failed_at + FORGOTTEN_AFTER:
                failures = 0
            elif now < (opens_at := self.failed_at + _lock(failures)):
                raise RateLimited((opens_at - now).total_seconds())
        return replace(self, failures=failures + 1, failed_at=now)

    def one_less(self) -> Self:
        """Without one that was never judged."""
        return replace(self, failures=max(0, self.failures - 1))


def _lock(failures: int) -> timedelta:
    if failures < FREE_FAILURES:
        return timedelta()
    doublings = min(failures - FREE_FAILURES, _DOUBLINGS_MAX)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)
