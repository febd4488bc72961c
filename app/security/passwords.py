"""argon2id through libpass, off the event loop and never on more threads than there are cores."""

import mmap
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from secrets import token_bytes
from typing import TYPE_CHECKING

from app.domain.measurements import Measurement
from app.domain.ports.services import PasswordCheck
from app.security.hash_queue import HashQueue

if TYPE_CHECKING:
    from passlib.context import CryptContext

_HASH_BYTES = 19456 * 1024
# The maximum wait in seconds, roughly; a hash takes some 25 ms of a core.
QUEUE_SECONDS = 4
HASHES_PER_SECOND = 40
NICENESS = 10
_DIGEST_BYTES = 32
# bcrypt's limit, at which other programs truncate silently (such as PHP's password_hash).
_BCRYPT_BYTES = 72
# A hash that costs more is treated as malformed: it would keep a thread busy for hours, or take all
# memory. RFC 9106 recommends up to 2 GiB and 4 lanes.
_MEMORY_MAX = 2 * 1024**3
_ARGON2_WORK_MAX = 4 * _MEMORY_MAX
_LANES_MAX = 64
_ROUNDS_MAX = {"bcrypt": 15, "pbkdf2_sha256": 5_000_000, "pbkdf2_sha512": 5_000_000}


@cache
def _context() -> "CryptContext":
    """Return libpass's context, imported by the thread of the first hash: it takes 10 ms."""
    from passlib.context import CryptContext

    # Explicit, so that a new default of the library changes nothing: OWASP Password Storage Cheat
    # Sheet, argon2id with 19 MiB, two passes, one lane.
    return CryptContext(
        schemes=["argon2", "bcrypt", "pbkdf2_sha256", "pbkdf2_sha512", "scrypt"],
        deprecated=["bcrypt", "pbkdf2_sha256", "pbkdf2_sha512", "scrypt"],
        argon2__type="ID",
        argon2__memory_cost=_HASH_BYTES // 1024,
        argon2__time_cost=2,
        argon2__parallelism=1,
    )


@cache
def _dummy_hash() -> str:
    """Return a hash of no password, verified when there is no other, to take the same time.

    Its digest is random, since computing one would take as long as a login.
    """
    argon2 = _context().handler("argon2")
    dummy: str = argon2(use_defaults=True, checksum=token_bytes(_DIGEST_BYTES)).to_string()
    return dummy


def hash_threads(workers: int = 1) -> int:
    """Return the number of hash threads of each worker: together one for each core."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _prepare_thread() -> None:
    # Only Linux has priorities of threads (setpriority(2)) and huge pages on request.
    if sys.platform == "linux":
        # Both are optional: a service manager may forbid the first, a libc lack the second.
        for prepare in (_lower_priority, _use_huge_pages):
            with suppress(Exception):
                prepare()


def _lower_priority() -> None:
    """Lower the thread's priority below the event loop's: a hash takes 25 ms anyway."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _use_huge_pages() -> None:
    """Request huge pages for the memory that malloc will use for this thread's hashes.

    A hash reads its memory in random order, and with small pages waits for the page table, too.
    Without huge pages, a hash takes 6 % longer.
    """
    # Imported at the first hash, to keep the start short.
    import ctypes

    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    # glibc returns the first block of a size to the system, and keeps later ones for the
    # thread's next allocations (mallopt(3), M_MMAP_THRESHOLD).
    for _ in range(2):
        block = ctypes.c_void_p(library.malloc(_HASH_BYTES))
        if block.value is not None:
            page = ctypes.c_void_p(block.value // mmap.PAGESIZE * mmap.PAGESIZE)
            library.madvise(page, ctypes.c_size_t(_HASH_BYTES), mmap.MADV_HUGEPAGE)
        library.free(block)


class Argon2Hasher:
    """Hash passwords, and verify imported bcrypt, PBKDF2 and scrypt hashes, too."""

    def __init__(self, cores: int | None = None) -> None:
        """Use `cores` threads, by default one for each core of this process."""
        cores = cores or hash_threads()
        size = cores * QUEUE_SECONDS * HASHES_PER_SECOND
        self._threads = ThreadPoolExecutor(
            cores, thread_name_prefix="hash", initializer=_prepare_thread
        )
        self._queue = HashQueue(self._threads, cores, size, QUEUE_SECONDS)

    def measurements(self) -> Iterator[Measurement]:
        """Measure running, waiting, refused and dropped hashes."""
        description = "Password hashes that are running, and those that wait."
        yield Measurement("hashes", description, self._queue.running, (("state", "running"),))
        yield Measurement("hashes", description, self._queue.waiting, (("state", "waiting"),))
        description = "Password hashes refused because the queue was full."
        yield Measurement("hashes_refused", description, self._queue.refused, is_total=True)
        description = "Password hashes dropped because their client disconnected."
        yield Measurement("hashes_dropped", description, self._queue.dropped, is_total=True)

    async def hash(self, password: str) -> str:
        """Return an argon2id hash in PHC string format."""
        return await self._queue.run(_hash, password)

    async def verify(self, password: str | None, hashed: str | None) -> PasswordCheck:
        """Verify a password; a missing or malformed hash takes the time of a wrong password."""
        return await self._queue.run(_verify, password, hashed)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()


def _hash(password: str) -> str:
    return str(_context().hash(password))


def _verify(password: str | None, hashed: str | None) -> PasswordCheck:
    context = _context()
    if password is None or not hashed or context.identify(hashed) is None:
        context.verify("", _dummy_hash())
        return PasswordCheck(is_correct=False)
    secret: str | bytes = password
    if hashed.startswith("$2"):
        secret = password.encode()[:_BCRYPT_BYTES]
    try:
        _require_affordable(hashed)
        is_correct, new_hash = context.verify_and_update(secret, hashed)
    # The backends raise errors of any type for a corrupt hash.
    except Exception:
        context.verify("", _dummy_hash())
        return PasswordCheck(is_correct=False)
    if new_hash is not None and secret != password:
        new_hash = context.hash(password)
    return PasswordCheck(is_correct, new_hash)


def _require_affordable(hashed: str) -> None:
    """Raise ValueError for a hash that takes too much time or memory to verify."""
    handler = _context().identify(hashed, resolve=True)
    cost = handler.from_string(hashed)
    if handler.name == "argon2":
        memory = cost.memory_cost * 1024
        is_affordable = (
            memory <= _MEMORY_MAX
            and memory * cost.rounds <= _ARGON2_WORK_MAX
            and cost.parallelism <= _LANES_MAX
        )
    elif handler.name == "scrypt":
        memory = 128 * cost.block_size * cost.parallelism << cost.rounds
        is_affordable = memory <= _MEMORY_MAX
    else:
        is_affordable = cost.rounds <= _ROUNDS_MAX[handler.name]
    if not is_affordable:
        raise ValueError("the hash costs too much")
