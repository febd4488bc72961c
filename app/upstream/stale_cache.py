"""A cache of upstream lists with one request in flight per subject, and stale entries on errors."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from app.domain.errors import Overloaded, UpstreamFailed, UpstreamTimeout
from app.domain.ports.upstreams import Cached
from app.runtime.bounded_map import BoundedMap
from app.runtime.single_flight import SingleFlight
from app.upstream.client import (
    CircuitOpenError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)

T = TypeVar("T")

FRESH_SECONDS = 10.0
# The maximum age of a stale entry that is shown after an error (RFC 5861 section 4).
STALE_SECONDS = 3600.0
# Guilds or servers in all entries; each takes up to 3 kB, mostly a tenth of that.
KEPT_MAX = 20_000
_LOG = structlog.get_logger("gatehouse.upstream")


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    value: Sequence[T]
    at: float


class StaleCache(Generic[T]):
    """A cache of the list that `ask` returns for each subject.

    Fresh entries are reused. If the service fails, an entry of the last hour is returned with the
    seconds since it was fresh; without one, the failure is raised as an error of the catalogue.
    """

    def __init__(
        self,
        service: str,
        fetch: Callable[[str], Awaitable[Sequence[T]]],
        seconds: Callable[[], float],
        *,
        max_entries: int = KEPT_MAX,
    ) -> None:
        """`service` is its name for users; `fetch` raises UpstreamError; `seconds` is monotonic."""
        self._service, self._fetch, self._seconds = service, fetch, seconds
        self._known: BoundedMap[str, _Known[T]] = BoundedMap(
            max_entries, lambda it: 1 + len(it.value)
        )
        self._fetching: SingleFlight[str, Sequence[T]] = SingleFlight()

    async def get(self, subject: str) -> Cached[Sequence[T]]:
        """Return the subject's list. Raises UpstreamFailed, UpstreamTimeout, Overloaded."""
        known = self._known.get(subject)
        if known is not None and self._seconds() - known.at < FRESH_SECONDS:
            return Cached(known.value)
        with translate_errors(self._service):
            try:
                value = await self._fetching.run(subject, lambda: self._fetch_and_store(subject))
                return Cached(value)
            except UpstreamError:
                known = self._known.get(subject)
                stale_seconds = (
                    None if known is None else self._seconds() - known.at - FRESH_SECONDS
                )
                if known is None or stale_seconds is None or stale_seconds > STALE_SECONDS:
                    raise
                return Cached(known.value, max(0, int(stale_seconds)))

    def invalidate(self, subject: str) -> None:
        """Drop the subject's entry, since the list has changed."""
        self._known.pop(subject)

    async def _fetch_and_store(self, subject: str) -> Sequence[T]:
        with log_failures(self._service):
            value = await self._fetch(subject)
        self.invalidate(subject)
        self._known.put(subject, _Known(value, self._seconds()))
        return value


@contextmanager
def log_failures(service: str) -> Iterator[None]:
    """Log failures of a service, but not requests that were not sent, which may be many."""
    try:
        yield
    except (CircuitOpenError, UpstreamBusyError):
        raise
    except UpstreamError as error:
        _LOG.warning("upstream request failed", upstream=service, reason=str(error))
        raise


@contextmanager
def translate_errors(service: str) -> Iterator[None]:
    """Raise failures of a service as errors of the catalogue."""
    try:
        yield
    except UpstreamTimeoutError:
        raise UpstreamTimeout(service) from None
    except UpstreamBusyError:
        raise Overloaded from None
    except UpstreamError:
        raise UpstreamFailed(service) from None
