"""argon2id through libpass, off the event loop and never on more threads than there are cores."""

import asyncio
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from secrets import token_bytes
from typing import TypeVar, TypeVarTuple

from passlib.context import CryptContext

from app.domain.errors import Overloaded
from app.domain.ports import Verdict
from app.domain.readings import Reading

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_HASH_BYTES = 19456 * 1024
# Written out, so that a library's new default changes nothing here: OWASP Password Storage Cheat
# Sheet, argon2id with 19 MiB, two passes, one lane.
_CONTEXT = CryptContext(
    schemes=["argon2", "bcrypt", "pbkdf2_sha256", "pbkdf2_sha512", "scrypt"],
    deprecated=["bcrypt", "pbkdf2_sha256", "pbkdf2_sha512", "scrypt"],
    argon2__type="ID",
    argon2__memory_cost=_HASH_BYTES // 1024,
    argon2__time_cost=2,
    argon2__parallelism=1,
)
# Nobody waits longer than about so many seconds; a hash takes some 25 ms of a core.
QUEUE_SECONDS = 4
HASHES_PER_SECOND = 40
NICENESS = 10
_DIGEST_BYTES = 32
# bcrypt reads no more, and other programs cut there in silence (PHP's password_hash among them).
_BCRYPT_BYTES = 72


def _hash_of_nothing() -> str:
    """What is verified where there is nothing to verify: a hash as we make them of no password.

    Its digest is chance. To compute one would be a part of every start.
    """
    argon2 = _CONTEXT.handler("argon2")
    nothing: str = argon2(use_defaults=True, checksum=token_bytes(_DIGEST_BYTES)).to_string()
    return nothing


def hash_threads(workers: int = 1) -> int:
    """How many hashes each of so many processes may compute at once: together one for each core."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _prepare_thread() -> None:
    # On Linux alone a thread has a priority of its own (setpriority(2)), and memory huge pages.
    if sys.platform == "linux":
        # Neither is needed: a service manager may forbid the first, a libc lack the second.
        for help_along in (_yield, _take_huge_pages):
            with suppress(Exception):
                help_along()


def _yield() -> None:
    """Let the event loop go before: a hash takes 25 ms, and whoever asks for it waits anyway."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _take_huge_pages() -> None:
    """Ask for huge pages where malloc is going to put the memory of this thread's hashes.

    A hash reads its memory in no order, so that with small ones it waits for the page table, too.
    Where this does not come true, a hash takes 6 % longer, and that is all.
    """
    # Not before the first hash: a start without it is a little shorter.
    import ctypes

    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    # glibc gives the first block of a size back to the system, and keeps those after it for the
    # next of its thread (mallopt(3), M_MMAP_THRESHOLD).
    for _ in range(2):
        block = ctypes.c_void_p(library.malloc(_HASH_BYTES))
        if block.value is not None:
            page = ctypes.c_void_p(block.value // mmap.PAGESIZE * mmap.PAGESIZE)
            library.madvise(page, ctypes.c_size_t(_HASH_BYTES), mmap.MADV_HUGEPAGE)
        library.free(block)


class Argon2Hasher:
    """Hashes passwords, and verifies imported bcrypt, PBKDF2 and scrypt hashes, too."""

    def __init__(self, cores: int | None = None) -> None:
        """On `cores` threads, by default one for each that this process may use."""
        cores = cores or hash_threads()
        self._cores = cores
        self._waiting, self._most = 0, cores * QUEUE_SECONDS * HASHES_PER_SECOND
        self._refused = 0
        self._threads = ThreadPoolExecutor(
            cores, thread_name_prefix="hash", initializer=_prepare_thread
        )
        self._nobodys = _hash_of_nothing()

    def readings(self) -> Iterator[Reading]:
        """How many hashes are computed, how many wait for that, and how many were one too many."""
        about = "Password hashes that are computed, and those that wait for it."
        running = min(self._waiting, self._cores)
        yield Reading("hashes", about, running, (("state", "running"),))
        yield Reading("hashes", about, self._waiting - running, (("state", "waiting"),))
        about = "Password hashes that would have waited too long."
        yield Reading("hashes_refused", about, self._refused, is_total=True)

    async def hash(self, password: str) -> str:
        """An argon2id hash in PHC string format."""
        return await self._run(_CONTEXT.hash, password)

    async def verify(self, password: str | None, hashed: str | None) -> Verdict:
        """Compare. Whatever is odd about a hash makes a wrong password, after the same time."""
        if password is None or not hashed or _CONTEXT.identify(hashed) is None:
            await self._run(_CONTEXT.verify, "", self._nobodys)
            return Verdict(right=False)
        return await self._run(self._verify, password, hashed)

    async def _run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        if self._waiting >= self._most:
            self._refused += 1
            raise Overloaded(retry_after=QUEUE_SECONDS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._waiting -= 1

    def _verify(self, password: str, hashed: str) -> Verdict:
        secret: str | bytes = password
        if hashed.startswith("$2"):
            secret = password.encode()[:_BCRYPT_BYTES]
        try:
            right, rehashed = _CONTEXT.verify_and_update(secret, hashed)
        # The backends raise whatever they like at a hash that is mangled inside.
        except Exception:
            _CONTEXT.verify("", self._nobodys)
            return Verdict(right=False)
        if rehashed is not None and secret != password:
            rehashed = _CONTEXT.hash(password)
        return Verdict(right, rehashed)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown()
