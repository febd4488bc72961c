"""The application: `create_app()` serves both APIs with one set of services."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from app.container import ensure_first_admin, open_container, prepare_store, request_ids
from app.domain.addresses import is_in_any
from app.http import json
from app.http.client_address import peer_address
from app.http.cross_origin import is_preflight
from app.http.metrics import Metrics
from app.http.middleware import ErrorMiddleware, MiddlewareRules, RequestMiddleware
from app.http.request import REFUSED, base_url, context_of
from app.http.response_cache import ResponseCache
from app.http.routing import ALL_METHODS, PathRouter
from app.http.store_metrics import StoreMetrics
from app.logs.setup import LogMetrics
from app.operations.framework.services import Services
from app.rest.router import ROUTES, mount
from app.rest.system import System
from app.rpc.endpoint import PATH, RpcEndpoint
from app.runtime.single_flight import cached_by_threads
from app.server.fast_path import Answer, FastPath
from app.server.outbox_worker import deliver_outbox
from app.settings import Settings, load_settings


class CorsMiddleware(CORSMiddleware):
    """Leaves a preflight that it would refuse to the router, which says what to do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_preflight(scope):
            response = self.preflight_response(Headers(scope=scope))
            answering = self.app if response.status_code >= 400 else response
            await answering(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


class Application(FastAPI):
    """FastAPI's application with our middleware in place of its own.

    Ours handles errors as well, and each additional layer would cost every request time.
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
        self.router.default = self._reject_unknown_path
        self._settings = settings
        self._metrics = Metrics()
        self._path_router = PathRouter(self.router, settings.cors_origins, settings.base_path)
        self._middleware = self._build_middleware()
        self._fast_path: FastPath | None = None
        # Few, since any client can name another host.
        self._openrpc_at = cached_by_threads(self._dump_openrpc, max_count=4)

    def openapi(self) -> dict[str, Any]:
        """Return FastAPI's document with the additions of our contract."""
        # Documents are optional: many processes end without a request for one.
        from app.rest.openapi import openapi_document

        return openapi_document(self._settings.public_url, self._introduce())

    def _openrpc(self, scope: Scope) -> bytes:
        """Return the OpenRPC document, with the URL that its reader can send calls to."""
        return self._openrpc_at(self._settings.public_url or base_url(scope))

    def _dump_openrpc(self, url: str) -> bytes:
        from app.rpc.openrpc import openrpc_document

        return json.dump(openrpc_document(url, self._introduce()))

    def _introduce(self) -> str:
        from app.http.introduction import introduce

        return introduce(
            self._settings.rules,
            has_origins=bool(self._settings.cors_origins),
            base_path=self._settings.base_path,
        )

    def build_middleware_stack(self) -> ASGIApp:
        """Return the middleware that was built at the start."""
        return self._middleware

    def try_fast_path(self, scope: Scope, body: bytes) -> Answer | None:
        """Return a cached response, or None if the request takes the normal path."""
        fast_path = self._fast_path
        return None if fast_path is None else fast_path.try_fast_path(scope, body)

    def is_unlimited_peer(self, client: Sequence[object] | None) -> bool:
        """Return whether the number of connections of this peer is not limited."""
        is_exempt = is_in_any(peer_address(client), self._settings.rate_limit_exempt)
        return is_exempt or self._middleware.is_trusted_proxy(client)

    def _build_middleware(self) -> RequestMiddleware:
        """Build the middleware, from the innermost layer outwards."""
        settings = self._settings
        errors = ErrorMiddleware(self._path_router)
        self._metrics.watch(errors)
        inner: ASGIApp = errors
        if settings.cors_origins:
            inner = CorsMiddleware(
                inner,
                allow_origins=settings.cors_origins,
                allow_methods=sorted(ALL_METHODS),
                # A listed origin is trusted, in a private network, too.
                allow_private_network=True,
                # Tracing adds headers with many names (traceparent, baggage, sentry-trace, b3, …).
                # None of them gives an allowed page more access than any other program has.
                allow_headers=["*"],
                expose_headers=[
                    "ETag",
                    "Location",
                    "Link",
                    "X-Total-Count",
                    "X-Request-ID",
                    "Retry-After",
                    "Idempotent-Replayed",
                    "Cache-Status",
                    "Deprecation",
                    "Sunset",
                ],
            )
        https = (settings.public_url or "").startswith("https:")
        rules = MiddlewareRules(
            settings.trusted_proxies,
            reads_forwarded=settings.proxy_header == "forwarded",
            origins=frozenset(filter(None, (settings.public_origin, *settings.cors_origins))),
            base_path=settings.base_path,
            https=https,
            logs_requests=settings.access_log == "on",
        )
        return RequestMiddleware(
            inner,
            rules=rules,
            new_id=request_ids().__next__,
            metrics=self._metrics.registry,
        )

    async def _reject_unknown_path(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Reject an unknown path, and a request that the connection has rejected."""
        refusal = scope.get(REFUSED)
        if refusal is None:
            raise self._path_router.nothing_at(scope["path"])
        context_of(scope).noted["reason"] = refusal.detail
        raise refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the middleware as Starlette does; FastAPI's own checks for telemetry first."""
        scope["app"] = self
        await self._middleware(scope, receive, send)

    def use_services(self, services: Services) -> None:
        """Serve both APIs with these services."""
        rpc = RpcEndpoint(services, self._openrpc)
        responses = ResponseCache(services.store, services.clock)
        self._fast_path = FastPath(
            self._middleware,
            responses,
            ROUTES,
            rpc,
            has_cors=bool(self._settings.cors_origins),
            base_path=self._settings.base_path,
        )
        parts = [getattr(services, f.name) for f in fields(services)]
        self._metrics.watch(
            *parts, responses, rpc, LogMetrics(), self._middleware.untrusted_proxies
        )
        self.state.services = services
        self.state.system = System(
            self._metrics,
            StoreMetrics(services),
            self._settings.metrics_access,
            openapi=cached_by_threads(lambda: json.dump(self.openapi())),
            openrpc=self._openrpc,
        )
        self._path_router.open([Route(PATH, rpc), *mount()])

    def keep_metrics(self, services: Services) -> AbstractAsyncContextManager[None]:
        """Keep the metrics of this worker up to date while the context is open."""
        return self._metrics.kept(services.background)


def create_app(settings: Settings | None = None, services: Services | None = None) -> FastAPI:
    """Create the ASGI application.

    It uses `services` if given. Otherwise it starts like `gatehouse serve` with `settings`, by
    default those of the environment: it migrates the database, creates the first admin, and opens
    its own services while it runs.
    """
    settings = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        if services is not None:
            async with app.keep_metrics(services), deliver_outbox(services):
                yield
            return
        await asyncio.to_thread(prepare_store, settings)
        async with open_container(settings, signs=True) as container:
            await ensure_first_admin(container, settings, show=False)
            app.use_services(container.services)
            async with app.keep_metrics(container.services), deliver_outbox(container.services):
                yield

    app = Application(settings, lifespan)
    if services is not None:
        app.use_services(services)
    return app
