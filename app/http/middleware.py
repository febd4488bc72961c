"""Middleware around both APIs.

`RequestMiddleware`, the outermost, adds the request id, the client's address and the security
headers, and writes one log line and one observation of each request. `ErrorMiddleware`, the
innermost, turns errors of the catalogue into problems, and any other exception into an internal
error with a reference.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.addresses import Network
from app.domain.audit import REQUEST_ID_MAX
from app.domain.errors import DomainError, Internal, Overloaded
from app.domain.measurements import Measurement, measure_faults
from app.domain.quoting import SECRET_MIN, has_secret
from app.domain.text import ASCII, Pattern
from app.http.client_address import ClientAddress
from app.http.credentials import header_credential
from app.http.redaction import loggable_path
from app.http.request import (
    CACHE_STATUS,
    CONNECTION,
    NO_STORE,
    Context,
    cache_status,
    context_of,
    deprecation_headers,
    header,
    problem_response,
)
from app.http.untrusted_proxies import UntrustedProxies

_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
# Defaults that a response may override.
_CHOSEN = {
    b"content-security-policy": b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    b"cache-control": NO_STORE.encode(),
}
_REQUEST_ID = Pattern(rf"[A-Za-z0-9._-]{{1,{REQUEST_ID_MAX}}}", REQUEST_ID_MAX, ASCII)
# Probed each second, so the successful ones are logged at `debug` only.
_PROBES = frozenset({"/health/live", "/health/ready"})
# The outcome of a request whose client disconnected before it was read.
DISCONNECTED = "disconnected"
_LOG = structlog.get_logger("gatehouse.http")


@dataclass(frozen=True, slots=True)
class MiddlewareRules:
    """The configuration of the middleware."""

    trusted_proxies: Sequence[Network] = ()
    reads_forwarded: bool = False
    origins: frozenset[str] = frozenset()
    base_path: str = ""
    https: bool = False
    logs_requests: bool = True


class RequestMiddleware:
    """The outermost ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: MiddlewareRules,
        new_id: Callable[[], str],
        metrics: CollectorRegistry,
    ) -> None:
        self._app = app
        self._client = ClientAddress(rules.trusted_proxies, forwarded=rules.reads_forwarded)
        self.untrusted_proxies = UntrustedProxies(self._client, rules.trusted_proxies)
        self._site = rules.origins, rules.base_path
        self._new_id = new_id
        self._logs_requests = rules.logs_requests
        self._ours = [*_CHOSEN.items(), *_ALWAYS]
        if rules.https:
            self._ours.append((b"strict-transport-security", b"max-age=31536000"))
        self._seconds = Histogram(
            "gatehouse_http_request_seconds",
            "Time to answer a request.",
            ["method", "route", "status"],
            registry=metrics,
        )
        # Finding a series by its labels costs more than adding to it.
        self._series: dict[tuple[str, str, int], Histogram] = {}

    def is_trusted_proxy(self, client: Sequence[object] | None) -> bool:
        """Return whether a connection's other end is a trusted proxy."""
        return self._client.is_trusted_peer(client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        if CONNECTION not in scope:
            # Other ASGI servers than ours leave this to the application.
            scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        context = scope["gatehouse"] = scope.get("gatehouse") or self.context_for(scope)
        self.untrusted_proxies.examine(scope)
        if context.recorder is not None:
            send = context.recorder.recording(send, context)

        def send_protected(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message["headers"] = self._protected(message["headers"], context)
            return send(message)

        try:
            await self._app(scope, receive, send_protected)
        finally:
            self.finish(scope, context, perf_counter() - started)

    def _protected(
        self, headers: Iterable[tuple[bytes, bytes]], context: Context
    ) -> list[tuple[bytes, bytes]]:
        """Add our headers to those of a response, which override ours."""
        own = {name for name, _ in headers}
        ours = self._ours
        if not own.isdisjoint(_CHOSEN):
            ours = [header for header in ours if header[0] not in own]
        if context.stale:
            ours = [*ours, (CACHE_STATUS.lower().encode(), cache_status(context.stale).encode())]
        if context.deprecations:
            added = deprecation_headers(context.deprecations).items()
            ours = [*ours, *((name.lower().encode(), value.encode()) for name, value in added)]
        return [*headers, *ours, (b"x-request-id", context.request_id.encode())]

    def context_for(self, scope: Scope) -> Context:
        """Return the context of a new request."""
        address, is_trusted = self._client.find(scope)
        if not is_trusted:
            return Context(self._new_id(), address, *self._site)
        sent = header(scope, b"x-request-id") or ""
        is_fit = _REQUEST_ID.fullmatch(sent) and not has_secret(sent)
        return Context(sent if is_fit else self._new_id(), address, *self._site)

    def finish(self, scope: Scope, context: Context, seconds: float) -> None:
        """Observe and log a request that was answered."""
        # Unknown methods and paths share one series, or clients could create any number of them.
        method = "any" if context.route is None else scope["method"]
        labels = (method, context.route or "none", context.status)
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._seconds.labels(*labels)
        series.observe(seconds)
        if not self._logs_requests:
            return
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        members = context.noted
        if context.account is not None:
            members = {"account": context.account, **members}
        # `info` would bind the logger on each call; binding without values does it once.
        log = _LOG.bind()
        is_probe = context.status == 200 and context.route in _PROBES
        (log.debug if is_probe else log.info)(
            "request",
            method=scope["method"],
            path=path if len(path) < SECRET_MIN else loggable_path(path),
            status=context.status,
            outcome=context.outcome,
            ms=int(seconds * 100_000) / 100,
            request_id=context.request_id,
            address=context.address,
            **members,
        )


class ErrorMiddleware:
    """The innermost ASGI middleware, which turns exceptions into problem responses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._counts: dict[tuple[str, str], int] = defaultdict(int)

    def measurements(self) -> Iterator[Measurement]:
        """Count errors by route and slug, internal errors included."""
        about = "Requests that were refused with an error of the catalogue."
        for (route, error), count in self._counts.items():
            labels = (("route", route), ("error", error))
            yield Measurement("http_refusals", about, count, labels, is_total=True)
        ours = sum(n for (_, error), n in self._counts.items() if error == Internal.slug)
        yield measure_faults("http", ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        refusal: DomainError
        try:
            if context.credential is None:
                context.credential = header_credential(scope)
            await self._app(scope, receive, send)
            return
        except ClientDisconnect:
            context.outcome = DISCONNECTED
            return
        except DomainError as error:
            refusal = error
        except asyncio.CancelledError:
            # The server stops and waits no longer; the client may retry elsewhere.
            refusal = Overloaded()
        except Exception:
            _LOG.exception("fault", request_id=context.request_id)
            refusal = Internal(context.request_id)
        context.outcome = refusal.slug
        self._counts[context.route or "none", refusal.slug] += 1
        # A response that has begun stays unfinished, so that its connection is closed.
        if not context.status:
            await problem_response(refusal, context)(scope, receive, send)
