"""What is not about accounts: health, metrics, public keys, the OpenAPI document, error pages."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import escape
from ipaddress import ip_address
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send
from typing_extensions import TypeAliasType, TypedDict

from app.domain.audit import Door
from app.domain.errors import CATALOGUE, NotFound, Overloaded
from app.domain.outbox import Depth
from app.domain.policy import Access
from app.rest import docs
from app.usecases.call import Call
from app.usecases.operator import published_keys
from app.usecases.services import Services
from app.wire import json
from app.wire.http import (
    JSON,
    LEAVING,
    JsonResponse,
    caller_of,
    context_of,
    method_not_allowed,
    refuse_query,
)
from app.wire.meters import Meters
from app.wire.problem import STATUS

ERRORS = {error.slug: error for error in CATALOGUE}
_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip", "via")
_CACHED = {"Cache-Control": "public, max-age=60"}
JWK_SET = "application/jwk-set+json"
# The parts that keep a gateway from being ready, and what is told of each.
NOT_READY = {
    "store": "the store does not answer",
    "stopping": "the process is about to stop",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{slug}: {title}</title>
<h1>{title}</h1>
<p>{when}</p>
<p>{what_to_do}</p>
<dl><dt>Code</dt><dd><code>{slug}</code></dd><dt>HTTP status</dt><dd>{status}</dd></dl>
</html>
"""


class Health(TypedDict):
    """What a healthy gateway says."""

    status: Literal["ok"]


