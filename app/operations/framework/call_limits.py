"""The rate limits of one call, and reports of the calls that they refuse."""

import logging
from collections.abc import Iterator
from time import monotonic

from app.domain.credentials import Origin, ParsedCredential, RawAccessKey
from app.domain.errors import RateLimited
from app.domain.measurements import Measurement, RefusalCounter
from app.domain.ports.services import RateLimiter
from app.domain.rate_limits import SAME_WRONG_KEY, WRONG_KEYS, Limit, client_network
from app.domain.rules import Rules
from app.domain.users import User
from app.runtime.bounded_map import BoundedMap

# Addresses and accounts whose refusals were logged.
LOGGED_MAX = 10_000

_LOG = logging.getLogger("gatehouse.limits")


class RefusalLog:
    """Counts refused calls by limit, and logs the first one of a subject in each window.

    The subject is an account or a network.
    """

    def __init__(self) -> None:
        self._counter = RefusalCounter()
        self._logged_until: BoundedMap[tuple[str, str], float] = BoundedMap(LOGGED_MAX)

    def measurements(self) -> Iterator[Measurement]:
        """Count refused calls by limit."""
        return self._counter.measurements()

    def add(
        self, limit: Limit, refusal: RateLimited, origin: Origin, account: str | None = None
    ) -> None:
        """Add a refused call of a network, or of an account."""
        self._counter.add(limit, 1)
        key, now = (limit.name, account or client_network(origin.address)), monotonic()
        if now < (self._logged_until.get(key) or 0.0):
            return
        self._logged_until.pop(key)
        self._logged_until.put(key, now + limit.seconds)
        _LOG.warning(
            "rate limit reached",
            extra={
                "limit": limit.name,
                "address": origin.address,
                "retry_after": refusal.retry_after,
                "request_id": origin.request_id,
            }
            | ({} if account is None else {"account": account}),
        )


class CallLimits:
    """The limits that count one call, by its network and by accounts.

    Without `is_on`, for the operator and with rate limits switched off, nothing is counted. The
    calls of an exempt network are counted by account only.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        refusals: RefusalLog,
        rules: Rules,
        origin: Origin,
        *,
        is_on: bool,
    ) -> None:
        self._limiter = limiter
        self._refusals = refusals
        self._rules = rules
        self._origin = origin
        self.is_on = is_on

    @property
    def network(self) -> str:
        """The network whose calls share one count with this one; '' if unknown."""
        return client_network(self._origin.address)

    @property
    def counts_network(self) -> bool:
        """True if calls of this network are limited."""
        return self.is_on and not self._rules.is_exempt(self._origin.address)

    async def count(self, limit: Limit) -> None:
        """Count a call from this network. Raises RateLimited beyond the limit."""
        if refusal := await self.try_count(limit):
            raise self.report(limit, refusal)

    async def try_count(self, limit: Limit) -> RateLimited | None:
        """Count a call from this network; return the error, not yet reported, beyond the limit."""
        if not self.counts_network:
            return None
        wait = await self._limiter.count(limit, self.network)
        return RateLimited(wait) if wait else None

    async def count_each(self, limit: Limit, calls: int) -> tuple[int, RateLimited | None]:
        """Count calls; return how many are within the limit, and the error of the others."""
        if not self.counts_network:
            return calls, None
        fit, wait = await self._limiter.count_many(limit, self.network, calls)
        if not wait:
            return fit, None
        refusal = RateLimited(wait)
        for _ in range(calls - fit):
            self.report(limit, refusal)
        return fit, refusal

    async def refund(self, limit: Limit) -> None:
        """Take a call from this network off the count."""
        if self.counts_network:
            await self._limiter.refund(limit, self.network)

    async def over_account(self, limit: Limit, user: User) -> RateLimited | None:
        """Count an action of an account; return the error if it is beyond the limit."""
        if self.is_on and (wait := await self._limiter.count(limit, str(user.id))):
            return self.report(limit, RateLimited(wait), user.uuid)
        return None

    async def refund_account(self, limit: Limit, user: User) -> None:
        """Take an action of an account off the count."""
        await self._limiter.refund(limit, str(user.id))

    async def count_wrong_key(self, parsed: ParsedCredential | None) -> None:
        """Count a refused access key, once for each. Raises RateLimited beyond the limit."""
        if isinstance(parsed, RawAccessKey) and self.counts_network:
            which = f"{self.network} {parsed.id} {parsed.secret_hash.hex()}"
            if not await self._limiter.count(SAME_WRONG_KEY, which):
                await self.count(WRONG_KEYS)

    def refuse_guesses(self, parsed: ParsedCredential | None) -> None:
        """Raise RateLimited for an access key from a network with too many wrong ones.

        Tokens are not limited: their signature shows whether they are ours, and cannot be guessed.
        """
        if isinstance(parsed, RawAccessKey) and self.counts_network:
            wait = self._limiter.peek(WRONG_KEYS, self.network)
            if wait:
                raise self.report(WRONG_KEYS, RateLimited(wait))

    def report(self, limit: Limit, refusal: RateLimited, account: str | None = None) -> RateLimited:
        """Count and log the refusal of a call, and return it."""
        self._refusals.add(limit, refusal, self._origin, account)
        return refusal
