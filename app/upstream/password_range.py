"""Passwords known from breaches, asked of a k-anonymity range service.

The protocol is that of Have I Been Pwned's Pwned Passwords (API version 3, 'Searching by range'):
five of the forty hex digits of a password's SHA-1 go out, and all that is known below them comes
back, so that the service learns neither the password nor whether it was among them.
"""

import re
from hashlib import sha1

import httpx
import structlog

from app.upstream.client import (
    BadAnswerError,
    Bounds,
    Breaker,
    LeftAloneError,
    Reply,
    Upstream,
    UpstreamError,
)

PREFIX_DIGITS = 5
# An answer has some 40 kB; nobody who signs up waits longer for it than this.
BOUNDS = Bounds(seconds=1.0, bytes=512 * 1024)
# Has the service fill its answer up to a length that tells no prefix; what fills it counts 0.
_HEADERS = {"Add-Padding": "true", "Accept": "text/plain"}
_RANGE = re.compile(rb"(?:[0-9A-Fa-f]{35}:[0-9]{1,20}(?:\r?\n|\Z))*")
_LOG = structlog.get_logger("gatehouse.upstream")


class PasswordRanges:
    """`BreachedPasswords` by a service at `url`.

    Where that gives no usable answer in time, the password counts as unknown: the shipped list was
    asked before, and a stranger's service does not decide whether anybody can sign up here.
    """

    def __init__(
        self, client: httpx.AsyncClient, url: str, breaker: Breaker, bounds: Bounds = BOUNDS
    ) -> None:
        self._upstream = Upstream(client, url, _HEADERS, breaker)
        self._bounds = bounds

    async def knows(self, password: str) -> bool:
        """Whether the password was in a breach; False, too, where that cannot be told."""
        digest = sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            path = f"/{digest[:PREFIX_DIGITS]}"
            counts = await self._upstream.ask(path, self._bounds, _range_of)
        except LeftAloneError:
            return False
        except UpstreamError as error:
            _LOG.warning("passwords are not checked against breaches", reason=str(error))
            return False
        return counts.get(digest[PREFIX_DIGITS:], 0) > 0


def _range_of(reply: Reply) -> dict[str, int]:
    """How often each hash was seen, by the digits after the prefix that was asked for."""
    if _RANGE.fullmatch(reply.body) is None:
        raise BadAnswerError("its answer is no range of hashes")
    lines = (line.split(":") for line in reply.body.decode("ascii").upper().split())
    return {suffix: int(count) for suffix, count in lines}
