"""Redaction of paths for the log: no credential is shown, however it is percent-encoded."""

from urllib.parse import quote, unquote

from app.domain.quoting import LEFT_OUT, SECRETS, has_secret

# Rounds of decoding. A path that is encoded more often is not shown.
_ROUNDS = 3
_SAFE = "/:@!$&'()*+,;="


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
    return LEFT_OUT.join(quote(part, safe=_SAFE) for part in SECRETS.split(decoded))
