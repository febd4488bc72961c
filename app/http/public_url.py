"""The public URL of this server, which may have a path: `https://example.com/id`.

Behind a proxy that keeps this base path and behind one that strips it, the same routes are found,
with the base path and without it. Every link has it.
"""

from app.domain.text import ASCII, Pattern
from app.domain.web_origins import ORIGIN_MAX, parse_web_origin

BASE_PATH_MAX = 128
_BASE_PATH = Pattern(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*+)*+/?", BASE_PATH_MAX, ASCII)
# The first segments of our own paths. Below such a base path, a path could be meant with it or
# without it. `/api/users` and `/users` are the same route, so `/api` is no problem.
OWN_SEGMENTS = frozenset(
    {
        ".well-known",
        "audit",
        "auth",
        "docs",
        "errors",
        "favicon.ico",
        "guilds",
        "handbook",
        "health",
        "metrics",
        "openapi.json",
        "outbox",
        "profiles",
        "robots.txt",
        "rpc",
        "servers",
        "users",
    }
)


def parse_public_url(text: str) -> str:
    """Return the origin and the base path, without a slash at its end. Raises ValueError."""
    scheme, separator, rest = text[: ORIGIN_MAX + BASE_PATH_MAX].partition("://")
    host, slash, path = rest.partition("/")
    origin = parse_web_origin(f"{scheme}{separator}{host}")
    if not origin.startswith(("http://", "https://")):
        raise ValueError(f"'{text}' is not an origin such as https://id.example.com")
    if _BASE_PATH.fullmatch(f"{slash}{path}") is None:
        raise ValueError(
            "the path of the URL may have letters, digits, '-', '_', '~' and '.' between its "
            f"slashes, at most {BASE_PATH_MAX} characters, such as https://example.com/id"
        )
    first = path.partition("/")[0]
    if first in OWN_SEGMENTS:
        raise ValueError(
            f"the path must not begin with '/{first}', a path of Gatehouse itself; choose another "
            "one, such as /id"
        )
    return f"{origin}{slash}{path}".rstrip("/")


def base_path_of(public_url: str | None) -> str:
    """Return the path of a parsed public URL: empty, or with a slash only at its beginning."""
    _, slash, path = (public_url or "").partition("://")[2].partition("/")
    return f"{slash}{path}"


def without_base_path(path: str, base_path: str) -> str:
    """Return the path of a request without the base path, if it has it."""
    rest = path.removeprefix(base_path) or "/"
    return rest if rest.startswith("/") else path
