"""Protection from requests that a page of another origin makes a browser send.

A browser sends a preflight before most requests of such a page, and the response follows
from the settings. It sends none before a GET, nor before a POST that an HTML form could send:
forms, plain text, and a login by HTTP Basic from a link. The page cannot read the
response, but the request would count for its visitor.
"""

from collections.abc import Sequence
from typing import NoReturn

import structlog
from starlette.types import Scope

from app.domain.errors import Forbidden, MethodNotAllowed
from app.domain.quoting import LEFT_OUT, has_secret
from app.domain.text import url_parts
from app.domain.web_origins import DEFAULT_PORTS, ORIGIN_MAX, require_web_origin
from app.http.request import context_of, header
from app.runtime.bounded_map import BoundedMap

_SETTING = "GATEHOUSE_CORS_ORIGINS"
_REQUESTED_METHOD = b"access-control-request-method"
# Origins that were logged; a client can invent any number of them.
LOGGED_MAX = 256
_LOG = structlog.get_logger("gatehouse.http")


def is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks if a page of another origin may send a request."""
    return (
        scope["method"] == "OPTIONS"
        and header(scope, b"origin") is not None
        and header(scope, _REQUESTED_METHOD) is not None
    )


class PreflightRefusals:
    """Refuses preflights, and logs each refused origin once, with the setting that allows it."""

    def __init__(self, allowed: Sequence[str], methods: frozenset[str]) -> None:
        self._allowed = tuple(allowed)
        self._methods = methods
        self._logged = BoundedMap[str, bool](LOGGED_MAX)

    def refuse(self, scope: Scope) -> NoReturn:
        """Raise MethodNotAllowed if the origin is allowed, else Forbidden."""
        origin = (header(scope, b"origin") or "")[: ORIGIN_MAX + 1]
        if has_secret(origin):
            origin = LEFT_OUT
        if origin in self._allowed:
            asked = header(scope, _REQUESTED_METHOD) or ""
            raise MethodNotAllowed(self._methods, sent=asked)
        try:
            require_web_origin(origin)
        except ValueError as error:
            # Only the reason, which leaves out what may be a password.
            self._log_once(origin, reason=str(error))
            raise Forbidden(f"The header Origin cannot be allowed: {error}.") from None
        self._log_once(
            origin, origin=origin, setting=f"{_SETTING}={','.join([*self._allowed, origin])}"
        )
        raise Forbidden(
            f"Pages of {origin} may not call this gateway. To allow them, add the origin to the "
            f"setting {_SETTING}, such as {_SETTING}={origin}, and restart."
        )

    def _log_once(self, refused: str, **fields: str) -> None:
        if refused not in self._logged:
            self._logged.put(refused, value=True)
            _LOG.warning("cors origin refused", **fields)


def refuse_foreign_page(scope: Scope) -> None:
    """Raise Forbidden for a request from a page of a foreign origin.

    Every origin is foreign except those of the public URL, `Host` and the settings. No page
    can set `Sec-Fetch-Site` (W3C Fetch Metadata); without it, as over
    plain http, `Origin` decides (RFC 6454 section 7). Clients other than browsers send neither.
    """
    site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
    if site in {"same-origin", "none"} or origin in context_of(scope).origins:
        return
    if site != "cross-site" and (origin is None or _is_of_host(origin, scope)):
        return
    raise Forbidden(
        f"A page of another origin sent this request. Name its origin in {_SETTING}, or "
        "where it is the gateway's own in GATEHOUSE_PUBLIC_URL."
    )


def _is_of_host(origin: str, scope: Scope) -> bool:
    """Return true if the origin's host is `Host`; a proxy may have changed the scheme."""
    host = header(scope, b"host")
    try:
        asked, page = url_parts(f"//{host}", ORIGIN_MAX), url_parts(origin, ORIGIN_MAX)
        default = DEFAULT_PORTS.get(page.scheme)
        is_host = bool(page.hostname) and page.hostname == asked.hostname
        return is_host and (page.port or default) == (asked.port or default)
    except ValueError:
        return False
