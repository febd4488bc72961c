"""argon2id by libsodium, off the event loop and never on more threads than there are cores."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from app.domain.measurements import Measurement
from app.domain.ports.services import PasswordCheck
from app.domain.text import Pattern
from app.security.hash_queue import HashQueue

if TYPE_CHECKING:
    from passlib.context import CryptContext

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane. libsodium has one
# lane, a salt of 16 bytes and a digest of 32.
_HASH_BYTES = 19456 * 1024
_PASSES = 2
_PREFIX = f"$argon2id$v=19$m={_HASH_BYTES // 1024},t={_PASSES},p=1$"
# Base64 without padding, where a last character has no bits to spare: libsodium computes nothing
# for a malformed hash.
_OURS = Pattern(
    _PREFIX.replace("$", r"\$") + r"[A-Za-z0-9+/]{21}[AQgw]\$[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]",
    len(_PREFIX) + 22 + 1 + 43,
)
# A hash of no known password, verified where there is no other, to take the same time.
_DUMMY = f"{_PREFIX}{'A' * 22}${'A' * 43}"
# The maximum wait in seconds, roughly; a hash takes 10 to 25 ms of a core.
QUEUE_SECONDS = 4
HASHES_PER_SECOND = 40
NICENESS = 10
# bcrypt's limit, at which other programs truncate silently (such as PHP's password_hash).
_BCRYPT_BYTES = 72
# A hash that costs more is treated as malformed: it would keep a thread busy for hours, or take all
# memory. RFC 9106 recommends up to 2 GiB and 4 lanes.
_MEMORY_MAX = 2 * 1024**3
_ARGON2_WORK_MAX = 4 * _MEMORY_MAX
_LANES_MAX = 64
_ROUNDS_MAX = {"bcrypt": 15, "pbkdf2_sha256": 5_000_000, "pbkdf2_sha512": 5_000_000}


@cache
def _imported_schemes() -> "CryptContext":
    """Return libpass's context, imported by the thread of the first imported hash."""
    from passlib.context import CryptContext

    return CryptContext(["argon2", "bcrypt", "pbkdf2_sha256", "pbkdf2_sha512", "scrypt"])


def hash_threads(workers: int = 1) -> int:
    """Return the number of hash threads of each worker: together one for each core."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _lower_priority() -> None:
    """Lower the thread's priority below the event loop's: a hash takes 10 ms and more anyway."""
    # Only Linux has priorities of threads (setpriority(2)), and a service manager may forbid it.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Argon2Hasher:
    """Hash passwords, and verify hashes imported from other programs, too."""

    def __init__(self, cores: int | None = None) -> None:
        """Use `cores` threads, by default one for each core of this process."""
        cores = cores or hash_threads()
        size = cores * QUEUE_SECONDS * HASHES_PER_SECOND
        self._threads = ThreadPoolExecutor(
            cores, thread_name_prefix="hash", initializer=_lower_priority
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
    from nacl.pwhash import argon2id

    hashed = argon2id.str(password.encode(), opslimit=_PASSES, memlimit=_HASH_BYTES)
    return hashed.decode("ascii")


def _verify(password: str | None, hashed: str | None) -> PasswordCheck:
    if password is None or not hashed:
        return _refuse()
    if _OURS.fullmatch(hashed):
        return PasswordCheck(_matches(password, hashed))
    try:
        is_correct = _matches_imported(password, hashed)
    # The backends raise errors of any type for a corrupt hash.
    except Exception:
        return _refuse()
    return PasswordCheck(is_correct, _hash(password) if is_correct else None)


def _refuse() -> PasswordCheck:
    _matches("", _DUMMY)
    return PasswordCheck(is_correct=False)


def _matches(password: str, hashed: str) -> bool:
    from nacl.exceptions import InvalidkeyError
    from nacl.pwhash import argon2id

    try:
        return argon2id.verify(hashed.encode("ascii"), password.encode())
    except InvalidkeyError:
        return False


def _matches_imported(password: str, hashed: str) -> bool:
    """Raise any error for a hash that is malformed, or takes too much time or memory to verify."""
    _require_affordable(hashed)
    secret = password.encode()
    if hashed.startswith("$2"):
        secret = secret[:_BCRYPT_BYTES]
    return _imported_schemes().verify(secret, hashed)


def _require_affordable(hashed: str) -> None:
    """Raise ValueError for a hash that takes too much time or memory to verify."""
    handler = _imported_schemes().identify(hashed, resolve=True, required=True)
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
