"""Which endpoint a path leads to."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.errors import NotFound
from app.wire.http import Context

# As a number: to look for bytes in bytes makes and drops an exception first.
_PERCENT = ord("%")


@runtime_checkable
class Prompt(Protocol):
    """An endpoint that may have its answer ready."""

    def at_once(self, scope: Scope, context: Context, body: bytes, /) -> bytes | None:
        """What it would answer without waiting for anything: with 200 in JSON, or with 204.

        None: ask it.
        """


class Crossroads:
    """ASGI application: a path without parameters leads straight to its endpoint.

    The others are left to Starlette's router, which tries one route after the other.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._straight: dict[str, ASGIApp] = {}
        self._prompt: dict[str, Prompt] = {}

    def open(self, routes: Sequence[Route]) -> None:
        """Lead to these from now on."""
        self._router.routes[:] = routes
        self._straight = {route.path: route.app for route in routes if "{" not in route.path}
        straight: list[tuple[str, object]] = list(self._straight.items())
        self._prompt = {path: app for path, app in straight if isinstance(app, Prompt)}

    def at_once(self, scope: Scope, context: Context, body: bytes) -> bytes | None:
        """What the endpoint at this path says at once, if it does."""
        endpoint = (
            None if _PERCENT in scope.get("raw_path", b"") else self._prompt.get(scope["path"])
        )
        return None if endpoint is None else endpoint.at_once(scope, context, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _PERCENT in scope.get("raw_path", b"") and b"%2f" in scope["raw_path"].lower():
            # A slash in disguise is no slash (RFC 3986 section 2.2); servers undo it all the same,
            # and a proxy that guards an address would not know it again.
            raise NotFound("There is nothing at this address.")
        endpoint = None
        # Below another application's path, Starlette knows what is left of it.
        if scope["type"] == "http" and not scope.get("root_path"):
            endpoint = self._straight.get(scope["path"])
        if endpoint is None:
            await self._router(scope, receive, send)
            return
        scope["path_params"] = {}
        await endpoint(scope, receive, send)
