"""The accounts that a store is filled with. All of each follows from its place `n` in the order."""

from hashlib import blake2b
from uuid import UUID

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfgkpstvz" for vowel in "aeiou")
NAMES = len(_SYLLABLES) ** 4
# Has no factor in common with NAMES: no two places have one name, and neighbours in the order are
# none in an index.
_STEP = 3_141_593

# Stores have the first million or fewer; these places nobody has, and these are left to sign up.
FREE = 2_000_000
NEWCOMERS = 4_000_000

PASSWORD = "correct horse 42"


def username(n: int) -> str:
    """A name of eight letters."""
    rest = n * _STEP % NAMES
    name = ""
    for _ in range(4):
        rest, syllable = divmod(rest, len(_SYLLABLES))
        name += _SYLLABLES[syllable]
    return name


def email(n: int) -> str:
    """An address, in the form in which it is compared, too."""
    return f"{username(n)}@example.com"


def snowflake(n: int) -> int:
    """An id of the first minutes that a snowflake can tell."""
    return (n + 1) << 22


def uuid(n: int) -> str:
    """A UUID that is as scattered as a random one."""
    return str(UUID(bytes=blake2b(n.to_bytes(8), digest_size=16).digest(), version=4))


def address(n: int) -> str:
    """A client's address, of the range that RFC 2544 leaves to benchmarks: 198.18.0.0/15."""
    return f"198.{18 + (n >> 16 & 1)}.{n >> 8 & 255}.{n & 255}"
