"""One HTTP client for what we ask of others: deadlines, bounds, and a breaker for each service."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpx

from app.domain.readings import Reading

T = TypeVar("T")

# Of one service: whoever comes beyond that is told at once, and no service shares with another.
AT_ONCE_MAX = 16
# Less than servers keep a connection for, so that none is used in the moment that it ends.
_IDLE_SECONDS = 2.0
_OK = frozenset({200})
# What a proxy says for a service that is not there, and a service that is there for nobody (RFC
# 9110). Any other status, 500 too, may be about one question.
_OUT_OF_ORDER = frozenset({502, 503, 504})


class UpstreamError(Exception):
    """There is no answer to use; the sentence says why, and nothing of what was asked."""

    # As metrics have it.
    outcome = "failed"


class SlowError(UpstreamError):
    """It takes longer than anybody waits."""

    outcome = "timeout"


class BusyError(UpstreamError):
    """It is being asked so much already that it is not asked this as well."""

    outcome = "busy"


class LeftAloneError(UpstreamError):
    """It failed several times running, and is not asked for a while."""

    outcome = "skipped"


class BadAnswerError(UpstreamError):
    """It is there, but what it says to this one question is of no use."""

    outcome = "refused"


_OUTCOMES = ("ok", "refused", "failed", "timeout", "skipped", "busy")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an answer may take: seconds from the first step to the last byte, and bytes.

    Of the seconds at most `connect` until it is connected, and `silence` without a byte.
    """

    seconds: float
    bytes: int
    connect: float = 1.0
    silence: float = 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What it answered."""

    status: int
    body: bytes


class Breaker:
    """Spares everybody the wait for a service that was not there several times running.

    For a pause nobody asks it; then one may try, and the others wait for what becomes of that.
    """

    def __init__(
        self, failures: int = 3, pause: float = 30.0, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """`seconds` is a time that never goes back."""
        self._most, self._pause, self._seconds = failures, pause, seconds
        self._failures = 0
        self._until = 0.0

    def lets_through(self) -> bool:
        """Whether the service may be asked; after a pause one may, and another begins."""
        if self._failures < self._most:
            return True
        now = self._seconds()
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def succeeded(self) -> None:
        """Let everybody through again."""
        self._failures = 0

    def failed(self) -> None:
        """Count one more failure running."""
        self._failures += 1
        self._until = self._seconds() + self._pause


def breaker() -> Breaker:
    """One for a service whose answers people wait for: soon open, and soon tried again."""
    return Breaker(failures=5, pause=10.0)


@asynccontextmanager
async def open_client() -> AsyncIterator[httpx.AsyncClient]:
    """The client that all upstreams share.

    It follows no redirect, keeps no cookie, and takes neither a proxy nor credentials from the
    environment. Each upstream bounds how many connections it has.
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
    """The headers for a service that is opened by a token (RFC 6750)."""
    return {"Authorization": f"Bearer {token}", "Accept": accept}


class Upstream:
    """One service: where it is, what opens it, and how much it may cost.

    `headers` go to it alone. What it is asked begins with `url`, and nothing that it answers makes
    us ask anybody else.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        headers: Mapping[str, str],
        breaker: Breaker,
        *,
        at_once: int = AT_ONCE_MAX,
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = headers
        self._breaker = breaker
        self._free = at_once
        self._outcomes = dict.fromkeys(_OUTCOMES, 0)

    def readings(self, service: str) -> Iterator[Reading]:
        """What became of the questions to what operators know as `service`."""
        about = "Questions to another service."
        for outcome, count in self._outcomes.items():
            labels = (("service", service), ("outcome", outcome))
            yield Reading("upstream_requests", about, count, labels, is_total=True)

    async def ask(
        self,
        path: str,
        bounds: Bounds,
        read: Callable[[Reply], T],
        *,
        method: str = "GET",
        statuses: Collection[int] = _OK,
        counts: bool = True,
    ) -> T:
        """What `read` makes of the reply, which has one of the `statuses`.

        `read` raises BadAnswerError for what is of no use; that and any other UpstreamError comes
        out of here. One bad answer tells nothing of others: the service goes on being asked. Unless
        it `counts`, no failure tells anything of others.
        """
        with self._counted():
            breaker = self._breaker if counts else Breaker()
            if self._free == 0:
                raise BusyError("it is asked as much as it may be at once")
            if not breaker.lets_through():
                raise LeftAloneError("it failed several times running, and is left alone a while")
            self._free -= 1
            try:
                reply = await self._exchange(method, path, bounds, statuses)
                answer = read(reply)
            except BadAnswerError:
                breaker.succeeded()
                raise
            except UpstreamError:
                breaker.failed()
                raise
            finally:
                self._free += 1
            breaker.succeeded()
            return answer

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except UpstreamError as error:
            self._outcomes[error.outcome] += 1
            raise
        self._outcomes["ok"] += 1

    async def _exchange(
        self, method: str, path: str, bounds: Bounds, statuses: Collection[int]
    ) -> Reply:
        try:
            async with (
                asyncio.timeout(bounds.seconds),
                self._client.stream(
                    method,
                    f"{self._url}{path}",
                    headers=self._headers,
                    timeout=httpx.Timeout(bounds.silence, connect=bounds.connect),
                ) as response,
            ):
                return await _read(response, bounds.bytes, statuses)
        except (TimeoutError, httpx.TimeoutException):
            raise SlowError("it took too long") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UpstreamError(f"it could not be asked ({type(error).__name__})") from None


async def _read(response: httpx.Response, most: int, statuses: Collection[int]) -> Reply:
    if response.status_code not in statuses:
        is_there = response.status_code not in _OUT_OF_ORDER
        kind = BadAnswerError if is_there else UpstreamError
        raise kind(f"it answered with status {response.status_code}")
    # It was asked for none. To unpack it could make any number of bytes of a few.
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadAnswerError("its answer is packed")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise BadAnswerError(f"its answer has more than {most} bytes")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise BadAnswerError(f"its answer has more than {most} bytes")
    return Reply(response.status_code, bytes(body))
