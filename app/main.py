"""The application: `create_app()` puts both doors on one set of services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.bootstrap import first_admin, open_house, prepare_store, request_id
from app.config import Settings, load_settings
from app.domain.errors import NotFound
from app.rest.door import mount
from app.rest.openapi import ROUTES, openapi_document
from app.rest.system import Documents, System
from app.rpc.endpoint import PATH, RpcEndpoint
from app.rpc.openrpc import openrpc_document
from app.usecases.services import Services
from app.wire.edge import Edge, EdgeRules, Refusals


class QuietCors(CORSMiddleware):
    """Says nothing to a preflight that it refuses, where Starlette answers in plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        allowed = super().preflight_response(request_headers)
        refused = Response(status_code=204, headers={"Vary": "Origin"})
        return allowed if allowed.status_code < 400 else refused


def create_app(settings: Settings | None = None, services: Services | None = None) -> FastAPI:
    """The ASGI application.

    With `services` it stands on those; else it starts as `gatehouse serve` does, from `settings`
    (by default the environment's): it migrates, makes the first admin, and opens its own services
    for as long as it runs.
    """
    settings = settings or load_settings()
    documents = Documents(
        openapi=openapi_document(settings.public_url), openrpc=openrpc_document(settings.public_url)
    )
    metrics = CollectorRegistry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if services is not None:
            yield
            return
        prepare_store(settings)
        async with open_house(settings) as house:
            await first_admin(house, settings, show=False)
            _open_doors(app, house.services, metrics, documents)
            yield

    app = FastAPI(
        title="Gatehouse",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.openapi = lambda: documents.openapi  # type: ignore[method-assign]
    app.router.default = _not_found
    _add_edges(app, settings, metrics)
    if services is not None:
        _open_doors(app, services, metrics, documents)
    return app


def _add_edges(app: FastAPI, settings: Settings, metrics: CollectorRegistry) -> None:
    """What every request passes; the last added is the outermost."""
    app.add_middleware(Refusals)
    if settings.cors_origins:
        app.add_middleware(
            QuietCors,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "X-Access-Token",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Prefer",
            ],
            expose_headers=["ETag", "Location", "Link", "X-Request-ID", "Retry-After"],
        )
    https = (settings.public_url or "").startswith("https:")
    app.add_middleware(
        Edge,
        rules=EdgeRules(settings.trusted_proxies, https=https),
        new_id=request_id,
        metrics=metrics,
    )


def _open_doors(
    app: FastAPI, services: Services, metrics: CollectorRegistry, documents: Documents
) -> None:
    app.router.routes[:] = [
        *System(services, metrics, documents).routes(),
        Route(PATH, RpcEndpoint(services, documents.openrpc)),
        *mount(services, ROUTES),
    ]


async def _not_found(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise NotFound("There is nothing at this address.")