class Jwk(TypedDict):
    """A public key on the curve P-256 (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    kid: str
    use: Literal["sig"]
    alg: Literal["ES256"]


class JwkSet(TypedDict):
    """The keys that are trusted, and those whose last tokens have not expired yet."""

    keys: list[Jwk]


Document = TypeAliasType("Document", dict[str, Any])


@dataclass(frozen=True, slots=True)
class Page:
    """One row: a path that takes GET and HEAD, for the application and for the documents."""

    path: str
    id: str
    summary: str
    description: str
    answer: Callable[["System", Scope], Awaitable[Response]]
    media_type: str = JSON
    body: Any = str
    for_admins: bool = False
    documented: bool = True


@dataclass(frozen=True, slots=True)
class Documents:
    """What describes the two doors. Each is made when it is first asked for: not at every start."""

    openapi: Callable[[], dict[str, Any]]
    openrpc: Callable[[], dict[str, Any]]


class System:
    """The endpoints behind the pages."""

    def __init__(self, services: Services, meters: Meters, documents: Documents) -> None:
        self._services = services
        self._meters = meters
        self._documents = documents

    @cached_property
    def _openapi_json(self) -> bytes:
        return json.dump(self._documents.openapi())

    @cached_property
    def _openrpc_json(self) -> bytes:
        return json.dump(self._documents.openrpc())

    def routes(self) -> list[StarletteRoute]:
        """The routes as the application takes them."""
        return [StarletteRoute(page.path, _Get(page, self)) for page in PAGES]

    async def _live(self, _scope: Scope) -> Response:
        return JsonResponse({"status": "ok"})

    async def _ready(self, scope: Scope) -> Response:
        """Whether to send more requests here. Raises Overloaded, naming what is in the way."""
        failing = ["stopping"] if LEAVING in scope.get("state", {}) else []
        try:
            await self._services.store.read(lambda tx: tx.signing_keys.all())
        except Overloaded:
            failing.append("store")
        if failing:
            reasons = "; ".join(NOT_READY[part] for part in failing)
            raise Overloaded(f"Not ready: {reasons}.", failing=failing)
        return JsonResponse({"status": "ok"})

    async def _jwks(self, _scope: Scope) -> Response:
        """RFC 7517 section 5: other services verify tokens with these by themselves."""
        keys = [json.parse(key.jwk.encode()) for key in await published_keys(self._services)]
        return Response(json.dump({"keys": keys}), headers=_CACHED, media_type=JWK_SET)

    async def _openapi(self, _scope: Scope) -> Response:
        return Response(self._openapi_json, headers=_CACHED, media_type=JSON)

    async def _openrpc(self, _scope: Scope) -> Response:
        return Response(self._openrpc_json, headers=_CACHED, media_type=JSON)

    async def _metrics(self, scope: Scope) -> Response:
        """For whoever asks from this machine, and for admins."""
        if not _is_from_here(scope):
            caller = caller_of(scope, Door.REST)
            call = Call(self._services, "metrics", Access.ADMIN, caller, changes=False)
            await call.actor()
        body = self._meters.exposition()
        # What this process counted is told even where the store cannot be asked.
        with suppress(Overloaded):
            depth = await self._services.store.scan(lambda tx: tx.outbox.depth())
            body += _outbox(depth, self._services.clock.now())
        return Response(body, media_type=CONTENT_TYPE_LATEST)

    async def _error_page(self, scope: Scope) -> Response:
        """What the `type` of a problem leads to."""
        error = ERRORS.get(scope["path_params"]["slug"])
        if error is None:
            raise NotFound("There is no such error.")
        when, what_to_do = map(escape, error.explanation())
        page = _PAGE.format(
            slug=error.slug,
            title=escape(error.title),
            when=when,
            what_to_do=what_to_do,
            status=STATUS[error.kind],
        )
        return Response(page, headers=_CACHED, media_type="text/html")


PAGES = (
    Page(
        "/health/live",
        "health_live",
        "Whether the process answers",
        "For a supervisor: a failure means that the process should be started again.",
        System._live,
        body=Health,
    ),
    Page(
        "/health/ready",
        "health_ready",
        "Whether requests can be served",
        "For a load balancer: the store answers, and the process is not about to stop. Else 503, "
        "with what is in the way in `failing`.",
        System._ready,
        body=Health,
    ),
    Page(
        "/.well-known/jwks.json",
        "jwks",
        "The public keys that verify tokens",
        "A JWK Set (RFC 7517). A service that verifies tokens with it learns of a revocation only "
        "when the token expires.",
        System._jwks,
        JWK_SET,
        body=JwkSet,
    ),
    Page(
        "/openapi.json",
        "openapi",
        "The REST door, described",
        "OpenAPI 3.1.",
        System._openapi,
        body=Document,
    ),
    Page(
        "/rpc/openrpc.json",
        "openrpc",
        "The chat's door, described",
        "OpenRPC 1.3; `rpc.discover` answers the same.",
        System._openrpc,
        body=Document,
    ),
    Page(
        "/docs",
        "docs",
        "The REST door, to read and to try",
        "Swagger UI, from this server alone.",
        lambda _, scope: docs.rest_page(scope),
        "text/html",
    ),
    Page(
        "/rpc/docs",
        "rpc_docs",
        "The chat's door, to read and to try",
        "Every method with its parameters, result and errors, and a form to call it with.",
        lambda _, scope: docs.rpc_page(scope),
        "text/html",
    ),
    Page(
        "/docs/{asset}",
        "docs_asset",
        "What the page is made of",
        "Style sheets, scripts and pictures.",
        lambda _, scope: docs.asset(scope),
        documented=False,
    ),
    Page(
        "/metrics",
        "metrics",
        "Metrics for Prometheus",
        "From the same machine without a credential, else for admins.",
        System._metrics,
        "text/plain",
        for_admins=True,
    ),
    Page(
        "/errors/{slug}",
        "error_page",
        "What an error means",
        "The page that the `type` of a problem leads to.",
        System._error_page,
        "text/html",
    ),
)


class _Get:
    """An ASGI application for one page."""

    def __init__(self, page: Page, system: System) -> None:
        self._page = page
        self._system = system

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            raise method_not_allowed({"GET"})
        context_of(scope).route = self._page.path
        refuse_query(QueryParams(scope["query_string"]))
        response = await self._page.answer(self._system, scope)
        await response(scope, receive, send)


def _outbox(depth: Iterable[Depth], now: datetime) -> bytes:
    """How full the outbox is. It is asked for at each scrape: the store is that of all workers."""
    messages = GaugeMetricFamily(
        "gatehouse_outbox_messages",
        "Messages in the outbox that wait or are dead.",
        labels=["kind", "state"],
    )
    oldest = GaugeMetricFamily(
        "gatehouse_outbox_oldest_seconds",
        "Age of the oldest message of the outbox that waits or is dead.",
        labels=["kind", "state"],
    )
    for found in depth:
        labels = [found.kind, found.state]
        messages.add_metric(labels, found.messages)
        oldest.add_metric(labels, max((now - found.since).total_seconds(), 0.0))

    class Here(Collector):
        def collect(self) -> Iterable[Metric]:
            return messages, oldest

    registry = CollectorRegistry()
    registry.register(Here())
    return generate_latest(registry)


def _is_from_here(scope: Scope) -> bool:
    """Whether the client is on this machine; what a proxy that is not trusted passes on is not."""
    headers = Headers(scope=scope)
    peer = scope.get("client")
    address = context_of(scope).address
    forwarded = any(name in headers for name in _FORWARDED)
    if address is None or (forwarded and peer is not None and peer[0] == address):
        return False
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
