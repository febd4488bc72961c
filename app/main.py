"""The application: `create_app()` puts both doors on one set of services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from app.bootstrap import first_admin, open_house, prepare_store, request_ids
from app.config import Settings, load_settings
from app.deliveries import delivering
from app.domain.errors import NotFound
from app.rest.door import mount
from app.rest.openapi import ROUTES, openapi_document
from app.rest.system import Documents, System
from app.rpc.endpoint import PATH, RpcEndpoint
from app.rpc.openrpc import openrpc_document
from app.usecases.services import Services
from app.wire.crossroads import Crossroads
from app.wire.edge import Edge, EdgeRules, Refusals
from app.wire.http import REFUSED, context_of, header
from app.wire.meters import Meters
from app.wire.ready import Ready


class QuietCors(CORSMiddleware):
    """Says nothing to a preflight that it refuses, where Starlette answers in plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        allowed = super().preflight_response(request_headers)
        refused = Response(status_code=204, headers={"Vary": "Origin"})
        return allowed if allowed.status_code < 400 else refused


class Application(FastAPI):
    """FastAPI's application with our layers around its router in the place of its own.

    Whatever those do, `Edge` and `Refusals` do as well, and a layer costs each request its share.
    """

    def __init__(self, settings: Settings, lifespan: Lifespan["Application"]) -> None:
        super().__init__(
            title="Gatehouse",
            lifespan=lifespan,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.router.default = _nothing_here
        self._settings = settings
        self._meters = Meters()
        self._documents = Documents(
            openapi=partial(openapi_document, settings.public_url),
            openrpc=partial(openrpc_document, settings.public_url),
        )
        self._crossroads = Crossroads(self.router)
        self._edge = self._layers()

    def openapi(self) -> dict[str, Any]:
        """The document that is made from the rows of the door."""
        return self._documents.openapi()

    def build_middleware_stack(self) -> ASGIApp:
        """What every request passes."""
        return self._edge

    def at_once(self, scope: Scope, body: bytes) -> tuple[int, bytes] | None:
        """See `Edge.at_once`; whoever asks from another origin is answered by the layers."""
        if self._settings.cors_origins and header(scope, b"origin") is not None:
            return None
        return self._edge.at_once(scope, body)

    def _layers(self) -> Edge:
        """What every request passes, the innermost first."""
        settings = self._settings
        refusals = Refusals(self._crossroads)
        self._meters.watch(refusals)
        inner: ASGIApp = refusals
        if settings.cors_origins:
            inner = QuietCors(
                inner,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=[
                    "Authorization",
                    "X-Access-Token",
                    "Content-Type",
                    "If-Match",
                    "If-None-Match",
                    "Prefer",
                    "Idempotency-Key",
                ],
                expose_headers=[
                    "ETag",
                    "Location",
                    "Link",
                    "X-Request-ID",
                    "Retry-After",
                    "Idempotent-Replayed",
                    "Cache-Status",
                ],
            )
        https = (settings.public_url or "").startswith("https:")
        rules = EdgeRules(settings.trusted_proxies, https=https)
        return Edge(
            inner,
            rules=rules,
            new_id=request_ids().__next__,
            metrics=self._meters.registry,
            prompt=self._crossroads,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Like Starlette's; FastAPI's own asks the environment of every request."""
        scope["app"] = self
        await self._edge(scope, receive, send)

    def open_doors(self, services: Services) -> None:
        """Answer from these services."""
        ready = Ready(services)
        rpc = RpcEndpoint(ready, self._documents.openrpc)
        self._meters.watch(*(getattr(services, f.name) for f in fields(services)), ready, rpc)
        self._crossroads.open(
            [
                *System(services, self._meters, self._documents).routes(),
                Route(PATH, rpc),
                *mount(services, ready, ROUTES),
            ]
        )

    def kept_meters(self) -> AbstractAsyncContextManager[None]:
        """See `Meters.kept`."""
        return self._meters.kept()


def create_app(settings: Settings | None = None, services: Services | None = None) -> FastAPI:
    """The ASGI application.

    With `services` it stands on those; else it starts as `gatehouse serve` does, from `settings`
    (by default the environment's): it migrates, makes the first admin, and opens its own services
    for as long as it runs.
    """
    settings = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        if services is not None:
            async with app.kept_meters(), delivering(services):
                yield
            return
        await asyncio.to_thread(prepare_store, settings)
        async with open_house(settings) as house:
            await first_admin(house, settings, show=False)
            app.open_doors(house.services)
            async with app.kept_meters(), delivering(house.services):
                yield

    app = Application(settings, lifespan)
    if services is not None:
        app.open_doors(services)
    return app


async def _nothing_here(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Refuse what leads nowhere, and what the transport could not take for a request."""
    refusal = scope.get(REFUSED)
    if refusal is None:
        raise NotFound("There is nothing at this address.")
    context_of(scope).noted["reason"] = refusal.detail
    raise refusal
