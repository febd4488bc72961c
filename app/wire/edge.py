"""The edge: what holds for every request, whichever door it takes.

`Edge`, the outermost, gives the request its id and the client's address, sees that every answer
carries the headers that protect it, and writes one line of log and one observation of each request.
`Refusals`, the innermost, turns errors of the catalogue into problems and faults into a reference.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from time import perf_counter

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import DomainError, Internal, Overloaded
from app.domain.readings import Reading, faults
from app.wire.crossroads import Prompt
from app.wire.http import (
    CACHE_STATUS,
    JSON,
    NO_STORE,
    Context,
    Head,
    cache_status,
    context_of,
    header,
    header_credential,
    problem_response,
)

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
# An answer may choose these itself.
_CHOSEN = {
    b"content-security-policy": b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    b"cache-control": NO_STORE.encode(),
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
# An access key or a token that somebody put into a path, or sends as the name of a request; what
# goes on as a uuid does is none. A token is looked for from where one can begin, and never twice: a
# path may have 64 kB.
_SECRETS = re.compile(
    r"[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{8}(?![0-9A-Fa-f]{4}(?![A-Za-z0-9]))"
    r"|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]{43,}+"
)
# An access key has no more, a token more.
_SECRET_MIN = 32
# Supervisors and balancers ask each second; of what went well, the metrics tell enough.
_PROBES = frozenset({"/health/live", "/health/ready"})
_LOG = structlog.get_logger("gatehouse.http")


@dataclass(frozen=True, slots=True)
class EdgeRules:
    """What of the configuration matters at the edge."""

    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()
    https: bool = False


class Edge:
    """ASGI middleware around everything else."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: EdgeRules,
        new_id: Callable[[], str],
        metrics: CollectorRegistry,
        prompt: Prompt | None = None,
    ) -> None:
        self._app = app
        self._prompt = prompt
        # The same few proxies come again and again.
        self._trusts = lru_cache(maxsize=4096)(partial(_is_in, rules.trusted_proxies))
        self._new_id = new_id
        self._ours = [*_CHOSEN.items(), *_ALWAYS]
        if rules.https:
            self._ours.append((b"strict-transport-security", b"max-age=31536000"))
        self._ready_head = b"".join(b"%b: %b\r\n" % header for header in self._ours)
        self._json_head = b"content-type: %b\r\n%b" % (JSON.encode(), self._ready_head)
        self._seconds = Histogram(
            "gatehouse_http_request_seconds",
            "Time to answer a request.",
            ["method", "route", "status"],
            registry=metrics,
        )
        # Finding a series by its labels costs more than adding to it.
        self._series: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        context = scope["gatehouse"] = scope.get("gatehouse") or self._context(scope)

        def send_protected(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message["headers"] = self._protected(message["headers"], context)
            return send(message)

        try:
            await self._app(scope, receive, send_protected)
        finally:
            self._note(scope, context, perf_counter() - started)

    def at_once(self, scope: Scope, body: bytes) -> tuple[int, bytes] | None:
        """The answer to a request for which it is ready: its status, and what follows that line.

        None: ask in the usual way, which may take its time.
        """
        if self._prompt is None:
            return None
        started = perf_counter()
        context = scope["gatehouse"] = self._context(scope)
        try:
            context.credential = header_credential(scope)
        except DomainError:
            return None
        answer = self._prompt.at_once(scope, context, body)
        if answer is None:
            return None
        context.status = 204 if isinstance(answer, Head) else 200
        self._note(scope, context, perf_counter() - started)
        request_id = context.request_id.encode()
        if context.status == 204:
            ours = answer, self._ready_head, request_id
            return 204, b"%b%bx-request-id: %b\r\n\r\n" % ours
        return 200, b"content-length: %d\r\n%bx-request-id: %b\r\n\r\n%b" % (
            len(answer),
            self._json_head,
            request_id,
            answer,
        )

    def _protected(
        self, headers: Iterable[tuple[bytes, bytes]], context: Context
    ) -> list[tuple[bytes, bytes]]:
        """The answer's own headers, and ours but for those that it chose itself."""
        own = {name for name, _ in headers}
        ours = self._ours
        if not own.isdisjoint(_CHOSEN):
            ours = [header for header in ours if header[0] not in own]
        if context.stale:
            ours = [*ours, (CACHE_STATUS.lower().encode(), cache_status(context.stale).encode())]
        return [*headers, *ours, (b"x-request-id", context.request_id.encode())]

    def _context(self, scope: Scope) -> Context:
        client = scope.get("client")
        address = client[0] if client else None
        if not self._trusts(address):
            return Context(self._new_id(), address)
        sent = header(scope, b"x-request-id") or ""
        is_fit = _REQUEST_ID.fullmatch(sent) and not _SECRETS.search(sent)
        request_id = sent if is_fit else self._new_id()
        return Context(request_id, self._forwarded(scope, address))

    def _forwarded(self, scope: Scope, address: str | None) -> str | None:
        """The nearest address that is not a trusted proxy's; what is left of it may be invented."""
        named = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = b",".join(named).decode("latin-1").split(",")
        for hop in reversed([hop.strip() for hop in hops]):
            if _parsed(hop) is None:
                break
            address = hop
            if not self._trusts(hop):
                break
        return address

    def _note(self, scope: Scope, context: Context, seconds: float) -> None:
        # Invented methods and paths are one series, or strangers could make any number of them.
        method = "any" if context.route is None else scope["method"]
        labels = (method, context.route or "none", context.status)
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._seconds.labels(*labels)
        series.observe(seconds)
        if context.status == 200 and context.route in _PROBES:
            return
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        # Without values it gives the logger that `info` would look for on each call.
        _LOG.bind().info(
            "request",
            method=scope["method"],
            path=path if len(path) < _SECRET_MIN else _SECRETS.sub("…", path),
            status=context.status,
            ms=int(seconds * 100_000) / 100,
            request_id=context.request_id,
            address=context.address,
            **context.noted,
        )


class Refusals:
    """ASGI middleware that turns refusals into problems, and faults into a reference."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._counts: dict[tuple[str, str], int] = defaultdict(int)

    def readings(self) -> Iterator[Reading]:
        """How often which route refused with which error; a fault of ours is one, too."""
        about = "Requests that were refused with an error of the catalogue."
        for (route, error), count in self._counts.items():
            labels = (("route", route), ("error", error))
            yield Reading("http_refusals", about, count, labels, is_total=True)
        ours = sum(n for (_, error), n in self._counts.items() if error == Internal.slug)
        yield faults("http", ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        refusal: DomainError
        try:
            context.credential = header_credential(scope)
            await self._app(scope, receive, send)
            return
        except ClientDisconnect:
            return
        except DomainError as error:
            refusal = error
        except asyncio.CancelledError:
            # The server stops and waits no longer; whoever still waits may ask another.
            refusal = Overloaded()
        except Exception:
            _LOG.exception("fault", request_id=context.request_id)
            refusal = Internal(context.request_id)
        self._counts[context.route or "none", refusal.slug] += 1
        # An answer that has begun is left unfinished, so that its connection is cut.
        if not context.status:
            await problem_response(refusal, context.request_id)(scope, receive, send)


def _is_in(networks: Sequence[IPv4Network | IPv6Network], address: str | None) -> bool:
    parsed = _parsed(address) if address and networks else None
    return parsed is not None and any(parsed in network for network in networks)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address; None for what is none. To find one again costs a tenth of reading it."""
    try:
        return ip_address(text)
    except ValueError:
        return None
