"""Route classes of the path operations.

`StrictRoute` refuses query parameters that its path operation does not take. `OperationRoute` is
named after an operation of the catalog; a parameter `command` of its endpoint is an input
dataclass, whose members FastAPI reads from path, headers, and body or query.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, wraps
from http import HTTPStatus
from inspect import Parameter, signature
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute, request_response
from pydantic import BaseModel, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.audit import Door
from app.domain.errors import (
    FIELD_ERRORS_MAX,
    DomainError,
    FieldError,
    InvalidInput,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from app.domain.preconditions import ETAGS_MAX
from app.http.params import (
    InputParam,
    field_error_of,
    input_schema,
)
from app.http.request import caller_of, refuse_query
from app.operations.catalog import REST_OPERATIONS
from app.operations.framework.operation import Operation
from app.rest.plain_endpoints import call_plain, is_plain
from app.rest.strict_request import StrictRequest, joined, query_names
from app.startup import hidden

Endpoint = Callable[..., Awaitable[Any]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
# For a header that may be sent in several lines and is documented as one string.
AS_TEXT = WithJsonSchema({"type": "string", "maxLength": ETAGS_MAX})
# Input members that are sent in a header.
_MEMBER_HEADERS = {"if_match": IF_MATCH}
# The names that the domain has for conditional headers.
_CONDITIONS = {"if_match": IF_MATCH, "if_none_match": IF_NONE_MATCH}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_BUILDING = Lock()


class StrictRoute(BaseRoute):
    """A path operation without query and body.

    FastAPI builds it at its first request, in less than a millisecond. Building all of them at the
    start takes 30 ms.
    """

    def __init__(
        self, path: str, endpoint: Endpoint, *, methods: Collection[str], **options: Any
    ) -> None:
        self.path = path
        # The one method of the route.
        (self.method,) = methods
        self.include_in_schema = options["include_in_schema"]
        self._endpoint = endpoint
        self._options = {**options, "methods": methods}

    @cached_property
    def built(self) -> APIRoute:
        """The route as built by FastAPI.

        Endpoints return responses, so it needs the models of responses for the document only.
        """
        return self._build(response_model=None)

    def documented(self) -> APIRoute:
        """Return the route with its response model, for the OpenAPI document."""
        return self._build()

    def _build(self, **options: Any) -> APIRoute:
        # FastAPI looks for models of pydantic's first version, and would load that. The lock keeps
        # it hidden while the event loop and the thread of the OpenAPI document build routes.
        with _BUILDING, hidden("pydantic.v1"):
            return APIRoute(self.path, **{"endpoint": self._endpoint, **self._options, **options})

    @cached_property
    def application(self) -> ASGIApp:
        """The ASGI application that checks a request and calls the endpoint."""
        if self._is_plain:
            return self._respond_plainly
        return AsyncExitStackMiddleware(request_response(self._respond_by_fastapi))

    @cached_property
    def _is_plain(self) -> bool:
        return is_plain(self.built.dependant)

    @cached_property
    def _handler(self) -> Handler:
        return self.built.get_route_handler()

    async def _respond_plainly(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.respond(StrictRequest(scope, receive, self))
        await response(scope, receive, send)

    async def _respond_by_fastapi(self, request: Request) -> Response:
        return await self.respond(StrictRequest(request.scope, request.receive, self))

    async def respond(self, request: StrictRequest) -> Response:
        """Check the request, and call the endpoint."""
        await self.read(request)
        return await self.call_endpoint(request)

    async def call_endpoint(self, request: StrictRequest) -> Response:
        """Return the response of the endpoint, which FastAPI calls unless it is plain."""
        if not self._is_plain:
            return await self._handler(request)
        response: Response | None = await call_plain(self.built.dependant, request)
        return response or Response(status_code=self.built.status_code or HTTPStatus.OK)

    async def read(self, request: StrictRequest) -> None:
        """Refuse parameters that the endpoint does not take. Raises InvalidInput."""
        refuse_query(request.query_params)


class OperationRoute(StrictRoute):
    """A path operation that performs the operation of the catalog it is named after.

    An endpoint without `command` takes no query and no body. One that takes a `StrictRequest` reads
    both itself.
    """

    def __init__(self, path: str, endpoint: Endpoint, *, name: str, **options: Any) -> None:
        super().__init__(path, endpoint, name=name, **options)
        self.operation: Operation = REST_OPERATIONS[name]
        self.path_names = [part[1:-1] for part in path.split("/") if part.startswith("{")]

    @property
    def params(self) -> dict[str, InputParam]:
        """The members of the operation's input."""
        return input_schema(self.operation.input).params

    @cached_property
    def reads_itself(self) -> bool:
        """True if the endpoint reads query and body itself."""
        return StrictRequest in self._annotations.values()

    @cached_property
    def member_headers(self) -> dict[str, str]:
        """The headers of input members that are sent in one."""
        return {name: _MEMBER_HEADERS[name] for name in self._read if name in _MEMBER_HEADERS}

    @cached_property
    def left_out(self) -> frozenset[str]:
        """Members of the operation's input that this route does not take."""
        return frozenset(self.params) - {*self._read, *self.path_names}

    @cached_property
    def elsewhere(self) -> set[str]:
        """Members of the operation's input that are neither in the query nor in the body."""
        return {*self.path_names, *self.member_headers, *self.left_out}

    @cached_property
    def has_body(self) -> bool:
        """True if members are sent in the body."""
        return bool(self._others) and self.method in _WITH_BODY

    @cached_property
    def has_query(self) -> bool:
        """True if members are sent in the query."""
        return bool(self._others) and not self.has_body

    @cached_property
    def header_names(self) -> set[str]:
        """The headers that the endpoint and its dependencies take."""
        dependant = self.built.dependant
        taking = (dependant, *dependant.dependencies)
        return {field.alias for one in taking for field in one.header_params}

    @cached_property
    def query_names(self) -> dict[str, str]:
        """The names of query parameters by the member that they become."""
        return {field.name: field.alias for field in self.built.dependant.query_params}

    @cached_property
    def _annotations(self) -> dict[str, Any]:
        return {p.name: p.annotation for p in signature(self._endpoint).parameters.values()}

    @cached_property
    def _read(self) -> dict[str, InputParam]:
        """The members that this route takes from path, headers, query and body."""
        if "command" in self._annotations:
            return input_schema(self._annotations["command"]).params
        return self.params if self.reads_itself else {}

    @property
    def _others(self) -> list[str]:
        return [name for name in self._read if name not in self.elsewhere]

    def _build(self, **options: Any) -> APIRoute:
        operation, given = self.operation, self._options
        options["operation_id"] = given.get("operation_id") or operation.name.replace(".", "_")
        options["summary"] = given.get("summary") or operation.summary
        options["description"] = given.get("description") or operation.description
        options["tags"] = [operation.group]
        if operation.deprecation is not None:
            options["deprecated"] = True
        if given.get("status_code") == HTTPStatus.NO_CONTENT:
            options["response_class"] = Response
        if "command" in self._annotations:
            options["endpoint"] = self._reading_input(self._annotations["command"])
        return super()._build(**options)

    async def respond(self, request: StrictRequest) -> Response:
        request.operation = self.operation
        refusal: DomainError
        try:
            await self.read(request)
            return await self.call_endpoint(request)
        except RequestValidationError as error:
            refusal = InvalidInput.for_fields(
                *self._field_errors(error.errors()[:FIELD_ERRORS_MAX])
            )
        except (InvalidInput, PayloadTooLarge, UnsupportedMediaType) as error:
            refusal = error
        if not request.is_performed:
            caller = caller_of(request.scope, Door.REST)
            await request.operation.authentication.perform(request.app.state.services, caller, None)
        raise refusal

    async def read(self, request: StrictRequest) -> None:
        """Refuse bodies and parameters that FastAPI would ignore. Raises InvalidInput."""
        if self.reads_itself:
            return
        if self.has_body:
            refuse_query(request.query_params, has_body=True)
            self._require_known(await request.json(), "body")
            return
        if self.method != "GET":
            await request.refuse_body()
        self._require_known(query_names(request.query_params), "query")
        if not self.has_query:
            refuse_query(request.query_params)

    def located(self, error: FieldError) -> FieldError:
        """Return the error with the location of its member, which the domain does not know."""
        header = _CONDITIONS.get(error.name, error.name)
        if header in self.header_names:
            return replace(error, name=header, location="header")
        if error.name in self.path_names:
            return replace(error, location="path")
        if self.has_body:
            return replace(error, location="body")
        return replace(error, name=self.query_names.get(error.name, error.name), location="query")

    def _field_errors(self, errors: Iterable[Mapping[str, Any]]) -> Iterator[FieldError]:
        """Convert errors of FastAPI, whose locations begin with the place."""
        known = {n: it for n, it in self._read.items() if n not in self.elsewhere}
        for error in errors:
            place, *loc = error["loc"]
            yield field_error_of(error, loc, place, known)

    def _require_known(self, names: Collection[str], place: str) -> None:
        for name in names:
            if name in self.elsewhere:
                raise InvalidInput.for_fields(self._elsewhere(name, place))
        schema = input_schema(self.operation.input)
        schema.refuse_far_too_many([*names, *self.path_names], place)

    def _elsewhere(self, name: str, place: str) -> FieldError:
        """Return the error for a member of the operation that is not sent in this place."""
        if name in self.path_names:
            return FieldError(name, "is taken from the path; leave it out here", place)
        if name in self.member_headers:
            reason = f"is sent in the header {self.member_headers[name]}; leave it out here"
            return FieldError(name, reason, place)
        return FieldError.unknown(name, self._others, place)

    def _reading_input(self, command: type) -> Endpoint:
        """Return the endpoint with the members of its `command` as separate parameters."""
        endpoint, others, form = self._endpoint, self._others, input_schema(command)
        fields = [_parameter(n, Annotated[form.params[n].text, Path()]) for n in self.path_names]
        for name, header in self.member_headers.items():
            doc = form.params[name].doc
            sent_as = Header(alias=header, description=doc.description)
            lines = Annotated[tuple[str, ...], sent_as, AS_TEXT]
            fields.append(_parameter(name, lines, default=()))
        if others:
            read_as: Any = form.members if self.has_body else form.query
            kind = Body() if self.has_body else Query()
            fields.append(_parameter("members", Annotated[read_as(others), kind]))

        @wraps(endpoint)
        async def read_and_run(**values: Any) -> Any:
            members = self._pop_members(values)
            return await endpoint(command=command(**members), **values)

        own = signature(endpoint)
        kept = [p for p in own.parameters.values() if p.name != "command"]
        keywords = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in kept]
        read_and_run.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*keywords, *fields]
        )
        return read_and_run

    def _pop_members(self, values: dict[str, Any]) -> dict[str, Any]:
        """Remove the input's members from the values that FastAPI read, and return them."""
        members = values.pop("members", {})
        if isinstance(members, BaseModel):
            members = {name: getattr(members, name) for name in members.model_fields_set}
        in_path = {name: values.pop(name) for name in self.path_names}
        in_headers = {name: joined(values.pop(name)) for name in self.member_headers}
        sent = {name: text for name, text in in_headers.items() if text is not None}
        return {**members, **in_path, **sent}


def _parameter(name: str, annotation: Any, *, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def make_router(route_class: type[StrictRoute], **options: Any) -> APIRouter:
    """Return a router for path operations of this class."""
    # FastAPI declares the class more strictly than it uses it: the router only keeps its instances.
    return APIRouter(route_class=route_class, **options)  # type: ignore[arg-type]
