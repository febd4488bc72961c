"""The part of the introduction that the documents of both APIs share, from the rules that apply."""

from datetime import timedelta

from app.domain.credentials import SESSION_MAX
from app.domain.rate_limits import CHANGES, FAILURES_BEFORE_LOCK, LOCK_MAX, LOCK_MIN, LOGINS
from app.domain.rules import Rules
from app.http.request import BODY_MAX

_LIMITED = f"""\
**Limits.** From an address, {LOGINS.calls} logins may fail in {LOGINS.seconds // 60} minutes; those
with the right password do not count. The operator may exempt networks from limits by address. An
account may make {CHANGES.calls} changes in {CHANGES.seconds // 60} minutes. After
{FAILURES_BEFORE_LOCK} wrong passwords in a row, an account is locked for {LOCK_MIN.seconds}
seconds, then longer, up to {LOCK_MAX.seconds // 60} minutes. The error `rate-limited` says in
`retry_after` how many seconds to wait.
"""
_UNLIMITED = "**Limits.** This server has no rate limits.\n"
_LISTED = """\
From a browser, only pages of the origins that the operator lists in the setting
`GATEHOUSE_CORS_ORIGINS` may call this server.
"""
_NONE_LISTED = """\
No page of another origin may call this server from a browser, until the operator lists its origin
in the setting `GATEHOUSE_CORS_ORIGINS`.
"""


def introduce(rules: Rules, *, has_origins: bool, base_path: str = "") -> str:
    """Return what a client has to know about lifetimes, limits and CORS, in Markdown.

    `has_origins`: pages of some origins may call this server. The document is public, so it does
    not list them. `base_path` is the path of the public URL.
    """
    handbook = f"{base_path}/handbook"
    limits = _LIMITED if rules.rate_limits else _UNLIMITED
    cors = _LISTED if has_origins else _NONE_LISTED
    return f"""\
**Credentials.** A token is valid for {_duration(rules.token_ttl)}. Before it expires,
`users.refresh` (REST: `POST /users/@self/token`) returns a new one, until {SESSION_MAX.days} days
after the login; then the user logs in again. An access key is valid until it is revoked or reaches
an expiry that it was given.

{limits}The body of a request has at most {BODY_MAX // 1024} KiB.

**CORS.** {cors}
The [handbook]({handbook}/) tells more: [Stay signed in]({handbook}/stay-signed-in.html), [Errors
and retries]({handbook}/retries.html), [From a browser]({handbook}/browser.html).
"""


def _duration(duration: timedelta) -> str:
    """Return a duration in the largest unit that expresses it in whole numbers."""
    seconds = int(duration.total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {unit}{'s' if seconds > length else ''}"
    return f"{seconds} seconds"
