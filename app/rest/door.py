"""Routes as data, and what an endpoint gets to work with."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from app.domain import audit
from app.domain.errors import Flaw, InvalidInput
from app.rest.idempotency import idempotency_key
from app.usecases.call import Caller
from app.usecases.idempotency import HEADER
from app.usecases.operation import Operation
from app.usecases.registry import REST_OPERATIONS
from app.usecases.services import Services
from app.wire import json
from app.wire.http import (
    JSON,
    Context,
    Head,
    caller_of,
    context_of,
    method_not_allowed,
    read_body,
    refuse_query,
    require_media_type,
    send_ready,
)
from app.wire.inputs import InputForm, MalformedInputError, input_form, json_of, view_of
from app.wire.ready import Ready
from app.wire.schemas import Schemas

T = TypeVar("T", bound=bytes)

ALIAS = "/api"


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful answer of a route, for the documents: what it says and its body's type."""

    description: str
    body: Any = None
    example: Any = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One row: a method and path, the operation behind it, and how its input travels."""

    method: str
    path: str
    operation: Operation
    also: Operation | None
    endpoint: "Endpoint"
    answers: Mapping[int, Answer]
    id: str
    headers: Mapping[str, str]
    heeds: Mapping[str, str]
    body: "Body | None"
    left_out: frozenset[str]
    shows_as_is: bool
    no_default: frozenset[str]
    once: bool

    @cached_property
    def path_names(self) -> list[str]:
        """The members that travel in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @cached_property
    def elsewhere(self) -> set[str]:
        """The members that travel neither in the body nor in the query."""
        return {*self.path_names, *self.headers.values(), *self.left_out}

    @cached_property
    def form(self) -> InputForm:
        """How the operation's input is read."""
        return input_form(self.operation.input)

    @cached_property
    def takes_body(self) -> bool:
        """Whether the input's other members travel in a JSON body; else in the query."""
        others = set(self.form.names) - self.elsewhere
        return self.method in {"POST", "PUT", "PATCH"} and bool(others)


