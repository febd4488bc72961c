"""The path that a client probably meant, for requests that no route takes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from app.domain.errors import NotFound
from app.domain.text import Pattern, closest_match, only_letters

# No path of ours is longer; longer ones are not compared.
_PATH_MAX = 256
_SEGMENT_MAX = 64
_PREFIX = Pattern(r"api|rest|v\d+(?:\.\d+)?", _SEGMENT_MAX)
_EXTENSION = Pattern(r"(.+)\.(?:json|ya?ml|html?|php|xml)", _SEGMENT_MAX)
# What paths are called elsewhere, without case, separators and a prefix such as /api/v1.
_OTHER_NAMES = {
    **dict.fromkeys(("", "jsonrpc", "jsonrpc2", "rpc", "rpc2", "rpcjson"), "/rpc"),
    **dict.fromkeys(
        (
            *("auth", "authenticate", "authlogin", "authtoken", "login", "oauthtoken", "sessions"),
            *("signin", "token", "userslogin", "userssignin", "userstoken", "usersauth"),
        ),
        "/users/auth",
    ),
    **dict.fromkeys(
        (
            *("account", "me", "profile", "register", "registration", "self", "signup", "userinfo"),
            *("userscreate", "usersme", "usersnew", "usersregister", "usersself", "userssignup"),
            *("usersadd", "userscurrent", "userme", "userself", "whoami"),
        ),
        "/users/@self",
    ),
    **dict.fromkeys(("accounts", "members", "user"), "/users"),
    **dict.fromkeys(
        ("apidocs", "documentation", "redoc", "reference", "swagger", "swaggerui"), "/docs"
    ),
    **dict.fromkeys(("apispec", "openapi", "schema", "spec", "swaggerjson"), "/openapi.json"),
    **dict.fromkeys(("openrpc", "rpcdiscover"), "/rpc/openrpc.json"),
    **dict.fromkeys(
        ("health", "healthcheck", "healthz", "live", "livez", "ping", "ready", "readyz", "status"),
        "/health/ready",
    ),
    **dict.fromkeys(
        ("certs", "jwks", "wellknownopenidconfiguration", "wellknownjwks"), "/.well-known/jwks.json"
    ),
}
NOTHING_HERE = "There is nothing at this address."
_LISTS = "{0}/docs lists the routes, and calls of JSON-RPC are sent to {0}/rpc."


def nothing_at(path: str, paths: Iterable[str], base_path: str = "") -> NotFound:
    """Return the error for an unknown path, with the nearest of those that exist.

    The paths are without `base_path`, which the sentence adds.
    """
    nearest = _nearest(path, paths)
    if nearest is None:
        return NotFound(f"{NOTHING_HERE} {_LISTS.format(base_path)}")
    return NotFound(f"{NOTHING_HERE} The nearest is {base_path}{nearest}.")


def named_elsewhere(path: str) -> str | None:
    """Return the path that has the name of `path` in other APIs, or None."""
    path = path[:_PATH_MAX]
    named = _OTHER_NAMES.get(only_letters(path))
    return named or _OTHER_NAMES.get(only_letters("".join(_segments(path))))


def _segments(path: str) -> list[str]:
    """Return the segments of a path, without a prefix such as /api/v1 and without an extension."""
    parts = [part for part in path.split("/") if part]
    while parts and _PREFIX.fullmatch(parts[0].lower()):
        parts = parts[1:]
    if parts and (found := _EXTENSION.fullmatch(parts[-1])) is not None:
        parts[-1] = found[1]
    return parts


# Only of paths that exist, so there are few.
_own_segments = cache(_segments)


def _nearest(path: str, paths: Iterable[str]) -> str | None:
    if len(path) > _PATH_MAX:
        return None
    sent = _segments(path)
    if (named := named_elsewhere(path)) is not None:
        return named
    if sent and named_elsewhere(sent[0]) == "/rpc":
        return "/rpc"
    found = sorted(_similar(sent, paths), key=lambda found: found[0])
    return found[0][1] if found else None


def _similar(sent: Sequence[str], paths: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the paths with the same segments or similar ones, and how many are not the same.

    A parameter takes any segment, and counts as one that is not the same.
    """
    compared = cache(_is_similar)
    for path in paths:
        segments = _own_segments(path)
        if len(segments) != len(sent) or all(map(_is_param, segments)):
            continue
        pairs = list(zip(sent, segments, strict=True))
        if all(compared(*pair) for pair in pairs):
            yield sum(one != other for one, other in pairs), path


def _is_param(segment: str) -> bool:
    return segment.startswith("{")


def _is_similar(sent: str, segment: str) -> bool:
    return _is_param(segment) or closest_match(sent, [segment], _SEGMENT_MAX) is not None
