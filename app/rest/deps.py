"""Dependencies of the path operations: the services, the caller, and the conditions."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header
from pydantic import WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from app.domain.audit import Door
from app.domain.errors import InvalidInput
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.http.idempotency import KEY_SCHEMA, idempotency_key
from app.http.params import json_of
from app.http.request import JSON, caller_of
from app.operations.accounts import NoInput
from app.operations.framework.context import Caller
from app.operations.framework.idempotency import HEADER
from app.operations.framework.operation import Operation
from app.operations.framework.services import Services
from app.rest.operation_route import AS_TEXT, IF_MATCH, IF_NONE_MATCH, OperationRoute
from app.rest.strict_request import StrictRequest, joined

T = TypeVar("T", bound=bytes)

IfMatch = Annotated[
    tuple[str, ...],
    Header(
        alias=IF_MATCH,
        description="Only while the account has one of these entity tags.",
    ),
    AS_TEXT,
]
IfNoneMatch = Annotated[
    tuple[str, ...],
    Header(
        alias=IF_NONE_MATCH,
        description="Only while the account has none of these entity tags.",
    ),
    AS_TEXT,
]
IdempotencyKey = Annotated[
    tuple[str, ...],
    Header(alias=HEADER, description=KEY_SCHEMA["description"]),
    WithJsonSchema(KEY_SCHEMA),
]
_NO_INPUT = NoInput()


async def get_services(request: Request) -> Services:
    """Return the services of the application."""
    services: Services = request.app.state.services
    return services


@dataclass(frozen=True, slots=True)
class Performer:
    """Performs the operation of a route on behalf of the caller."""

    request: StrictRequest

    async def __call__(
        self,
        command: Any = _NO_INPUT,
        *,
        operation: Operation | None = None,
        preconditions: Preconditions = NO_PRECONDITIONS,
        idempotency_key: Sequence[str] = (),
    ) -> Any:
        """Return the result of the request's operation, or of another one.

        Raises the errors of the catalog.
        """
        operation = operation or self._operation
        with self._locating_field_errors():
            caller = self._caller(preconditions, idempotency_key)
            self.request.is_performed = True
            return await operation.perform(self._services, caller, command)

    async def view(self, command: Any = _NO_INPUT) -> Response:
        """Respond with the view of the result as JSON."""
        return Response(json_of(await self(command)), media_type=JSON)

    async def pieces(self, command: Any) -> AsyncIterator[Any]:
        """Yield the result piece by piece, where the operation can be streamed."""
        with self._locating_field_errors():
            operation, self.request.is_performed = self._operation, True
            async for piece in operation.stream(self._services, self._caller(), command):
                yield piece

    @property
    def _route(self) -> OperationRoute:
        assert isinstance(self.request.route, OperationRoute)
        return self.request.route

    @property
    def _operation(self) -> Operation:
        assert self.request.operation is not None
        return self.request.operation

    @property
    def _services(self) -> Services:
        services: Services = self.request.app.state.services
        return services

    def _caller(
        self,
        preconditions: Preconditions = NO_PRECONDITIONS,
        key_lines: Sequence[str] = (),
    ) -> Caller:
        key = idempotency_key(key_lines)
        return caller_of(self.request.scope, Door.REST, preconditions, key)

    @contextmanager
    def _locating_field_errors(self) -> Iterator[None]:
        """Add the location of each member, which the domain does not know, to its errors."""
        try:
            yield
        except InvalidInput as error:
            if not error.field_errors:
                raise
            raise InvalidInput.for_fields(*map(self._route.located, error.field_errors)) from None


async def get_performer(request: Request) -> Performer:
    """Return the performer for a request."""
    assert isinstance(request, StrictRequest)
    return Performer(request)


async def get_write_conditions(
    if_match: IfMatch = (), if_none_match: IfNoneMatch = ()
) -> Preconditions:
    """Return the conditions of a change on the version of its resource."""
    return Preconditions(joined(if_match), joined(if_none_match))


Perform = Annotated[Performer, Depends(get_performer)]
WriteConditions = Annotated[Preconditions, Depends(get_write_conditions)]
