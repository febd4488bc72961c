"""Health, metrics, public keys, the two documents, and the pages of errors."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Annotated, Any, Literal

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Scope
from typing_extensions import TypeAliasType, TypedDict

from app.domain.audit import Door
from app.domain.errors import CATALOGUE, NotFound, Overloaded
from app.domain.measurements import Measurement
from app.domain.policy import Access
from app.domain.quoting import QUOTED_MAX
from app.domain.text import closest_match
from app.http import json
from app.http.client_address import is_loopback
from app.http.metrics import Metrics, expose
from app.http.nearest_path import NOTHING_HERE
from app.http.process_metrics import measure_build, measure_processes
from app.http.request import JSON, LEAVING, JsonResponse, caller_of, context_of
from app.http.store_metrics import StoreMetrics
from app.operations.formats import Keywords, constant
from app.operations.framework.context import OperationContext
from app.operations.framework.services import Services
from app.operations.operator import list_published_keys
from app.rest.deps import get_services
from app.rest.operation_route import StrictRoute, make_router
from app.runtime.background_tasks import TASKS
from app.runtime.single_flight import SingleFlight

ERRORS = {error.slug: error for error in CATALOGUE}
# Seconds. A signing key is published for longer than this before it signs.
JWKS_MAX_AGE = 60
_CACHED = {"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"}
JWK_SET = "application/jwk-set+json"
# The parts that keep a gateway from being ready, with their descriptions.
NOT_READY = {
    "store": "the store does not answer",
    "signing-key": "the signing key was published less than five minutes ago",
    "stopping": "the process is about to stop",
    **TASKS,
}
READ_ONLY = "the store accepts no writes, its server is read-only"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{slug}: {title}</title>
<main>
<h1>{title}</h1>
<p>{when}</p>
<p>{what_to_do}</p>
<dl><dt>Code</dt><dd><code>{slug}</code></dd><dt>HTTP status</dt><dd>{status}</dd></dl>
</main>
</html>
"""


class Health(TypedDict):
    """The status of a healthy gateway."""

    status: Annotated[str, constant("ok")]


# 32 bytes in base64url: a coordinate, or the hash that is a key's id (RFC 7638).
_HASH = Keywords(minLength=43, maxLength=43)


class Jwk(TypedDict):
    """A public key on the curve P-256 (RFC 7517)."""

    kty: Annotated[str, constant("EC")]
    crv: Annotated[str, constant("P-256")]
    x: Annotated[str, _HASH]
    y: Annotated[str, _HASH]
    kid: Annotated[str, _HASH]
    use: Annotated[str, constant("sig")]
    alg: Annotated[str, constant("ES256")]


class JwkSet(TypedDict):
    """The trusted keys, and those whose last tokens have not expired yet."""

    keys: list[Jwk]


# Readers of the metrics: programs on this machine and admins, admins only, or none.
MetricsAccess = Literal["loopback", "admin", "off"]
Document = TypeAliasType("Document", dict[str, Any])

router = make_router(StrictRoute, tags=["operator"])


class JwkSetResponse(JsonResponse):
    """A JWK Set."""

    media_type = JWK_SET


@dataclass(frozen=True, slots=True)
class System:
    """The sources of the operator's pages, besides the services: metrics and both documents."""

    metrics: Metrics
    store_metrics: StoreMetrics
    metrics_access: MetricsAccess
    openapi: Callable[[], bytes]
    openrpc: Callable[[Scope], bytes]
    """Both take longer at their first call than other requests may wait."""
    scrapes: SingleFlight[None, bytes] = field(default_factory=SingleFlight)

    async def scrape(self) -> bytes:
        """Return all metrics; concurrent scrapes share one text, which takes a while to write."""
        return await self.scrapes.run(None, self._write_metrics)

    async def _write_metrics(self) -> bytes:
        # The processes' own counts are shown even while the store is unavailable.
        stored = await self.store_metrics.measure()
        counted = await self.metrics.exposition()
        # Listing 16,000 open files takes 30 ms.
        return counted + await asyncio.to_thread(_write_measurements, stored)


def _write_measurements(stored: Iterable[Measurement]) -> bytes:
    return expose([measure_build(), *measure_processes(), *stored])


async def get_system(request: Request) -> System:
    """Return the sources of the operator's pages."""
    system: System = request.app.state.system
    return system


