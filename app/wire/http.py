"""One HTTP request as both doors read it, and the small parts of answering it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.audit import Door
from app.domain.credentials import Origin
from app.domain.errors import (
    DomainError,
    Flaw,
    InvalidInput,
    Kind,
    MethodNotAllowed,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    UnsupportedMediaType,
)
from app.usecases.call import Caller, Stale
from app.wire import json
from app.wire.problem import STATUS, problem_object

BODY_MAX = 1024 * 1024
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
# Whatever carries or depends on a secret stays out of caches; what may be cached says so itself.
NO_STORE = "no-store"
CACHE_STATUS = "Cache-Status"
# Where the scope has the refusal of what the transport could not take for a request.
REFUSED = "gatehouse.refused"
# In the server's state (ASGI), which comes with every scope, from when it is about to stop.
LEAVING = "gatehouse.leaving"


@dataclass(slots=True)
class Context:
    """What is known of a request beside its bytes, and what became of it.

    The edge finds its id and the client's address, and the credential in its headers; the door
    says which route it took and what else belongs into the log; `status` is 0 until the answer
    has begun. `stale` has which operations were answered with something old.
    """

    request_id: str
    address: str | None
    credential: str | None = None
    route: str | None = None
    status: int = 0
    noted: dict[str, Any] = field(default_factory=dict)
    stale: tuple[Stale, ...] = ()

    def is_told(self, stale: Stale) -> None:
        """Note that an answer is old, for the edge to say."""
        self.stale = (*self.stale, stale)


def context_of(scope: Scope) -> Context:
    """The context that the edge put into `scope`."""
    context = scope["gatehouse"]
    assert isinstance(context, Context)
    return context


def header_credential(scope: Scope) -> str | None:
    """The credential in the two headers, unchecked. Other Authorization schemes do not count.

    Raises InvalidInput where there are two different ones.
    """
    found: str | None = None
    for name, value in scope["headers"]:
        if name == b"x-access-token":
            sent = value.decode("latin-1")
        elif name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                continue
            sent = rest.strip()
        else:
            continue
        if found is not None and sent != found:
            reason = "carries another credential than Authorization, or there are several"
            raise InvalidInput.of(Flaw("X-Access-Token", reason, "header"))
        found = sent
    return found


def caller_of(scope: Scope, door: Door) -> Caller:
    """Who asks: the credential of the headers, unchecked, and where it comes from."""
    context = context_of(scope)
    agent = header(scope, b"user-agent")
    origin = Origin(context.address, agent, door, context.request_id)
    return Caller(context.credential, origin, is_told=context.is_told)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, in lower case; costs less than Starlette's `Headers`."""
    for found, value in scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return None


def refuse_query(query: QueryParams) -> None:
    """Raise InvalidInput for any query parameter."""
    if query:
        raise InvalidInput.of(*(Flaw(name, "is not known here", "query") for name in query))


def media_type(scope: Scope) -> str:
    """The body's content type without its parameters, in lower case."""
    return (header(scope, b"content-type") or "").partition(";")[0].strip().lower()


def require_media_type(scope: Scope, *accepted: str) -> None:
    """Raise UnsupportedMediaType for a body of any other type, or of none."""
    if media_type(scope) not in accepted:
        raise UnsupportedMediaType(accepted)


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The body, of at most 1 MiB by its header and by its bytes. Raises PayloadTooLarge."""
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
    """What RFC 9211 has a cache say of answers that are older than it likes: their ttl is negative.

    For each operation the oldest.
    """
    oldest: dict[str, int] = {}
    for one in stale:
        oldest[one.operation] = max(one.overdue, oldest.get(one.operation, 0))
    return ", ".join(
        f'Gatehouse; hit; ttl=-{overdue}; key="{operation}"; detail=stale-if-error'
        for operation, overdue in oldest.items()
    )


class Head(bytes):
    """The headers of an answer that says nothing else, with 204; as they go over the wire."""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """These headers. Raises ValueError for what is not printable ASCII."""
        lines = [f"{name.lower()}: {value}" for name, value in fields.items()]
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise ValueError("not printable ASCII")
        return cls("".join(f"{line}\r\n" for line in lines).encode())

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Each header's name and value."""
        lines = self.split(b"\r\n")[:-1]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


async def send_ready(send: Send, said: bytes) -> None:
    """Answer 204 with a head, else 200 with a JSON text."""
    if isinstance(said, Head):
        await send({"type": "http.response.start", "status": 204, "headers": said.fields})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send_json(send, said)


async def send_json(send: Send, body: bytes) -> None:
    """Answer 200 with a JSON text."""
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", JSON.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class JsonResponse(Response):
    """An answer in JSON; a datetime is written as RFC 3339."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        return json.dump(content)


def method_not_allowed(allowed: set[str]) -> MethodNotAllowed:
    """The refusal of a method on a path that takes `allowed`; HEAD goes with GET."""
    return MethodNotAllowed(allowed | {"HEAD"} if "GET" in allowed else allowed)


def problem_response(error: DomainError, request_id: str) -> Response:
    """The answer of an HTTP request that was refused."""
    headers: dict[str, str] = {}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="gatehouse"'
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, Overloaded | RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    return JsonResponse(
        problem_object(error, request_id), STATUS[error.kind], headers, PROBLEM_JSON
    )
