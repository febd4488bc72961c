"""Response cache for read-only operations, valid until the next commit.

'Who am I?' is asked far more often than anything else, and an open panel requests its first page
repeatedly. Such a response depends only on the store, the credential, the address (to which a
key may be bound), the path and the query. The store's version shows commits; responses that change
with time alone have an expiry time. So no operation invalidates anything.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from starlette.types import Message, Send

from app.domain.measurements import Measurement, measure_cache
from app.domain.ports.services import Clock
from app.domain.ports.store import Store
from app.http.request import Context
from app.runtime.bounded_map import BoundedMap

# About half a kilobyte each, beside the response itself.
ENTRIES_MAX = 10_000
# Bytes of all responses, and of one.
SIZE_MAX = 1024 * 1024
RESPONSE_MAX = SIZE_MAX // 32


class CacheKey(NamedTuple):
    """The inputs of a response: the path or method, the credential, the address, the query."""

    name: str
    credential: str
    address: str | None
    query: bytes = b""


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response without its request id, its headers before and after the length of the body.

    `account` is the caller's, for the log line.
    """

    status: int
    before: bytes
    after: bytes
    body: bytes
    expires_at: datetime
    account: str | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.before) + len(self.after) + len(self.body)


class ResponseCache:
    """Responses of one data version of the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._version: object = None
        self._responses = _no_responses()
        self._hits = self._misses = 0

    def measurements(self) -> Iterator[Measurement]:
        """Count hits, misses and entries."""
        return measure_cache("answers", self._hits, self._misses, len(self._responses))

    def is_usable(self) -> bool:
        """Drop the responses of an earlier version; return whether the store has a version."""
        version = self._store.version()
        if version != self._version:
            self._responses = _no_responses()
            self._version = version
        return version is not None

    def find(self, key: CacheKey) -> "CachedResponse | CacheMiss":
        """Return the response. Call `is_usable` first."""
        found = self._responses.get(key)
        if found is not None and self._clock.now() < found.expires_at:
            self._hits += 1
            return found
        self._misses += 1
        return CacheMiss(self, key, self._version)

    def keep(self, miss: "CacheMiss", response: CachedResponse) -> None:
        """Keep the response to a request that missed, unless there was a commit since."""
        if response.size > RESPONSE_MAX or not self.is_usable() or self._version != miss.version:
            return
        self._responses.pop(miss.key)
        self._responses.put(miss.key, response)


def _no_responses() -> BoundedMap[CacheKey, CachedResponse]:
    # A small response counts as much as leaves room for ENTRIES_MAX of them.
    return BoundedMap(SIZE_MAX, lambda response: max(response.size, SIZE_MAX // ENTRIES_MAX))


@dataclass(slots=True)
class CacheMiss:
    """A request whose response is not cached; `body_of` returns the part of the body to keep."""

    cache: ResponseCache
    key: CacheKey
    version: object
    body_of: Callable[[bytes], bytes] = bytes

    def recording(self, send: Send, context: Context) -> Send:
        """Return `send`, which also keeps the response of an operation that may be cached."""
        start: Message = {}

        async def record(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif context.expires_at is not None and not message.get("more_body"):
                body = self.body_of(message.get("body", b""))
                before, after = _split(start["headers"])
                response = CachedResponse(
                    context.status, before, after, body, context.expires_at, context.account
                )
                self.cache.keep(self, response)
            await send(message)

        return record


def _split(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Return the lines before and after `content-length`, without that of the request id."""
    before, after = list[bytes](), list[bytes]()
    lines = before
    for name, value in headers:
        if name == b"content-length":
            lines = after
        elif name != b"x-request-id":
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(before), b"".join(after)
