"""Signing keys: when a key is published, signs, retires and is trusted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from app.domain.credentials import SESSION_MAX

# The time between publication and first use: longer than HTTP caches keep our JWK Set (60 s) plus
# the cooldown of verifiers before they fetch it again (30 s in npm's jose).
PUBLISHED_AHEAD = timedelta(minutes=5)
# A key has retired if its host has not renewed its lease for this time.
KEY_LEASE = timedelta(days=1)
LEASE_RENEWED_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a signing key: its RFC 7638 thumbprint and its JWK as JSON text.

    `signs_from` is the earliest time at which its host may sign with it, `renewed_at` the last
    renewal of its lease, `replaces` the `kid` of the key it replaces.
    """

    kid: str
    jwk: str
    created_at: datetime
    retired_at: datetime | None
    signs_from: datetime
    renewed_at: datetime
    replaces: str | None = None

    @classmethod
    def publish(
        cls,
        kid: str,
        jwk: str,
        others: Sequence["PublicKey"],
        now: datetime,
        replaces: str | None = None,
    ) -> Self:
        """Create a key that is published now; the first of a directory may sign at once."""
        return cls(kid, jwk, now, None, _first_use(kid, others, now), now, replaces)

    @property
    def ends_at(self) -> datetime:
        """The time at which the key retired or will retire: at the latest when its lease ends."""
        return self.retired_at or self.renewed_at + KEY_LEASE

    def is_trusted(self, now: datetime) -> bool:
        """Return True while a token signed with the key may still be valid."""
        return now < self.ends_at + SESSION_MAX

    def can_sign(self, now: datetime) -> bool:
        """Return True if its host may sign with it: every verifier has had time to fetch it."""
        return self.retired_at is None and self.is_trusted(now) and self.signs_from <= now

    def needs_renewal(self, now: datetime) -> bool:
        """Return True if its host has to renew the lease, also after the clock was set."""
        if self.retired_at is not None:
            return False
        is_ahead = self.signs_from - now > PUBLISHED_AHEAD
        return is_ahead or abs(now - self.renewed_at) >= LEASE_RENEWED_AFTER

    def renewed(self, others: Sequence["PublicKey"], now: datetime) -> "PublicKey":
        """Return the key with a new lease.

        A key that is no longer trusted is unknown to verifiers, so it is published like a new one.
        A clock that was set back does not extend that wait.
        """
        first_use = _first_use(self.kid, others, now)
        signs_from = min(self.signs_from, first_use) if self.is_trusted(now) else first_use
        return replace(self, renewed_at=now, signs_from=signs_from)


def _first_use(kid: str, others: Sequence[PublicKey], now: datetime) -> datetime:
    """Return when a key published now may sign: at once if verifiers know no other key."""
    is_first = not any(other.is_trusted(now) for other in others if other.kid != kid)
    return now if is_first else now + PUBLISHED_AHEAD
