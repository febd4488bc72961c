"""Endpoints that are called without FastAPI, because nothing has to be converted for them."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, Path, Query
from fastapi.routing import APIRoute
from starlette.requests import Request

from app.rest.plain_endpoints import call_plain, is_plain

Lines = Annotated[tuple[str, ...], Header(alias="If-Match")]


async def own_path(request: Request) -> str:
    return request.url.path


async def lines_of(lines: Lines = ()) -> tuple[str, ...]:
    return lines


async def plain(
    name: Annotated[str, Path()],
    request: Request,
    path: Annotated[str, Depends(own_path)],
    lines: Annotated[tuple[str, ...], Depends(lines_of)],
    again: Lines = (),
) -> Any:
    return name, request.method, path, lines, again


async def with_query(name: str, q: Annotated[str, Query()] = "") -> None: ...


async def with_number(name: int) -> None: ...


async def with_one_line(name: str, if_match: Annotated[str, Header()] = "") -> None: ...


def in_a_thread(name: str) -> None: ...


def route_of(endpoint: Any) -> APIRoute:
    app = FastAPI()
    app.get("/users/{name}")(endpoint)
    route = app.routes[-1]
    assert isinstance(route, APIRoute)
    return route


@pytest.mark.parametrize("endpoint", [with_query, with_number, with_one_line, in_a_thread])
def test_conversions_are_left_to_fastapi(endpoint: Any) -> None:
    assert not is_plain(route_of(endpoint).dependant)


@pytest.mark.anyio
@pytest.mark.parametrize("lines", [(), ('"1"',), ('"1"', '"2", "3"')])
async def test_the_values_are_those_of_the_request(lines: tuple[str, ...]) -> None:
    dependant = route_of(plain).dependant
    assert is_plain(dependant)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/users/alice",
        "path_params": {"name": "alice"},
        "headers": [(b"if-match", line.encode()) for line in lines],
        "query_string": b"",
        "server": ("127.0.0.1", 80),
    }
    called = await call_plain(dependant, Request(scope))
    assert called == ("alice", "GET", "/users/alice", lines, lines)
