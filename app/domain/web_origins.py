"""Origins of web pages (RFC 6454), in the form that browsers send."""

from ipaddress import IPv6Address

from app.domain.addresses import parse_address
from app.domain.text import ASCII, IGNORE_CASE, Pattern

# A scheme, a host of at most 253 characters, and a port.
ORIGIN_MAX = 512
DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986 sections 3.1 and 3.2.2, in ASCII as browsers send it; RFC 6454 section 6.2.
_ORIGIN = Pattern(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?",
    ORIGIN_MAX,
    ASCII,
)
# An origin with what is often written around it.
_SURROUNDED = Pattern(
    r"[\s\"'<]*+(?:(?P<scheme>[a-z][a-z0-9+.-]*):(?=[/a-z]))?+/*+(?:[^/?#@]*@)?"
    r"(?P<host>[^/?#@\s\"'<>,]+)\S*+\s*+",
    ORIGIN_MAX,
    ASCII | IGNORE_CASE,
)
# URLs with these schemes have the origin 'null' in browsers.
_OPAQUE_SCHEMES = frozenset({"about", "blob", "data", "file", "javascript"})
_EXAMPLE = "https://chat.example.com"


def parse_web_origin(text: str) -> str:
    """Return an origin `scheme://host[:port]` of any scheme as browsers send it.

    Raises ValueError, which says what to write instead.
    """
    origin = _normalize(text)
    if origin is None:
        raise ValueError(_fault(text))
    return origin


def require_web_origin(text: str) -> str:
    """Return `text` if it is exactly what browsers send. Raises ValueError as above."""
    origin = parse_web_origin(text)
    if origin != text:
        raise ValueError(f"'{text}' never matches, since browsers send {origin}; write {origin}")
    return origin


def _normalize(text: str) -> str | None:
    parts = _ORIGIN.fullmatch(text)
    if parts is None or (scheme := parts["scheme"].lower()) in _OPAQUE_SCHEMES:
        return None
    host, port = parts["host"], None if parts["port"] is None else int(parts["port"])
    if port is not None and not 0 < port < 65536:
        return None
    if host.startswith("["):
        address = parse_address(host[1:-1])
        if address is None:
            return None
        host = f"[{address}]" if isinstance(address, IPv6Address) else host
    default = DEFAULT_PORTS.get(scheme)
    # Hosts are known to be case-insensitive only for http and https.
    normalized = f"{scheme}://{host if default is None else host.lower()}"
    return normalized if port in {None, default} else f"{normalized}:{port}"


def _fault(text: str) -> str:
    """Return why a text is not an origin, and what to write."""
    if text == "null":
        return (
            "'null' is the origin of all local files and sandboxed frames, so any page could send "
            "it; "
            f"serve the page from an origin such as {_EXAMPLE}"
        )
    # A user's password may be part of a URL.
    named = "the text" if "@" in text else f"'{text[:ORIGIN_MAX]}'"
    if "*" in text:
        return (
            f"{named} has a wildcard, but origins are compared as a whole; "
            f"write each origin, separated by commas, such as {_EXAMPLE}"
        )
    if text.count("://") > 1:
        return f"{named} has several origins; separate them by commas"
    meant = _meant(text)
    if not meant:
        return f"{named} is not an origin such as {_EXAMPLE}"
    return (
        f"{named} is not an origin, which is a scheme, a host and perhaps a port; "
        f"write {' or '.join(meant)}"
    )


def _meant(text: str) -> list[str]:
    """Return the origins that may be meant by a text with more or less than an origin."""
    found = _SURROUNDED.fullmatch(text)
    if found is None:
        return []
    schemes = [found["scheme"]] if found["scheme"] else ["https", "http"]
    origins = [_normalize(f"{scheme}://{found['host']}") for scheme in schemes]
    return [origin for origin in origins if origin is not None]
