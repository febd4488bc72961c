"""The record of a request with an Idempotency-Key: its caller, key, content and response."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

KEPT_FOR = timedelta(hours=24)
# If a caller has more, the oldest are deleted.
RECORDS_PER_CALLER = 1000


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of a request that may be repeated, as it was sent.

    For a call of a batch, `batch` is a hash of the whole batch, and `number` is the place of the
    call among those that take a key.
    """

    text: str
    batch: bytes = b""
    number: int = 0

    @property
    def of_request(self) -> bytes:
        """The hash under which the request is stored, a batch as a whole."""
        return hash_key(self.text)

    @property
    def of_call(self) -> bytes:
        """The hash under which the response is stored."""
        # No key that is sent contains a NUL.
        return hash_key(f"{self.text}\0{self.number}") if self.batch else self.of_request


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """A completed request, kept while it may be repeated.

    `caller` is an account's uuid, or the network of an anonymous caller. Key and content are stored
    as hashes; the content without its password, since a fast hash of one could be guessed. `answer`
    is a JSON text without secrets; it is empty until the request is complete, which only its own
    transaction can see. A batch has a record of its own beside those of its calls, whose `answer`
    stays empty.
    """

    caller: str
    key: bytes
    fingerprint: bytes
    made_at: datetime
    answer: str = ""

    def is_kept(self, now: datetime) -> bool:
        """Return True while the record is valid; one far in the future was written with a wrong
        clock."""
        return abs(now - self.made_at) < KEPT_FOR


def hash_key(key: str) -> bytes:
    """Return the hash under which a key is stored, since callers may put secrets into keys."""
    return sha256(key.encode()).digest()
