"""Redaction of paths for the log: no credential is shown, however it is percent-encoded."""

from urllib.parse import quote, unquote

from app.domain.text import Pattern

# An access key, complete or truncated, with any separators between its groups; a UUID
# is none. The search for a token never backtracks: a path may have 64 kB.
_SECRETS = Pattern(
    r"[A-Za-z0-9]{8}(?!-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?![A-Za-z0-9]))"
    r"(?:[^A-Za-z0-9/]{1,3}[A-Za-z0-9]{4}){3}(?:[^A-Za-z0-9/]{1,3}[A-Za-z0-9]{0,12})?"
    r"|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]{43,}+",
    max_length=4 * 1024 * 1024,
)
# Length of the shortest text that can hold a credential.
SECRET_MIN = 23
# Rounds of decoding. A path that is encoded more often is not shown.
_ROUNDS = 3
LEFT_OUT = "…"
_SAFE = "/:@!$&'()*+,;="


def has_secret(text: str) -> bool:
    """Return whether a credential may be in the text."""
    return len(text) >= SECRET_MIN and _SECRETS.search(text) is not None


def loggable_path(path: str) -> str:
    """Return the path as it was sent, or decoded and with an ellipsis for each credential."""
    decoded = path
    for _ in range(_ROUNDS):
        if "%" not in decoded:
            break
        decoded = unquote(decoded)
    if "%" in decoded and unquote(decoded) != decoded:
        return LEFT_OUT
    if not has_secret(decoded):
        return path
    return LEFT_OUT.join(quote(part, safe=_SAFE) for part in _SECRETS.split(decoded))
