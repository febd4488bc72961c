"""Protection from requests that a page of another origin makes a browser send.

A browser sends a preflight before most requests of such a page, and the response follows
from the settings. It sends none before a GET, nor before a POST that an HTML form could send:
forms, plain text, and a login by HTTP Basic from a link. The page cannot read the
response, but the request would count for its visitor.
"""

from starlette.types import Scope

from app.domain.errors import Forbidden
from app.domain.text import url_parts
from app.http.request import context_of, header

# A scheme, a host of at most 253 characters, and a port.
_ORIGIN_MAX = 512


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
        "A page of another origin sent this request. Name its origin in GATEHOUSE_CORS_ORIGINS, or "
        "where it is the gateway's own in GATEHOUSE_PUBLIC_URL."
    )


def _is_of_host(origin: str, scope: Scope) -> bool:
    """Return true if the origin's host is `Host`; a proxy may have changed the scheme."""
    host = header(scope, b"host")
    try:
        asked, page = url_parts(f"//{host}", _ORIGIN_MAX), url_parts(origin, _ORIGIN_MAX)
        default = {"http": 80, "https": 443}.get(page.scheme)
        is_host = bool(page.hostname) and page.hostname == asked.hostname
        return is_host and (page.port or default) == (asked.port or default)
    except ValueError:
        return False
