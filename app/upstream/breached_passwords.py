"""Passwords known from breaches, looked up at a k-anonymity range service.

The protocol is that of Have I Been Pwned's Pwned Passwords (API version 3, 'Searching by range'):
five of the forty hex digits of a password's SHA-1 are sent, and all known hashes with that prefix
come back, so that the service learns neither the password nor whether it is known.
"""

from collections.abc import Iterator
from hashlib import sha1

import httpx
import structlog

from app.domain.measurements import Measurement
from app.domain.text import Pattern
from app.upstream.client import (
    BadResponseError,
    CircuitBreaker,
    CircuitOpenError,
    ReplyLimits,
    Upstream,
    UpstreamError,
    UpstreamResponse,
)

PREFIX_DIGITS = 5
# A response has some 40 kB; no sign-up waits longer for it than this.
LIMITS = ReplyLimits(seconds=1.0, bytes=512 * 1024)
# Makes the service pad its response, whose length would reveal the prefix; padding counts 0.
_HEADERS = {"Add-Padding": "true", "Accept": "text/plain"}
_RANGE = Pattern(rb"(?:[0-9A-Fa-f]{35}:[0-9]{1,20}(?:\r?\n|\Z))*", LIMITS.bytes)
_LOG = structlog.get_logger("gatehouse.upstream")


class PasswordRanges:
    """`BreachedPasswords` by the service at `url`.

    Without a usable response in time the password counts as unknown: the shipped list was
    checked before, and an external service must not decide whether users can sign up.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        breaker: CircuitBreaker,
        limits: ReplyLimits = LIMITS,
    ) -> None:
        self._upstream = Upstream(client, url, _HEADERS, breaker)
        self._limits = limits
        self._outcomes = dict.fromkeys(("known", "unknown", "failed", "skipped"), 0)

    def measurements(self) -> Iterator[Measurement]:
        """Count lookups by outcome; `skipped` were not sent to a failing service."""
        description = "Checks of passwords at the range service."
        for outcome, count in self._outcomes.items():
            labels = (("outcome", outcome),)
            yield Measurement("password_range_checks", description, count, labels, is_total=True)

    async def contains(self, password: str) -> bool:
        """Return whether the password is known from a breach; False, too, if the service fails."""
        digest = sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            prefix = digest[:PREFIX_DIGITS]
            counts = await self._upstream.request(
                f"/{prefix}", self._limits, _range_of, subject=prefix
            )
        except CircuitOpenError:
            self._outcomes["skipped"] += 1
            return False
        except UpstreamError as error:
            self._outcomes["failed"] += 1
            _LOG.warning("breached password check failed", reason=str(error))
            return False
        is_known = counts.get(digest[PREFIX_DIGITS:], 0) > 0
        self._outcomes["known" if is_known else "unknown"] += 1
        return is_known


def _range_of(reply: UpstreamResponse) -> dict[str, int]:
    """Return the count of each hash in the range, by the digits after the prefix."""
    if _RANGE.fullmatch(reply.body) is None:
        raise BadResponseError("the response is not a range of hashes")
    lines = (line.split(":") for line in reply.body.decode("ascii").upper().split())
    return {suffix: int(count) for suffix, count in lines}
