"""Reading an HTTP request and building responses, for both APIs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.domain.audit import Door
from app.domain.credentials import Origin
from app.domain.errors import (
    FIELD_ERRORS_MAX,
    DomainError,
    FieldError,
    InvalidInput,
    MethodNotAllowed,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
    UnsupportedMediaType,
)
from app.domain.idempotency import IdempotencyKey
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.domain.text import ASCII, Pattern
from app.http import json
from app.http.credentials import find_misplaced, names_credential
from app.http.problem import problem_object
from app.operations.framework.context import Caller, Deprecation, Stale

BODY_MAX = 1024 * 1024
JSON = "application/json"
_HOST = Pattern(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", 259, ASCII)
_NO_HEADERS: Mapping[str, str] = {}
_NO_CODING = {b"identity", b""}
PROBLEM_JSON = "application/problem+json"
# The outcome of a request without an error; that of another is the error's slug.
OK = "ok"
# The default, since most responses carry or depend on a secret; cacheable ones override it.
NO_STORE = "no-store"
CACHE_STATUS = "Cache-Status"
DEPRECATION, SUNSET = "Deprecation", "Sunset"
# The scope's key for the client's connection, on our own server.
CONNECTION = "gatehouse.connection"
# The scope's key for the error of a request that our own server could not parse.
REFUSED = "gatehouse.refused"
# A key of the server's state (ASGI), which every scope has, once the server is about to stop.
LEAVING = "gatehouse.leaving"


class ClientConnection(Protocol):
    """The connection of a client that waits for its response."""

    def is_disconnected(self) -> bool:
        """Return whether the client is known to have disconnected."""


class _NoConnection:
    """The connection under another ASGI server, which does not report disconnects."""

    def is_disconnected(self) -> bool:
        return False


_NO_CONNECTION = _NoConnection()


class ResponseRecorder(Protocol):
    """Keeps the response to a request."""

    def recording(self, send: Send, context: "Context") -> Send:
        """Return `send`, which also keeps the response."""


@dataclass(slots=True)
class Context:
    """The context of a request, and of its response.

    The middleware sets the request id, the client's address and the credential of the headers; the
    API sets the route, the `outcome`, the `account` and further members of the log line. `status`
    is 0 until the response has begun. `stale` lists the operations that returned stale data,
    `deprecations` those of deprecated operations; `origins` are those whose pages may send requests
    (see `app.http.cross_origin`). `base_path` is the path of the public URL.
    """

    request_id: str
    address: str | None
    origins: frozenset[str] = frozenset()
    base_path: str = ""
    credential: str | None = None
    route: str | None = None
    status: int = 0
    outcome: str = OK
    account: str | None = None
    noted: dict[str, Any] = field(default_factory=dict)
    stale: tuple[Stale, ...] = ()
    deprecations: tuple[Deprecation, ...] = ()
    expires_at: datetime | None = None
    recorder: ResponseRecorder | None = None
    parsed: Any = None

    def link_to(self, path: str) -> str:
        """Return the path at which clients find one of ours."""
        return f"{self.base_path}{path}"

    def on_stale(self, stale: Stale) -> None:
        """Record that a result is stale, for the response's header."""
        self.stale = (*self.stale, stale)

    def on_deprecated(self, deprecation: Deprecation) -> None:
        """Record that a deprecated operation was called, for the response's headers."""
        self.deprecations = (*self.deprecations, deprecation)

    def on_account(self, uuid: str) -> None:
        """Note the account of the caller, for the log line."""
        self.account = uuid

    def on_cacheable(self, until: datetime) -> None:
        """Note that the response may be cached until then."""
        self.expires_at = until


def context_of(scope: Scope) -> Context:
    """Return the context that the middleware put into `scope`."""
    context = scope["gatehouse"]
    assert isinstance(context, Context)
    return context


def caller_of(
    scope: Scope,
    door: Door,
    preconditions: Preconditions = NO_PRECONDITIONS,
    idempotency_key: IdempotencyKey | None = None,
) -> Caller:
    """Return the caller: the unverified credential of the headers, and the origin."""
    context = context_of(scope)
    agent = header(scope, b"user-agent")
    origin = Origin(context.address, agent, door, context.request_id)
    connection: ClientConnection = scope.get(CONNECTION, _NO_CONNECTION)
    return Caller(
        context.credential,
        origin,
        find_misplaced=partial(find_misplaced, scope),
        on_stale=context.on_stale,
        on_deprecated=context.on_deprecated,
        on_cacheable=context.on_cacheable,
        on_account=context.on_account,
        is_disconnected=connection.is_disconnected,
        preconditions=preconditions,
        idempotency_key=idempotency_key,
    )


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header with a lowercase name; cheaper than Starlette's `Headers`."""
    for found, value in scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return None


