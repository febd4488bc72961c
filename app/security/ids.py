"""Identifiers and secrets from the system's random source."""

import errno
import fcntl
import os
import secrets
import string
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.domain.ports import Clock

# The first moment a snowflake can tell; later than it, 41 bits of milliseconds last until 2094.
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
WORKER_BITS, SEQUENCE_BITS = 10, 12
WORKERS = 1 << WORKER_BITS
_SEQUENCE_END = 1 << SEQUENCE_BITS

_ALPHANUMERIC = string.ascii_letters + string.digits
# Without what is easily misread: 0 and O, 1, l and I.
_READABLE = "".join(sorted(set(_ALPHANUMERIC) - set("0O1lI")))
_GENERATED_PASSWORD_LENGTH = 20


class Snowflakes:
    """Time-ordered 63-bit ids: 41 bits of milliseconds, 10 of worker, 12 of sequence.

    The time in them never goes back, whatever the clock does: it is at least that of `floor`, the
    newest id known at the start, and of every id given since.
    """

    def __init__(self, clock: Clock, worker: Callable[[], int], floor: int = 0) -> None:
        """`worker` gives the number that is this process's own, or raises Overloaded."""
        self._clock = clock
        self._worker = worker
        # One after the floor's: another worker may have used up the same millisecond.
        self._time = (floor >> (WORKER_BITS + SEQUENCE_BITS)) + 1
        self._sequence = -1
        self._lock = threading.Lock()

    def snowflake(self) -> int:
        """A new id."""
        with self._lock:
            now = (self._clock.now() - EPOCH) // timedelta(milliseconds=1)
            self._sequence += 1
            if now > self._time or self._sequence == _SEQUENCE_END:
                self._time, self._sequence = max(now, self._time + 1), 0
            time = self._time << (WORKER_BITS + SEQUENCE_BITS)
            return time | self._worker() << SEQUENCE_BITS | self._sequence

    def uuid(self) -> str:
        """A new random UUID (RFC 9562 section 5.4)."""
        return str(uuid.uuid4())


def time_of(snowflake: int) -> datetime:
    """When it was made, by the clock of whoever made it."""
    return EPOCH + timedelta(milliseconds=snowflake >> (WORKER_BITS + SEQUENCE_BITS))


@contextmanager
def at_work(data_dir: Path, *, alone: bool = False) -> Iterator[Path]:
    """Keep those out who need to be alone on the directory, or with `alone` everybody.

    It is a lock on a folder for such locks, which end with the process, however that ends. Raises
    BlockingIOError where it is not to be had.
    """
    folder = data_dir / "workers"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        yield folder
    finally:
        os.close(descriptor)


@contextmanager
def worker_number(data_dir: Path) -> Iterator[int]:
    """A snowflake worker number that no other live process on this directory has.

    Raises BlockingIOError while somebody needs to be alone there.
    """
    with at_work(data_dir) as folder, _lowest_free(folder) as number:
        yield number


@contextmanager
def _lowest_free(folder: Path) -> Iterator[int]:
    for number in range(WORKERS):
        descriptor = os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        try:
            yield number
        finally:
            os.close(descriptor)
        return
    raise OSError(errno.EAGAIN, "Every worker number is taken", str(folder))


def request_ids() -> Iterator[str]:
    """Names for requests, to find them in the log: 64 random bits each."""
    while True:
        # Asking the system for many at once costs as much as for one.
        some = secrets.token_hex(8 * 256)
        yield from (some[i : i + 16] for i in range(0, len(some), 16))


class SystemRandomness:
    """Secrets from the operating system."""

    def access_key(self) -> str:
        """`XXXXXXXX-xxxx-xxxx-xxxx-xxxxxxxx`: a public id, and 119 random bits."""
        public = _random(string.ascii_uppercase + string.digits, 8)
        return "-".join([public, *(_random(_ALPHANUMERIC, n) for n in (4, 4, 4, 8))])

    def password(self) -> str:
        """A password of 116 random bits."""
        return _random(_READABLE, _GENERATED_PASSWORD_LENGTH)

    def fraction(self) -> float:
        """53 random bits."""
        return secrets.randbits(53) / 2**53


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
