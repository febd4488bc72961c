"""All path operations, and the dispatch from path and method to one of them.

FastAPI's router lists in `Allow` only the methods of the first route with the path, does not serve
HEAD and OPTIONS, and matches the routes of an included router twice. Here each path is one ASGI
application that knows all its methods.
"""

from collections.abc import Iterable

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.domain.errors import MethodNotAllowed
from app.http.nearest_path import named_elsewhere
from app.http.public_url import without_base_path
from app.http.request import context_of
from app.operations.framework.operation import Group
from app.rest import (
    audit,
    docs,
    forward_auth,
    guilds,
    handbook,
    keys,
    outbox,
    profiles,
    self_service,
    servers,
    sessions,
    system,
    users,
)
from app.rest.operation_route import OperationRoute, StrictRoute
from app.rest.strict_request import ALIAS

_SUBJECTS = (
    self_service,
    profiles,
    users,
    sessions,
    keys,
    servers,
    guilds,
    audit,
    outbox,
    forward_auth,
    system,
    docs,
    handbook,
)
_ROUTES = [route for subject in _SUBJECTS for route in subject.router.routes]
# The path operations that perform an operation of the catalog, and all others.
ROUTES = tuple(route for route in _ROUTES if isinstance(route, OperationRoute))
PAGES = tuple(
    route
    for route in _ROUTES
    if isinstance(route, StrictRoute) and not isinstance(route, OperationRoute)
)


class PathEndpoint:
    """ASGI application for one path, with a path operation for each method."""

    def __init__(self, routes: Iterable[StrictRoute]) -> None:
        self._routes = {route.method: route for route in routes}
        if "GET" in self._routes:
            self._routes.setdefault("HEAD", self._routes["GET"])
        self.methods = frozenset(self._routes)
        # A proxy that forwards the method of the request it holds takes 204 for consent.
        is_for_proxies = any(
            isinstance(route, OperationRoute) and route.operation.group is Group.PROXY
            for route in self._routes.values()
        )
        self.options = frozenset[str]() if is_for_proxies else self.methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["method"])
        if route is None:
            context = context_of(scope)
            path = without_base_path(scope["path"], context.base_path).removeprefix(ALIAS)
            named = named_elsewhere(path)
            nearest = None if named in {None, path} else context.link_to(str(named))
            raise MethodNotAllowed(self.methods, sent=scope["method"], nearest=nearest)
        context_of(scope).route = route.path
        await route.application(scope, receive, send)


def mount() -> list[Route]:
    """Return the routes of the application: at `/…`, and operations also below the alias.

    A path without parameters comes before a pattern that matches it, too.
    """
    by_path: dict[str, list[StrictRoute]] = {}
    for route in (*ROUTES, *PAGES):
        by_path.setdefault(route.path, []).append(route)
    mounted = []
    for path in sorted(
        by_path, key=lambda path: [part.startswith("{") for part in path.split("/")]
    ):
        endpoint = PathEndpoint(by_path[path])
        is_aliased = all(isinstance(route, OperationRoute) for route in by_path[path])
        mounted += [Route(prefix + path, endpoint) for prefix in ["", ALIAS][: 1 + is_aliased]]
    return mounted
