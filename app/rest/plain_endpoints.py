"""Endpoints whose values need no search: called without FastAPI.

FastAPI takes 70 µs a request to find values for parameters, and 170 for the members of a query. It
declares, validates and documents these endpoints as it does all others.
"""

from inspect import iscoroutinefunction
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Body
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.requests import Request

from app.http.params import base_type
from app.http.request import header_lines

_LINES = tuple[str, ...]


def is_plain(dependant: Dependant) -> bool:
    """Return whether a function only takes values that `call_plain` finds.

    These are texts of the path, lines of headers, the whole query as one model of single values,
    the whole body, the request, and what such functions return.
    """
    return (
        iscoroutinefunction(dependant.call)
        and not dependant.cookie_params
        and all(base_type(field.field_info.annotation) is str for field in dependant.path_params)
        and all(field.field_info.annotation == _LINES for field in dependant.header_params)
        and all(_is_model(field.field_info.annotation) for field in dependant.query_params)
        and all(_is_whole(field.field_info) for field in dependant.body_params)
        and len(dependant.query_params) + len(dependant.body_params) <= 1
        and all(map(is_plain, dependant.dependencies))
    )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_whole(info: FieldInfo) -> bool:
    return isinstance(info, Body) and not info.embed


async def call_plain(dependant: Dependant, request: Request) -> Any:
    """Call a plain function with the values of a request. Raises RequestValidationError."""
    values: dict[str, Any] = {f.name: request.path_params[f.alias] for f in dependant.path_params}
    for field in dependant.header_params:
        values[field.name] = tuple(header_lines(request.scope, field.alias.lower().encode()))
    for field in dependant.query_params:
        values[field.name] = _valid(field, dict(request.query_params), "query")
    for field in dependant.body_params:
        values[field.name] = _valid(field, await request.json(), "body")
    for dependency in dependant.dependencies:
        values[dependency.name or ""] = await call_plain(dependency, request)
    if dependant.request_param_name is not None:
        values[dependant.request_param_name] = request
    assert dependant.call is not None
    return await dependant.call(**values)


def _valid(field: Any, value: Any, place: str) -> Any:
    valid, errors = field.validate(value, loc=(place,))
    if errors:
        raise RequestValidationError(errors)
    return valid
