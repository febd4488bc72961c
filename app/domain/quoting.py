"""Quoting of a request in sentences and log lines: little of it, and no credential."""

from app.domain.text import Pattern

# An access key, complete or truncated, with any separators between its groups; a UUID
# is none. The search for a token never backtracks: a path may have 64 kB.
SECRETS = Pattern(
    r"[A-Za-z0-9]{8}(?!-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?![A-Za-z0-9]))"
    r"(?:[^A-Za-z0-9/]{1,3}[A-Za-z0-9]{4}){3}(?:[^A-Za-z0-9/]{1,3}[A-Za-z0-9]{0,12})?"
    r"|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]{43,}+",
    max_length=4 * 1024 * 1024,
)
# Length of the shortest text that can hold a credential.
SECRET_MIN = 23
LEFT_OUT = "…"
# Characters of a name that a sentence repeats.
QUOTED_MAX = 64
# Where a credential may end that begins in the quoted part: none is longer than this. To search
# the whole of a name of a megabyte takes a tenth of a second.
SEARCHED_MAX = QUOTED_MAX + 4096


def has_secret(text: str) -> bool:
    """Return whether a credential may be in the text."""
    return len(text) >= SECRET_MIN and SECRETS.search(text) is not None


def clip(text: str) -> str:
    """Return the beginning of a text, or an ellipsis if a credential may begin in it."""
    return LEFT_OUT if has_secret(text[:SEARCHED_MAX]) else text[:QUOTED_MAX]


def quote(text: str) -> str:
    """Return the same in quotes."""
    return repr(clip(text))
