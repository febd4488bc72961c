"""Identifiers and secrets from the system's random source."""

import errno
import fcntl
import os
import secrets
import string
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.domain.ports.services import Clock
from app.runtime.file_owner import create_private

# The epoch of snowflakes; 41 bits of milliseconds last until 2094.
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
WORKER_BITS, SEQUENCE_BITS = 10, 12
WORKERS = 1 << WORKER_BITS
_SEQUENCE_END = 1 << SEQUENCE_BITS

_ALPHANUMERIC = string.ascii_letters + string.digits
# Without characters that are easily misread: 0 and O, 1, l and I.
_READABLE = "".join(sorted(set(_ALPHANUMERIC) - set("0O1lI")))
_GENERATED_PASSWORD_LENGTH = 20


class Snowflakes:
    """Time-ordered 63-bit ids: 41 bits of milliseconds, 10 of worker, 12 of sequence.

    Their time never goes back, even if the clock does: it is at least that of `floor`, the
    newest id at the start, and of every id given since.
    """

    def __init__(self, clock: Clock, worker: Callable[[], int], floor: int = 0) -> None:
        """`worker` returns the worker number of this process, or raises Overloaded."""
        self._clock = clock
        self._worker = worker
        # One millisecond after the floor: another worker may have used that up.
        self._time = (floor >> (WORKER_BITS + SEQUENCE_BITS)) + 1
        self._sequence = -1
        self._lock = threading.Lock()

    def new_snowflake(self) -> int:
        """Return a new id."""
        with self._lock:
            now = (self._clock.now() - EPOCH) // timedelta(milliseconds=1)
            self._sequence += 1
            if now > self._time or self._sequence == _SEQUENCE_END:
                self._time, self._sequence = max(now, self._time + 1), 0
            time = self._time << (WORKER_BITS + SEQUENCE_BITS)
            return time | self._worker() << SEQUENCE_BITS | self._sequence

    def new_uuid(self) -> str:
        """Return a new random UUID (RFC 9562 section 5.4)."""
        return str(uuid.uuid4())


def snowflake_time(snowflake: int) -> datetime:
    """Return the time of a snowflake, by the clock that it was made with."""
    return EPOCH + timedelta(milliseconds=snowflake >> (WORKER_BITS + SEQUENCE_BITS))


@contextmanager
def lock_data_dir(data_dir: Path, *, alone: bool = False) -> Iterator[Path]:
    """Take a shared lock on the data directory, or with `alone` an exclusive one.

    The lock is on the subfolder `workers` and ends with the process. Raises
    BlockingIOError if the lock is not free.
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
def hold_worker_number(data_dir: Path) -> Iterator[int]:
    """Hold a snowflake worker number that no other live process of this data directory has.

    Raises BlockingIOError while another process has the exclusive lock.
    """
    with lock_data_dir(data_dir) as folder, _lowest_free(folder) as number:
        yield number


@contextmanager
def _lowest_free(folder: Path) -> Iterator[int]:
    for number in range(WORKERS):
        path = folder / str(number)
        try:
            descriptor = _open_lock(path)
        except PermissionError:
            if not path.exists():
                raise
            # Another user, such as root, has left the file.
            continue
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


def _open_lock(path: Path) -> int:
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR)
    try:
        return create_private(path)
    except FileExistsError:
        return os.open(path, os.O_RDWR)


def request_ids() -> Iterator[str]:
    """Yield request ids of 64 random bits."""
    while True:
        # One call to the system for many costs as much as for one.
        batch = secrets.token_hex(8 * 256)
        yield from (batch[i : i + 16] for i in range(0, len(batch), 16))


class SystemRandomness:
    """`Randomness` by the operating system."""

    def new_access_key(self) -> str:
        """Return `XXXXXXXX-xxxx-xxxx-xxxx-xxxxxxxx`: a public id, and 119 random bits."""
        public = _random(string.ascii_uppercase + string.digits, 8)
        return "-".join([public, *(_random(_ALPHANUMERIC, n) for n in (4, 4, 4, 8))])

    def new_password(self) -> str:
        """Return a password of 116 random bits."""
        return _random(_READABLE, _GENERATED_PASSWORD_LENGTH)

    def fraction(self) -> float:
        """Return a float in [0, 1) of 53 random bits."""
        return secrets.randbits(53) / 2**53


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
