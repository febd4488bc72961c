"""One HTTP client for what we ask of others: deadlines, bounds, and a breaker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

CONNECTIONS_MAX = 20


class UpstreamError(Exception):
    """There is no answer to use; the sentence says why, and nothing of what was asked."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an answer may take: seconds from the first step to the last byte, and bytes."""

    seconds: float
    bytes: int


class Breaker:
    """Spares everybody the wait for a service that has failed several times running.

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


@asynccontextmanager
async def open_client() -> AsyncIterator[httpx.AsyncClient]:
    """The client that all upstreams share.

    It follows no redirect, keeps no cookie, and takes neither a proxy nor credentials from the
    environment.
    """
    async with httpx.AsyncClient(
        headers={"User-Agent": "Gatehouse", "Accept-Encoding": "identity"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client


async def get(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str], bounds: Bounds
) -> bytes:
    """The body of a 200, within `bounds`. Raises UpstreamError for anything else."""
    try:
        async with (
            asyncio.timeout(bounds.seconds),
            client.stream("GET", url, headers=headers, timeout=bounds.seconds) as response,
        ):
            return await _body(response, bounds.bytes)
    except TimeoutError:
        raise UpstreamError("it took too long") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise UpstreamError(f"it could not be asked ({type(error).__name__})") from None


async def _body(response: httpx.Response, most: int) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise UpstreamError(f"it answered with status {response.status_code}")
    body = bytearray()
    # As they were sent: to unpack them could make any number of bytes of a few.
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise UpstreamError(f"its answer has more than {most} bytes")
    return bytes(body)