ServicesDep = Annotated[Services, Depends(get_services)]
SystemDep = Annotated[System, Depends(get_system)]


@router.get(
    "/health/live",
    operation_id="health_live",
    summary="Liveness of the process",
    description="For a supervisor: restart the process when this fails.",
    response_model=Health,
)
async def live() -> Response:
    return JsonResponse({"status": "ok"})


@router.get(
    "/health/ready",
    operation_id="health_ready",
    summary="Readiness to serve requests",
    description="For a load balancer: the store answers, no background task is failing, and the "
    "process is not about to stop. Otherwise 503, with the failing parts in `failing`.",
    response_model=Health,
)
async def ready(request: Request, services: ServicesDep) -> Response:
    parts = ["stopping"] if LEAVING in request.scope.get("state", {}) else []
    failing = {part: NOT_READY[part] for part in parts}
    try:
        await services.store.read(lambda tx: tx.signing_keys.list_all())
        if not await services.store.accepts_writes():
            failing["store"] = READ_ONLY
    except Overloaded:
        failing["store"] = NOT_READY["store"]
    if not services.tokens.can_issue():
        failing["signing-key"] = NOT_READY["signing-key"]
    failing |= {part: NOT_READY[part] for part in services.background.failing()}
    if failing:
        raise Overloaded(f"Not ready: {'; '.join(failing.values())}.", failing=[*failing])
    return JsonResponse({"status": "ok"})


@router.get(
    "/.well-known/jwks.json",
    operation_id="jwks",
    summary="The public keys that verify tokens",
    description="A JWK Set (RFC 7517). A service that verifies tokens with it learns of a "
    "revocation only when the token expires.",
    response_model=JwkSet,
    response_class=JwkSetResponse,
)
async def jwks(services: ServicesDep) -> Response:
    keys = [json.parse(key.jwk.encode()) for key in await list_published_keys(services)]
    return JwkSetResponse({"keys": keys}, headers=_CACHED)


@router.get(
    "/openapi.json",
    operation_id="openapi",
    summary="The OpenAPI document",
    description="OpenAPI 3.1 of the REST API.",
    response_model=Document,
)
def openapi(system: SystemDep) -> Response:
    return Response(system.openapi(), headers=_CACHED, media_type=JSON)


@router.get(
    "/rpc/openrpc.json",
    operation_id="openrpc",
    summary="The OpenRPC document",
    description="OpenRPC 1.3 of the JSON-RPC API; `rpc.discover` returns the same.",
    response_model=Document,
)
def openrpc(request: Request, system: SystemDep) -> Response:
    return Response(system.openrpc(request.scope), headers=_CACHED, media_type=JSON)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    description="For admins; without proxies also from the same machine without a credential. "
    "`GATEHOUSE_METRICS` can change that.",
    response_class=PlainTextResponse,
)
async def metrics(request: Request, services: ServicesDep, system: SystemDep) -> Response:
    if system.metrics_access == "off":
        raise NotFound(f"{NOTHING_HERE} The metrics are disabled (GATEHOUSE_METRICS).")
    is_open = system.metrics_access == "loopback"
    if not (is_open and is_loopback(request.scope, context_of(request.scope).address)):
        caller = caller_of(request.scope, Door.REST)
        await OperationContext(services, "metrics", Access.ADMIN, caller, changes=False).actor()
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    return Response(await system.scrape(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/errors/{slug}",
    operation_id="error_page",
    summary="Description of an error",
    description="The page that the `type` of a problem leads to.",
    response_class=HTMLResponse,
)
async def error_page(
    request: Request,
    slug: Annotated[str, Path(description="The `code` of a problem.")],
) -> Response:
    error = ERRORS.get(slug)
    if error is None:
        nearest = closest_match(slug, ERRORS, QUOTED_MAX)
        hint = (
            "The slug is the code of a problem."
            if nearest is None
            else f"The nearest is {context_of(request.scope).link_to(f'/errors/{nearest}')}."
        )
        raise NotFound(f"There is no such error. {hint}")
    when, what_to_do = map(escape, error.explanation())
    page = _PAGE.format(
        slug=error.slug,
        title=escape(error.title),
        when=when,
        what_to_do=what_to_do,
        status=error.status,
    )
    return HTMLResponse(page, headers=_CACHED)
