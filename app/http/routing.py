"""Routing of paths to endpoints."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.errors import NotFound
from app.http.cross_origin import PreflightRefusals, is_preflight
from app.http.nearest_path import NOTHING_HERE, nothing_at
from app.http.public_url import without_base_path

ALL_METHODS = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
# As a number: `bytes in bytes` raises and catches an exception internally.
_PERCENT = ord("%")


class PathRouter:
    """The ASGI application that finds the endpoint of a path.

    A path without parameters is a dict lookup. Only patterns with as many segments are tried,
    whereas Starlette's router tries every route.
    """

    def __init__(
        self, router: Router, allowed_origins: Sequence[str] = (), base_path: str = ""
    ) -> None:
        self._router = router
        self._base_path = base_path
        self._paths: list[str] = []
        self._preflights = PreflightRefusals(allowed_origins, ALL_METHODS)
        self._straight: dict[str, ASGIApp] = {}
        self._patterns: dict[int, list[Route]] = {}

    def open(self, routes: Sequence[Route]) -> None:
        """Set the routes. Each is also found below the base path, as proxies may send it."""
        self._paths = [route.path for route in routes]
        if base := self._base_path:
            below = [Route(f"{base}{route.path}", route.app) for route in routes]
            front = [Route(base, route.app) for route in routes if route.path == "/"]
            routes = [*routes, *front, *below]
        self._router.routes[:] = routes
        self._straight = {route.path: route.app for route in routes if "{" not in route.path}
        self._patterns = {}
        for route in routes:
            if "{" in route.path:
                self._patterns.setdefault(route.path.count("/"), []).append(route)

    def _options(self, scope: Scope) -> frozenset[str]:
        """Return the methods of the endpoint at this path, if it lists them.

        `*` is the whole server (RFC 9110 section 9.3.7).
        """
        if scope["path"] == "*":
            return ALL_METHODS
        endpoints = (
            r.app for r in self._router.routes if isinstance(r, Route) and _leads(r, scope)
        )
        return getattr(next(endpoints, None), "options", frozenset())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _PERCENT in scope.get("raw_path", b"") and b"%2f" in scope["raw_path"].lower():
            # An encoded slash is not a slash (RFC 3986 section 2.2), but servers decode it, and a
            # proxy that guards a path would not recognize it.
            raise NotFound(f"{NOTHING_HERE} An encoded slash (%2F) does not separate segments.")
        is_http = scope["type"] == "http"
        if is_http and scope["method"] == "OPTIONS":
            # Preflights that are allowed do not get here.
            if is_preflight(scope):
                self._preflights.refuse(scope)
            if methods := self._options(scope):
                allow = ", ".join(sorted({*methods, "OPTIONS"}))
                await Response(status_code=204, headers={"Allow": allow})(scope, receive, send)
                return
        # Mounted below another application, Starlette computes the remaining path.
        is_ours = is_http and not scope.get("root_path")
        endpoint = (self._find(scope) or self._router.default) if is_ours else self._router
        await endpoint(scope, receive, send)

    def nothing_at(self, path: str) -> NotFound:
        """Return the error for a path that no route has."""
        base = self._base_path
        return nothing_at(without_base_path(path, base), self._paths, base)

    def _find(self, scope: Scope) -> ASGIApp | None:
        """Return the endpoint of a path, and set its parameters."""
        path: str = scope["path"]
        if (endpoint := self._straight.get(path)) is not None:
            scope["path_params"] = {}
            return endpoint
        for route in self._patterns.get(path.count("/"), ()):
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope["path_params"] = found["path_params"]
                return route.app
        return None


def _leads(route: Route, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL
