"""The edge: what holds for every request, whichever door it takes.

`Edge`, the outermost, gives the request its id and the client's address, sees that every answer
carries the headers that protect it, and writes one line of log and one observation of each request.
`Refusals`, the innermost, turns errors of the catalogue into problems and faults into a reference.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import perf_counter
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import DomainError, Internal, Overloaded
from app.wire.http import (
    NO_STORE,
    Context,
    context_of,
    problem_response,
    require_one_credential,
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
# An access key or a token that somebody put into a path.
_SECRETS = re.compile(
    r"[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{8}(?![A-Za-z0-9])"
    r"|[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43,}"
)
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
    ) -> None:
        self._app = app
        self._rules = rules
        self._new_id = new_id
        self._seconds = Histogram(
            "gatehouse_http_request_seconds",
            "Time to answer a request.",
            ["method", "route", "status"],
            registry=metrics,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        context = scope["gatehouse"] = self._context(scope)
        status = 0

        async def send_protected(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._protect(MutableHeaders(scope=message), context)
            await send(message)

        try:
            await self._app(scope, receive, send_protected)
        finally:
            self._note(scope, context, status, perf_counter() - started)

    def _protect(self, headers: MutableHeaders, context: Context) -> None:
        headers["X-Request-ID"] = context.request_id
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        headers.setdefault("Cache-Control", NO_STORE)
        if self._rules.https:
            headers["Strict-Transport-Security"] = "max-age=31536000"

    def _context(self, scope: Scope) -> Context:
        headers = Headers(scope=scope)
        client = scope.get("client")
        address = client[0] if client else None
        if not self._trusts(address):
            return Context(self._new_id(), address)
        sent = headers.get("x-request-id", "")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else self._new_id()
        return Context(request_id, self._forwarded(headers, address))

    def _forwarded(self, headers: Headers, address: str | None) -> str | None:
        """The nearest address that is not a trusted proxy's; what is left of it may be invented."""
        hops = ",".join(headers.getlist("x-forwarded-for")).split(",")
        for hop in reversed([hop.strip() for hop in hops]):
            if not _is_address(hop):
                break
            address = hop
            if not self._trusts(hop):
                break
        return address

    def _trusts(self, address: str | None) -> bool:
        if address is None or not self._rules.trusted_proxies or not _is_address(address):
            return False
        return any(ip_address(address) in network for network in self._rules.trusted_proxies)

    def _note(self, scope: Scope, context: Context, status: int, seconds: float) -> None:
        route = scope.get("gatehouse.route", "none")
        method = scope["method"] if route != "none" else "any"
        self._seconds.labels(method, route, status).observe(seconds)
        _LOG.info(
            "request",
            method=scope["method"],
            path=_SECRETS.sub("…", scope.get("raw_path", b"").decode("ascii", "backslashreplace")),
            status=status,
            ms=round(seconds * 1000, 2),
            request_id=context.request_id,
            address=context.address,
            **scope.get("gatehouse.noted", {}),
        )


class Refusals:
    """ASGI middleware that turns refusals into problems, and faults into a reference."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        refusal = await self._refusal(scope, receive, send_noting)
        # An answer that has begun is left unfinished, so that its connection is cut.
        if refusal is not None and not begun:
            await problem_response(refusal, context_of(scope).request_id)(scope, receive, send)

    async def _refusal(self, scope: Scope, receive: Receive, send: Send) -> DomainError | None:
        try:
            require_one_credential(Headers(scope=scope))
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return None
        except DomainError as error:
            return error
        except asyncio.CancelledError:
            # The server stops and waits no longer; whoever still waits may ask another.
            return Overloaded()
        except Exception:
            request_id = context_of(scope).request_id
            _LOG.exception("fault", request_id=request_id)
            return Internal(request_id)
        return None


def note(scope: Scope, **values: Any) -> None:
    """Add to the request's line of log; never a secret."""
    scope.setdefault("gatehouse.noted", {}).update(values)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
