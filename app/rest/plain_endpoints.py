"""Endpoints whose parameters need no conversion, called without FastAPI.

FastAPI takes 70 µs a request to find values for parameters, which is half of the time of many
requests. It declares and documents these endpoints as it does all others.
"""

from inspect import iscoroutinefunction
from typing import Any

from fastapi.dependencies.models import Dependant
from starlette.requests import Request

_LINES = tuple[str, ...]


def is_plain(dependant: Dependant) -> bool:
    """Return whether a function only takes texts of the path, lines of headers, and the request.

    It may also take what such functions return.
    """
    return (
        iscoroutinefunction(dependant.call)
        and not (dependant.query_params or dependant.cookie_params or dependant.body_params)
        and all(field.field_info.annotation is str for field in dependant.path_params)
        and all(field.field_info.annotation == _LINES for field in dependant.header_params)
        and all(map(is_plain, dependant.dependencies))
    )


async def call_plain(dependant: Dependant, request: Request) -> Any:
    """Call a plain function with the values of a request."""
    values: dict[str, Any] = {f.name: request.path_params[f.alias] for f in dependant.path_params}
    for field in dependant.header_params:
        values[field.name] = tuple(request.headers.getlist(field.alias))
    for dependency in dependant.dependencies:
        values[dependency.name or ""] = await call_plain(dependency, request)
    if dependant.request_param_name is not None:
        values[dependant.request_param_name] = request
    assert dependant.call is not None
    return await dependant.call(**values)
