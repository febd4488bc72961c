"""Which endpoint a path leads to."""

from collections.abc import Sequence

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class Crossroads:
    """ASGI application: a path without parameters leads straight to its endpoint.

    The others are left to Starlette's router, which tries one route after the other.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._straight: dict[str, ASGIApp] = {}

    def open(self, routes: Sequence[Route]) -> None:
        """Lead to these from now on."""
        self._router.routes[:] = routes
        self._straight = {route.path: route.app for route in routes if "{" not in route.path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        # Below another application's path, Starlette knows what is left of it.
        if scope["type"] == "http" and not scope.get("root_path"):
            endpoint = self._straight.get(scope["path"])
        if endpoint is None:
            await self._router(scope, receive, send)
            return
        scope["path_params"] = {}
        await endpoint(scope, receive, send)
