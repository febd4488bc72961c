"""Metrics that are read from the database at a scrape, since all processes share it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import product
from time import monotonic

from app.domain.errors import Overloaded
from app.domain.measurements import Measurement
from app.domain.outbox import Depth, State
from app.domain.ports.repositories import AccountTotals, LiveCredentials
from app.domain.ports.store import Transaction
from app.operations.framework.services import Services

# Counting reads whole indexes: about 0.2 s for a million accounts and as many sessions.
TOTALS_KEPT_SECONDS = 60.0


class StoreMetrics:
    """The outbox, and totals that are counted at most once a minute."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._totals: Sequence[Measurement] = ()
        self._counted_at = float("-inf")

    async def measure(self) -> Sequence[Measurement]:
        """Return the measurements, none while the store is unavailable."""
        with suppress(Overloaded):
            if monotonic() - self._counted_at >= TOTALS_KEPT_SECONDS:
                self._totals = await self._services.store.scan(self._count)
                self._counted_at = monotonic()
            return [*await self._services.store.scan(self._outbox), *self._totals]
        return ()

    def _count(self, tx: Transaction) -> Sequence[Measurement]:
        now = self._services.clock.now()
        accounts, credentials = tx.totals.count_accounts(now), tx.totals.count_credentials(now)
        return [*self._measure_accounts(accounts), *_measure_credentials(credentials)]

    def _measure_accounts(self, found: AccountTotals) -> Iterator[Measurement]:
        for state, count in (("active", found.active), ("disabled", found.disabled)):
            yield Measurement("accounts", "Accounts by state.", count, (("state", state),))
        yield Measurement("admins", "Active accounts of admins.", found.admins)
        locked = found.locked if self._services.rules.rate_limits else 0
        yield Measurement("locked_accounts", "Accounts that wrong passwords have locked.", locked)

    def _outbox(self, tx: Transaction) -> Sequence[Measurement]:
        return list(self._measure_outbox(tx.outbox.depth()))

    def _measure_outbox(self, found: Iterable[Depth]) -> Iterator[Measurement]:
        """Yield a 0 for what is empty, so that alerts see that there is an outbox."""
        depths = {(depth.kind, depth.state): depth for depth in found}
        expected = product(self._services.handlers, (State.WAITING, State.DEAD))
        now = self._services.clock.now()
        for kind, state in sorted(depths.keys() | set(expected)):
            depth = depths.get((kind, state))
            age = 0.0 if depth is None else max((now - depth.since).total_seconds(), 0.0)
            labels = (("kind", kind), ("state", state.value))
            about = "Messages in the outbox that wait or are dead."
            count = 0 if depth is None else depth.messages
            yield Measurement("outbox_messages", about, count, labels)
            about = "Age of the oldest message of the outbox that waits or is dead."
            yield Measurement("outbox_oldest_seconds", about, age, labels)


def _measure_credentials(found: LiveCredentials) -> Iterator[Measurement]:
    yield Measurement("sessions", "Sessions that are valid.", found.sessions)
    yield Measurement("access_keys", "Access keys that are valid.", found.keys)
