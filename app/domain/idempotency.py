"""What is kept of a request that its caller may send again: who sent it, under which key, what it
asked for, and what it was answered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

KEPT_FOR = timedelta(hours=24)
# Of more than these, the oldest are forgotten.
RECORDS_PER_CALLER = 1000


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """One request that was done, for as long as it may be repeated.

    `caller` is an account's uuid, or for somebody without an account the network he came from.
    Neither the key nor what was asked is kept, only hashes of them; a password is in neither, since
    a fast hash of one could be guessed. `answer` is a JSON text without any secret; it is empty
    until the work is done, which nobody but its own transaction sees.
    """

    caller: str
    key: bytes
    fingerprint: bytes
    made_at: datetime
    answer: str = ""

    def is_kept(self, now: datetime) -> bool:
        """Whether it still counts; one from far ahead is of a clock that was wrong."""
        return abs(now - self.made_at) < KEPT_FOR


def hash_of_key(key: str) -> bytes:
    """What is kept of a key: callers put all sorts of things into them."""
    return sha256(key.encode()).digest()