def base_url(scope: Scope) -> str:
    """Return the URL that the client sent its request to, without a path.

    A proxy that ends TLS does not show in it; `GATEHOUSE_PUBLIC_URL` replaces it.
    """
    host = header(scope, b"host")
    if host is None or _HOST.fullmatch(host) is None:
        host, port = scope.get("server") or ("localhost", None)
        host = f"[{host}]" if ":" in host else host
        host = host if port is None else f"{host}:{port}"
    return f"{scope['scheme']}://{host}"


def header_lines(scope: Scope, name: bytes) -> list[str]:
    """Return all headers with a lowercase name."""
    return [value.decode("latin-1") for found, value in scope["headers"] if found == name]


def refuse_query(
    names: Collection[str], known: Collection[str] = (), *, has_body: bool = False
) -> None:
    """Raise InvalidInput for query parameters that are not among those that are known.

    `has_body`: the route reads a body instead.
    """
    if unknown := [name for name in names if name not in known]:
        # To search the nearest name for each of thousands would block all other requests.
        named = unknown[:FIELD_ERRORS_MAX]
        errors = [_not_in_query(name, known, has_body=has_body) for name in named]
        raise InvalidInput.for_fields(*errors)


def _not_in_query(name: str, known: Collection[str], *, has_body: bool) -> FieldError:
    if names_credential(name):
        reason = "is not read from the query; send it in the header 'Authorization: Bearer TOKEN'"
        return FieldError(name, reason, "query")
    if has_body:
        return FieldError(name, "is not read from the query; send it in the body", "query")
    return FieldError.unknown(name, known, "query")


def media_type(scope: Scope) -> str:
    """Return the content type without parameters, in lower case."""
    return (header(scope, b"content-type") or "").partition(";")[0].strip().lower()


def require_media_type(scope: Scope, *accepted: str) -> None:
    """Raise UnsupportedMediaType for a body with another type, or without one."""
    sent = media_type(scope)
    if sent not in accepted:
        raise UnsupportedMediaType(accepted, sent=sent)


def is_coded(scope: Scope) -> bool:
    """Return whether the body has a content coding other than `identity` (RFC 9110 section 8.4)."""
    for name, value in scope["headers"]:
        if name == b"content-encoding":
            codings = {coding.strip(b" \t").lower() for coding in value.split(b",")}
            if not codings <= _NO_CODING:
                return True
    return False


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Read the body, of at most 1 MiB by its header and by its bytes.

    Raises PayloadTooLarge, and UnsupportedMediaType for a content coding.
    """
    if is_coded(scope):
        raise UnsupportedMediaType(is_coded=True)
    length = header(scope, b"content-length") or ""
    if length.isdecimal() and int(length[:20]) > BODY_MAX:
        raise PayloadTooLarge(BODY_MAX)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise PayloadTooLarge(BODY_MAX)
        more = message.get("more_body", False)
    return bytes(body)


def cache_status(stale: Iterable[Stale]) -> str:
    """Return the header Cache-Status (RFC 9211) for stale results, whose ttl is negative.

    Each operation has one entry, for its oldest result.
    """
    oldest: dict[str, int] = {}
    for one in stale:
        oldest[one.operation] = max(one.stale_seconds, oldest.get(one.operation, 0))
    return ", ".join(
        f'Gatehouse; hit; ttl=-{stale_seconds}; key="{operation}"; detail=stale-if-error'
        for operation, stale_seconds in oldest.items()
    )


def deprecation_headers(deprecations: Iterable[Deprecation]) -> dict[str, str]:
    """Return Deprecation (RFC 9745) and Sunset (RFC 8594), each for the earliest day."""
    since = min(one.since for one in deprecations)
    headers = {DEPRECATION: f"@{int(_midnight(since).timestamp())}"}
    if sunsets := [one.sunset for one in deprecations if one.sunset is not None]:
        headers[SUNSET] = format_datetime(_midnight(min(sunsets)), usegmt=True)
    return headers


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def send_json(send: Send, body: bytes, others: Mapping[str, str] = _NO_HEADERS) -> None:
    """Send a 200 response with a JSON text, and other headers."""
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", JSON.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in others.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class JsonResponse(JSONResponse):
    """A JSON response; datetimes are in RFC 3339 format."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        return json.dump(content)


def _challenge(error: DomainError) -> str:
    """Return the challenge; it has an error code only if a credential was sent (RFC 6750 section
    3.1)."""
    challenge = 'Bearer realm="gatehouse"'
    if isinstance(error, Unauthenticated) and error.has_credential:
        challenge += ', error="invalid_token"'
    return challenge


def problem_response(error: DomainError, context: Context) -> Response:
    """Return the problem response for an error."""
    headers: dict[str, str] = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = _challenge(error)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, UnsupportedMediaType) and error.is_coded:
        # RFC 9110 section 15.5.16.
        headers["Accept-Encoding"] = "identity"
    if isinstance(error, Overloaded | RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    problem = problem_object(error, context.request_id, context.base_path)
    return JsonResponse(problem, error.status, headers, PROBLEM_JSON)
