"""Route classes of the path operations.

`StrictRoute` refuses query parameters that its path operation does not take. `OperationRoute` is
named after an operation of the catalog; a parameter `command` of its endpoint is an input
dataclass, whose members FastAPI reads from path, headers, and body or query.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import replace
from functools import partial, wraps
from http import HTTPStatus
from inspect import Parameter, signature
from typing import Annotated, Any

from fastapi import Body, Header, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from pydantic import BaseModel, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.audit import Door
from app.domain.errors import (
    DomainError,
    FieldError,
    InvalidInput,
    PayloadTooLarge,
    UnsupportedMediaType,
)
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
AS_TEXT = WithJsonSchema({"type": "string"})
# Input members that are sent in a header.
_MEMBER_HEADERS = {"if_match": IF_MATCH}
# The names that the domain has for conditional headers.
_CONDITIONS = {"if_match": IF_MATCH, "if_none_match": IF_NONE_MATCH}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class StrictRoute(APIRoute):
    """A path operation without query and body."""

    def __init__(
        self, path: str, endpoint: Endpoint, *, response_model: Any = None, **options: Any
    ) -> None:
        # Endpoints return responses, so FastAPI needs the models for the document only. Building
        # them takes time and memory at each start.
        self._documented = partial(
            APIRoute, path, endpoint, response_model=response_model, **options
        )
        # FastAPI looks for models of pydantic's first version, and would load that.
        with hidden("pydantic.v1"):
            super().__init__(path, endpoint, response_model=None, **options)
        self._is_plain = is_plain(self.dependant)

    def documented(self) -> APIRoute:
        """Return the route with its response model, for the OpenAPI document."""
        with hidden("pydantic.v1"):
            return self._documented()

    def get_route_handler(self) -> Handler:
        self._handler = super().get_route_handler()
        return self.respond

    @property
    def application(self) -> ASGIApp:
        """The ASGI application that checks a request and calls the endpoint."""
        return self._respond_plainly if self._is_plain else AsyncExitStackMiddleware(self.app)

    async def _respond_plainly(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.respond(Request(scope, receive))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Check the request, and call the endpoint."""
        strict = StrictRequest(request.scope, request.receive, self)
        await self.read(strict)
        return await self.call_endpoint(strict)

    async def call_endpoint(self, request: StrictRequest) -> Response:
        """Return the response of the endpoint, which FastAPI calls unless it is plain."""
        if not self._is_plain:
            return await self._handler(request)
        response: Response | None = await call_plain(self.dependant, request)
        return response or Response(status_code=self.status_code or HTTPStatus.OK)

    @property
    def method(self) -> str:
        """The one method of the route."""
        assert self.methods is not None
        (method,) = self.methods
        return method

    async def read(self, request: StrictRequest) -> None:
        """Refuse parameters that the endpoint does not take. Raises InvalidInput."""
        refuse_query(request.query_params)


class OperationRoute(StrictRoute):
    """A path operation that performs the operation of the catalog it is named after.

    An endpoint without `command` takes no query and no body. One that takes a `StrictRequest` reads
    both itself.
    """

    def __init__(self, path: str, endpoint: Endpoint, *, name: str, **options: Any) -> None:
        self.operation: Operation = REST_OPERATIONS[name]
        annotations = {p.name: p.annotation for p in signature(endpoint).parameters.values()}
        self.reads_itself = StrictRequest in annotations.values()
        command: type | None = annotations.get("command")
        read = self.params if self.reads_itself else dict[str, InputParam]()
        if command is not None:
            read = input_schema(command).params
        self.path_names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        self.member_headers = {n: _MEMBER_HEADERS[n] for n in read if n in _MEMBER_HEADERS}
        # Members of the operation's input that this route does not take.
        self.left_out = frozenset(self.params) - {*read, *self.path_names}
        self.elsewhere = {*self.path_names, *self.member_headers, *self.left_out}
        others = [name for name in read if name not in self.elsewhere]
        self.has_body = bool(others) and {*options["methods"]} <= _WITH_BODY
        self.has_query = bool(others) and not self.has_body
        if command is not None:
            endpoint = self._reading_input(endpoint, command, others)
        options["operation_id"] = options.get("operation_id") or name.replace(".", "_")
        options["summary"] = options.get("summary") or self.operation.summary
        options["description"] = options.get("description") or self.operation.description
        options["tags"] = [self.operation.group]
        if options.get("status_code") == HTTPStatus.NO_CONTENT:
            options["response_class"] = Response
        super().__init__(path, endpoint, name=name, **options)
        self.header_names = {
            field.alias
            for dependant in (self.dependant, *self.dependant.dependencies)
            for field in dependant.header_params
        }
        # The names of query parameters by the member that they become.
        self.query_names = {field.name: field.alias for field in self.dependant.query_params}

    @property
    def params(self) -> dict[str, InputParam]:
        """The members of the operation's input."""
        return input_schema(self.operation.input).params

    async def respond(self, request: Request) -> Response:
        strict = StrictRequest(request.scope, request.receive, self)
        strict.operation = self.operation
        refusal: DomainError
        try:
            await self.read(strict)
            return await self.call_endpoint(strict)
        except RequestValidationError as error:
            refusal = InvalidInput.for_fields(*map(_field_error, error.errors()))
        except (InvalidInput, PayloadTooLarge, UnsupportedMediaType) as error:
            refusal = error
        if not strict.is_performed:
            caller = caller_of(strict.scope, Door.REST)
            await strict.operation.authentication.perform(strict.app.state.services, caller, None)
        raise refusal

    async def read(self, request: StrictRequest) -> None:
        """Refuse bodies and parameters that FastAPI would ignore. Raises InvalidInput."""
        if self.reads_itself:
            return
        if self.has_body:
            refuse_query(request.query_params)
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

    def _require_known(self, names: Collection[str], place: str) -> None:
        for name in names:
            if name in self.elsewhere:
                raise InvalidInput.for_fields(FieldError(name, "is not known here", place))
        schema = input_schema(self.operation.input)
        schema.refuse_far_too_many([*names, *self.path_names], place)

    def _reading_input(
        self, endpoint: Endpoint, command: type, others: Collection[str]
    ) -> Endpoint:
        """Return the endpoint with the members of its `command` as separate parameters."""
        form = input_schema(command)
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


def _field_error(error: Mapping[str, Any]) -> FieldError:
    """Convert an error of FastAPI, whose location begins with the place."""
    place, *loc = error["loc"]
    return field_error_of(error["type"], loc, error["msg"], place)
