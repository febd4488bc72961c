"""The HTTP client for upstream services: deadlines, limits, and a circuit breaker for each."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpx

from app.domain.measurements import Measurement
from app.runtime.bounded_map import BoundedMap

T = TypeVar("T")

# Concurrent requests to one service; further ones fail at once. Services share no slots.
CONCURRENT_MAX = 16
# Less than the keep-alive of servers, so that no connection is used while it is closed.
_IDLE_SECONDS = 2.0
# The fraction of slots for suspects together: accounts whose responses hang leave room for others.
SUSPECTS_SHARE = 4
# A failed subject is suspect for so many pauses of the breaker; so many are remembered.
SUSPECT_PAUSES = 6
SUSPECTS_MAX = 1000
_OK = frozenset({200})
# Responses of a proxy for a missing service, or of a service that is unavailable for all (RFC
# 9110). Any other status, 500 included, may be about one request.
_OUT_OF_ORDER = frozenset({502, 503, 504})


class UpstreamError(Exception):
    """There is no usable response; the message says why, without data of the request."""

    # The label in metrics.
    outcome = "failed"
    # The connection failed, regardless of the request.
    is_unreachable = False


class UpstreamTimeoutError(UpstreamError):
    """The service is too slow."""

    outcome = "timeout"


class UpstreamBusyError(UpstreamError):
    """The service has too many concurrent requests already."""

    outcome = "busy"


class CircuitOpenError(UpstreamError):
    """The service failed for several subjects, and gets no requests for a while."""

    outcome = "skipped"


class BadResponseError(UpstreamError):
    """The service works, but its response to this request is of no use."""

    outcome = "refused"


_OUTCOMES = ("ok", "refused", "failed", "timeout", "skipped", "busy")


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """Limits of one response: seconds from the start to the last byte, and bytes.

    `connect` limits the seconds until the connection, `silence` those without a byte.
    """

    seconds: float
    bytes: int
    connect: float = 1.0
    silence: float = 2.0


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """The status and body of a response."""

    status: int
    body: bytes


class CircuitBreaker:
    """A circuit breaker, so that requests do not wait for a failing service.

    It counts by subject, the account or other object of a request: hanging responses
    about one say nothing about others. It opens when so many different `subjects` have
    failed without a success in between, or the connection has failed so many
    times (`failures`). No request is sent for a pause. Then one is the trial, and the others wait
    for its outcome. A subject that failed lately is not the trial, unless there is no other
    for another pause; nor does it count again.
    """

    def __init__(
        self,
        failures: int = 3,
        pause: float = 30.0,
        seconds: Callable[[], float] = time.monotonic,
        *,
        subjects: int = 3,
    ) -> None:
        """`seconds` is a monotonic clock."""
        self._failures_max, self._subjects_max = failures, subjects
        self._pause, self._seconds = pause, seconds
        # Since the last success: the different subjects that failed, and the failed connections.
        self._failed: set[str] = set()
        self._unreachable = 0
        # The time of the latest failure of each suspect, a subject that failed lately.
        self._suspects: BoundedMap[str, float] = BoundedMap(SUSPECTS_MAX)
        self._until = 0.0

    def try_pass(self, subject: str) -> bool:
        """Return whether a request may be sent; after a pause one may, and the next begins."""
        if not self._is_open():
            return True
        now = self._seconds()
        if now < self._until + (self._pause if self.is_suspect(subject) else 0.0):
            return False
        self._until = now + self._pause
        return True

    def is_suspect(self, subject: str) -> bool:
        """Return whether the subject failed lately, without a success since."""
        failed_at = self._suspects.get(subject)
        return failed_at is not None and self._seconds() < failed_at + SUSPECT_PAUSES * self._pause

    def record_success(self, subject: str) -> None:
        """Close the breaker."""
        self._suspects.pop(subject)
        self._failed.clear()
        self._unreachable = 0

    def record_failure(self, subject: str, *, is_unreachable: bool) -> None:
        """Count a failure; `is_unreachable`: the connection failed, regardless of the subject."""
        now, was_suspect = self._seconds(), self.is_suspect(subject)
        self._suspects.pop(subject)
        self._suspects.put(subject, now)
        was_open = self._is_open()
        self._unreachable += is_unreachable
        if not was_suspect and len(self._failed) < self._subjects_max:
            self._failed.add(subject)
        if self._is_open() and not was_open:
            self._until = now + self._pause

    def _is_open(self) -> bool:
        return len(self._failed) >= self._subjects_max or self._unreachable >= self._failures_max


def make_breaker() -> CircuitBreaker:
    """Return a breaker for a service that users wait for: it opens soon, and retries soon."""
    return CircuitBreaker(failures=5, pause=10.0)


@asynccontextmanager
async def open_client() -> AsyncIterator[httpx.AsyncClient]:
    """Open the client that all upstreams share.

    It follows no redirect, keeps no cookie, and takes neither a proxy nor credentials from the
    environment. Each upstream bounds its connections.
    """
    async with httpx.AsyncClient(
        headers={"User-Agent": "Gatehouse", "Accept-Encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_SECONDS),
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client


def bearer(token: str, accept: str = "application/json") -> Mapping[str, str]:
    """Return the headers for a service that takes a bearer token (RFC 6750)."""
    return {"Authorization": f"Bearer {token}", "Accept": accept}


class Upstream:
    """One service: its URL, credentials and limits.

    `headers` are sent to it only. The URL of every request begins with `url`, and no response makes
    us send a request elsewhere.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        headers: Mapping[str, str],
        breaker: CircuitBreaker,
        *,
        concurrent: int = CONCURRENT_MAX,
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = headers
        self._breaker = breaker
        self._free = concurrent
        self._free_for_suspects = max(1, concurrent // SUSPECTS_SHARE)
        self._outcomes = dict.fromkeys(_OUTCOMES, 0)

    def measurements(self, service: str) -> Iterator[Measurement]:
        """Count requests by outcome; `service` is the operators' name for it."""
        description = "Requests to other services."
        for outcome, count in self._outcomes.items():
            labels = (("service", service), ("outcome", outcome))
            yield Measurement("upstream_requests", description, count, labels, is_total=True)

    async def request(
        self,
        path: str,
        limits: ReplyLimits,
        read: Callable[[UpstreamResponse], T],
        *,
        method: str = "GET",
        statuses: Collection[int] = _OK,
        subject: str | None = None,
    ) -> T:
        """Send a request, and return what `read` makes of a response with one of the `statuses`.

        `read` raises BadResponseError for an unusable response. This method raises that and any
        other UpstreamError. A bad response does not open the breaker, which counts by `subject`;
        a request without one bypasses it.
        """
        with self._counted(), self._slot(subject):
            if subject is None:
                return read(await self._exchange(method, path, limits, statuses))
            if not self._breaker.try_pass(subject):
                raise CircuitOpenError(
                    "the circuit breaker is open after failures for several subjects"
                )
            try:
                answer = read(await self._exchange(method, path, limits, statuses))
            except BadResponseError:
                self._breaker.record_success(subject)
                raise
            except UpstreamError as error:
                self._breaker.record_failure(subject, is_unreachable=error.is_unreachable)
                raise
            self._breaker.record_success(subject)
            return answer

    @contextmanager
    def _slot(self, subject: str | None) -> Iterator[None]:
        """Occupy a slot for a concurrent request. Raises UpstreamBusyError if none is free."""
        is_suspect = subject is not None and self._breaker.is_suspect(subject)
        if self._free == 0 or (is_suspect and self._free_for_suspects == 0):
            raise UpstreamBusyError("too many concurrent requests")
        self._free -= 1
        self._free_for_suspects -= is_suspect
        try:
            yield
        finally:
            self._free += 1
            self._free_for_suspects += is_suspect

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except UpstreamError as error:
            self._outcomes[error.outcome] += 1
            raise
        self._outcomes["ok"] += 1

    async def _exchange(
        self, method: str, path: str, limits: ReplyLimits, statuses: Collection[int]
    ) -> UpstreamResponse:
        try:
            async with (
                asyncio.timeout(limits.seconds),
                self._client.stream(
                    method,
                    f"{self._url}{path}",
                    headers=self._headers,
                    timeout=httpx.Timeout(limits.silence, connect=limits.connect),
                ) as response,
            ):
                return await _read(response, limits.bytes, statuses)
        except (TimeoutError, httpx.TimeoutException) as error:
            slow = UpstreamTimeoutError("the request timed out")
            slow.is_unreachable = isinstance(error, httpx.ConnectTimeout)
            raise slow from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            failed = UpstreamError(f"the request failed ({type(error).__name__})")
            failed.is_unreachable = isinstance(error, httpx.ConnectError | OSError)
            raise failed from None


async def _read(
    response: httpx.Response, max_bytes: int, statuses: Collection[int]
) -> UpstreamResponse:
    if response.status_code not in statuses:
        is_there = response.status_code not in _OUT_OF_ORDER
        kind = BadResponseError if is_there else UpstreamError
        raise kind(f"the response has status {response.status_code}")
    # No encoding was accepted, and decoding a few bytes could yield any number.
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadResponseError("the response has a content coding")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise BadResponseError(f"the response has more than {max_bytes} bytes")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise BadResponseError(f"the response has more than {max_bytes} bytes")
    return UpstreamResponse(response.status_code, bytes(body))
