"""Accounts that a store is filled with, each derived from its position `n`."""

from hashlib import blake2b
from uuid import UUID

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfgkpstvz" for vowel in "aeiou")
NAMES = len(_SYLLABLES) ** 4
# Coprime to NAMES: every position has its own name, and neighbouring positions are far apart in an
# index.
_STEP = 3_141_593

# Stores have the first million positions at most. Positions from FREE on are unused, those from
# NEWCOMERS on register during a run.
FREE = 2_000_000
NEWCOMERS = 4_000_000

PASSWORD = "correct horse 42"


def username(n: int) -> str:
    """Return a name of eight letters."""
    rest = n * _STEP % NAMES
    name = ""
    for _ in range(4):
        rest, syllable = divmod(rest, len(_SYLLABLES))
        name += _SYLLABLES[syllable]
    return name


def email(n: int) -> str:
    """Return an e-mail address, which is its own normalized form."""
    return f"{username(n)}@example.com"


def snowflake(n: int) -> int:
    """Return a snowflake from the first minutes of the epoch."""
    return (n + 1) << 22


def uuid(n: int) -> str:
    """Return a UUID that is distributed like a random one."""
    return str(UUID(bytes=blake2b(n.to_bytes(8), digest_size=16).digest(), version=4))


def address(n: int) -> str:
    """Return a client address from a range for private use, 10.0.0.0/8 (RFC 1918)."""
    return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