class Ask:
    """One request at a route: what was sent, and the way to the operation."""

    def __init__(
        self, services: Services, ready: Ready, route: Route, scope: Scope, receive: Receive
    ) -> None:
        self.services = services
        self.route = route
        self.path: dict[str, str] = scope["path_params"]
        self.prefix = ALIAS if scope["path"].startswith(f"{ALIAS}/") else ""
        self.scope = scope
        self._ready = ready
        self._receive = receive

    @cached_property
    def headers(self) -> Headers:
        """The request's headers."""
        return Headers(scope=self.scope)

    @cached_property
    def query(self) -> QueryParams:
        """The query, parsed."""
        return QueryParams(self.scope["query_string"])

    async def do(self) -> Any:
        """Do the route's operation with what was sent."""
        return await self.perform(await self.command())

    async def json(self) -> bytes:
        """Do it and give what the answer shows as JSON."""
        return await self._say(json_of)

    async def head(self, head_of: Callable[[Any], Head]) -> Head:
        """Do it and give what the answer shows as headers."""
        return await self._say(lambda result: head_of(view_of(result)))

    async def _say(self, said_of: Callable[[Any], T]) -> T:
        return await self._perform(await self.command(), said_of, self.scope["query_string"])

    async def say(self, said_of: Callable[[Any], bytes]) -> bytes:
        """Do the operation, whose input travels in the query, and give what is said of its result.

        That of a moment ago is as good, as long as it holds.
        """
        query = f"{self.prefix}?".encode() + self.scope["query_string"]
        context = context_of(self.scope)
        found = self._ready.find(self.route.operation, context.credential, context.address, query)
        return found or await self._perform(self.read_query(), said_of, query)

    async def _perform(self, command: Any, said_of: Callable[[Any], T], query: bytes) -> T:
        with self._placing_flaws():
            return await self._ready.say(
                self.route.operation, self._caller(), command, said_of, query
            )

    async def view(self) -> Any:
        """Do it and give what the answer shows."""
        return view_of(await self.do())

    async def perform(self, command: Any, operation: Operation | None = None) -> Any:
        """Do the route's operation, or another, with an input of its own."""
        operation = operation or self.route.operation
        with self._placing_flaws():
            return await operation.perform(self.services, self._caller(), command)

    async def pieces(self, command: Any) -> AsyncIterator[Any]:
        """The route's operation piece by piece, where it has such a form."""
        with self._placing_flaws():
            async for piece in self.route.operation.stream(self.services, self._caller(), command):
                yield piece

    def _caller(self) -> Caller:
        caller = caller_of(self.scope, audit.Door.REST)
        if self.route.once:
            key = idempotency_key(self.headers.getlist(HEADER))
            return replace(caller, idempotency_key=key)
        return caller

    @contextmanager
    def _placing_flaws(self) -> Iterator[None]:
        """The domain names a member; here it travelled in the path, a header, query or body."""
        try:
            yield
        except InvalidInput as error:
            flaws = [replace(flaw, place=self._place(flaw.name)) for flaw in error.flaws]
            raise InvalidInput(error.detail, flaws) from None

    def _place(self, name: str) -> str:
        if name in self.route.path_names:
            return "path"
        if name == HEADER or name in self.route.headers.values():
            return "header"
        return "body" if self.route.takes_body or self.route.body is not None else "query"

    async def command(self) -> Any:
        """The operation's input from path, headers, and body or query. Raises InvalidInput."""
        if self.route.takes_body:
            self.refuse_query()
            return self.read(await self.json_object())
        await self._refuse_body()
        return self.read_query()

    async def _refuse_body(self) -> None:
        if self.route.method != "GET" and (await self.body()).strip() not in {b"", b"{}"}:
            raise InvalidInput("This route takes no body.")

    def read(self, members: Mapping[str, Any], required: Iterable[str] = ()) -> Any:
        """The input from JSON values and what travels elsewhere; `required` only here."""
        missing = [Flaw(name, "is required") for name in required if name not in members]
        if missing:
            raise InvalidInput.of(*missing)
        return self._form(lambda: self.route.form.read({**members, **self._elsewhere(members)}))

    def read_query(self) -> Any:
        """The input from the query and what travels elsewhere."""
        members: dict[str, str] = {}
        for name, value in self.query.multi_items():
            if name in members:
                raise InvalidInput.of(Flaw(name, "is given twice", "query"))
            members[name] = value
        elsewhere = self._elsewhere(members, "query")
        return self._form(lambda: self.route.form.read_text({**members, **elsewhere}))

    def refuse_query(self) -> None:
        """Raise InvalidInput for any query parameter."""
        refuse_query(self.query)

    async def body(self) -> bytes:
        """The body as it was sent. Raises PayloadTooLarge."""
        return await read_body(self.scope, self._receive)

    async def json_body(self) -> bytes:
        """The body, said to be JSON. Raises UnsupportedMediaType, PayloadTooLarge."""
        require_media_type(self.scope, JSON)
        return await self.body()

    async def json_object(self) -> dict[str, Any]:
        """The body's JSON object. Raises as `json_body` does, and InvalidInput."""
        value = parse_json(await self.json_body())
        if type(value) is not dict:
            raise InvalidInput("The body is not a JSON object.")
        return value

    def _elsewhere(self, sent: Iterable[str], place: str = "body") -> dict[str, str]:
        for name in sent:
            if name in self.route.elsewhere:
                raise InvalidInput.of(Flaw(name, "is not known here", place))
        headers = self.route.headers.items()
        # One header on several lines is one list (RFC 9110 section 5.3).
        sent_headers = {
            member: ", ".join(self.headers.getlist(name))
            for name, member in headers
            if name in self.headers
        }
        return {**{name: self.path[name] for name in self.route.path_names}, **sent_headers}

    def _form(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except MalformedInputError as error:
            raise InvalidInput.of(*error.flaws) from None


Endpoint = Callable[[Ask], Awaitable[Response]]
Body = Callable[[Schemas], dict[str, Any]]


def parse_json(body: bytes) -> Any:
    """The value of a JSON body. Raises InvalidInput."""
    try:
        return json.parse(body)
    except ValueError:
        raise InvalidInput("The body is not JSON.") from None


class Door:
    """Collects routes."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def route(
        self,
        method: str,
        path: str,
        operation: str,
        answers: Mapping[int, Answer],
        *,
        id: str | None = None,
        also: str | None = None,
        headers: Mapping[str, str] | None = None,
        heeds: Mapping[str, str] | None = None,
        body: "Body | None" = None,
        left_out: Iterable[str] = (),
        shows_as_is: bool = False,
        no_default: Iterable[str] = (),
        once: bool = False,
    ) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint.

        `also` names an operation that shares the path and method, told apart by the endpoint;
        `headers` maps request headers to members; `heeds` and `body` document headers and a body
        that the endpoint reads by itself; `left_out` names members that the route does not take,
        `no_default` those whose absence says more here than their default would;
        `shows_as_is`: the answer is 200 with the operation's view and nothing else, or 204 with
        what `Ask.head` makes of it; `once`: it heeds an Idempotency-Key, and the operation's
        result is a `Created`.
        """

        def register(endpoint: Endpoint) -> Endpoint:
            self.routes.append(
                Route(
                    method=method,
                    path=path,
                    operation=REST_OPERATIONS[operation],
                    also=None if also is None else REST_OPERATIONS[also],
                    endpoint=endpoint,
                    answers=answers,
                    id=id or operation.replace(".", "_"),
                    headers=headers or {},
                    heeds=heeds or {},
                    body=body,
                    left_out=frozenset(left_out),
                    shows_as_is=shows_as_is,
                    no_default=frozenset(no_default),
                    once=once,
                )
            )
            return endpoint

        return register


class PathEndpoint:
    """An ASGI application for one path: the right route for each method."""

    def __init__(self, services: Services, ready: Ready, routes: Iterable[Route]) -> None:
        self._services = services
        self._ready = ready
        self._routes = {route.method: route for route in routes}
        if "GET" in self._routes:
            self._routes.setdefault("HEAD", self._routes["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["method"])
        if route is None:
            raise method_not_allowed(set(self._routes))
        context = context_of(scope)
        context.route = route.path
        if (said := self._found(route, scope, context)) is not None:
            await send_ready(send, said)
            return
        response = await route.endpoint(Ask(self._services, self._ready, route, scope, receive))
        await response(scope, receive, send)

    def at_once(self, scope: Scope, context: Context, _body: bytes, /) -> bytes | None:
        """A ready answer to GET."""
        route = self._routes.get("GET")
        if route is None or scope["method"] != "GET":
            return None
        context.route = route.path
        return self._found(route, scope, context)

    def _found(self, route: Route, scope: Scope, context: Context) -> bytes | None:
        query = scope["query_string"]
        if not route.shows_as_is or (query and not route.form.names):
            return None
        return self._ready.find(route.operation, context.credential, context.address, query)


def mount(services: Services, ready: Ready, routes: Iterable[Route]) -> list[StarletteRoute]:
    """The routes as the application takes them, at `/…` and under the alias.

    A path without parameters comes before one that would swallow it.
    """
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)
    mounted = []
    for path in sorted(
        by_path, key=lambda path: [part.startswith("{") for part in path.split("/")]
    ):
        endpoint = PathEndpoint(services, ready, by_path[path])
        mounted += [StarletteRoute(prefix + path, endpoint) for prefix in ("", ALIAS)]
    return mounted
