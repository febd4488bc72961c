"""The fast path: a cached response is sent where its request is read.

It needs no task, no turn of the event loop and no ASGI messages. It is the only shortcut. A request
that it does not answer takes the normal path, with what was found out about it in its context.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Protocol, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.domain.errors import InvalidInput
from app.http import json
from app.http.credentials import header_credential
from app.http.middleware import RequestMiddleware
from app.http.request import Context, header, is_coded, media_type
from app.http.response_cache import CachedResponse, CacheKey, CacheMiss, ResponseCache
from app.rest.operation_route import OperationRoute
from app.rest.strict_request import ALIAS
from app.rpc.endpoint import CONTENT_TYPES, PATH, RpcEndpoint
from app.rpc.envelope import Request, RpcError, read_request, result_of, success
from app.rpc.methods import METHODS
from app.server.connection import Connection
from app.server.exchange import Exchange

# A longer query is written in an unusual way, of which there are too many to cache each.
QUERY_MAX = 24
_METHODS = frozenset(name for name, method in METHODS.items() if method.operation.cacheable)
_METHOD_BYTES = [name.encode() for name in _METHODS]
# As a number: to look for bytes in bytes raises and handles an exception first.
_PERCENT = ord("%")

# The status, and everything that follows the server's own headers.
Answer = tuple[int, bytes]


class FastPath:
    """Answers requests from the response cache."""

    def __init__(
        self,
        middleware: RequestMiddleware,
        cache: ResponseCache,
        routes: Iterable[OperationRoute],
        rpc: RpcEndpoint,
        *,
        has_cors: bool,
        base_path: str = "",
    ) -> None:
        self._middleware = middleware
        self._cache = cache
        self._rpc = rpc
        self._has_cors = has_cors
        self._rpc_paths = frozenset({PATH, base_path + PATH})
        self._routes: Mapping[str, OperationRoute] = {
            prefix + route.path: route
            for route in routes
            for prefix in ("", ALIAS, base_path, base_path + ALIAS)
            if route.method == "GET" and route.operation.cacheable and not route.path_names
        }

    def try_fast_path(self, scope: Scope, body: bytes) -> Answer | None:
        """Return the cached response, or None and leave in the scope where it is to be kept."""
        started = perf_counter()
        # Responses to other origins differ by the origin.
        if self._has_cors and header(scope, b"origin") is not None:
            return None
        method, path = scope["method"], scope["path"]
        is_rpc = method == "POST" and path in self._rpc_paths and _names_cacheable(body)
        if not is_rpc and (method != "GET" or path not in self._routes):
            return None
        if _PERCENT in scope["raw_path"] or not self._cache.is_usable():
            return None
        if is_rpc:
            return self._try_rpc(scope, body, started)
        return self._try_rest(scope, started)

    def _try_rest(self, scope: Scope, started: float) -> Answer | None:
        route, query = self._routes[scope["path"]], scope["query_string"]
        if len(query) > QUERY_MAX or (query and not route.has_query):
            return None
        context = self._begin(scope)
        if context is None or context.credential is None:
            return None
        context.route = route.path
        key = CacheKey(scope["path"], context.credential, context.address, query)
        found = self._cache.find(key)
        if isinstance(found, CacheMiss):
            context.recorder = found
            return None
        return self._finish(scope, context, found, found.body, started)

    def _try_rpc(self, scope: Scope, body: bytes, started: float) -> Answer | None:
        is_json = media_type(scope) in CONTENT_TYPES and not is_coded(scope)
        if scope["query_string"] or not is_json:
            return None
        context = self._begin(scope)
        request = None if context is None else _single_call(context, body)
        if context is None or request is None:
            return None
        credential = context.credential if request.auth is None else request.auth
        if credential is None:
            return None
        found = self._cache.find(CacheKey(request.method, credential, context.address))
        if isinstance(found, CacheMiss):
            found.body_of = partial(result_of, request.id)
            context.recorder = found
            return None
        self._rpc.note_cached(context, request.method)
        return self._finish(scope, context, found, success(request.id, found.body), started)

    def _begin(self, scope: Scope) -> Context | None:
        """Return the context of the request, or None for one that the normal path refuses."""
        context = scope["gatehouse"] = self._middleware.context_for(scope)
        try:
            context.credential = header_credential(scope)
        except InvalidInput:
            return None
        return context

    def _finish(
        self, scope: Scope, context: Context, found: CachedResponse, body: bytes, started: float
    ) -> Answer:
        context.status, context.account = found.status, found.account
        self._middleware.finish(scope, context, perf_counter() - started)
        length = b"" if found.status == 204 else b"content-length: %d\r\n" % len(body)
        rest = found.before, length, found.after, context.request_id.encode(), body
        return found.status, b"%b%b%bx-request-id: %b\r\n\r\n%b" % rest


def _names_cacheable(body: bytes) -> bool:
    """Return whether the name of a method with cacheable responses occurs in the body."""
    # A generator in `any` takes three times as long.
    for name in _METHOD_BYTES:  # noqa: SIM110
        if body.find(name) >= 0:
            return True
    return False


def _single_call(context: Context, body: bytes) -> Request | None:
    """Return a call without parameters whose response may be cached."""
    try:
        context.parsed = json.parse(body)
        request = read_request(context.parsed)
    except (ValueError, RpcError):
        return None
    is_cacheable = request.method in _METHODS and not request.params
    return request if is_cacheable and not request.is_notification else None


class FastPathApplication(Protocol):
    """An application with a fast path."""

    def try_fast_path(self, scope: Scope, body: bytes) -> Answer | None:
        """Return the response, or None if the request takes the normal path."""


class FastPathConnection(Connection):
    """A connection whose complete requests try the fast path."""

    # The server's own headers, which change once a second, and their bytes.
    _fields: list[tuple[bytes, bytes]] | None = None
    _written = b""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._try = cast("FastPathApplication", self.config.loaded_app).try_fast_path

    def _try_fast_path(self, exchange: Exchange) -> bool:
        if exchange.more_body or not exchange.keep_alive or self.flow.write_paused:
            return False
        if self.transport.is_closing():
            return False
        answer = self._try(cast("Scope", exchange.scope), bytes(exchange.body))
        if answer is None:
            return False
        exchange.response_started = exchange.response_complete = True
        if self._fields is not exchange.default_headers:
            self._fields = exchange.default_headers
            self._written = b"".join([b"%b: %b\r\n" % field for field in self._fields])
        status, rest = answer
        self.transport.write(b"".join((STATUS_LINE[status], self._written, rest)))
        return True
