"""Endpoints that are called without FastAPI, because their values need no search."""

import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import pytest
from fastapi import Body, Depends, FastAPI, Header, Path, Query
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient
from pydantic import BaseModel, ConfigDict
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


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: str = "100"


async def whole_query(page: Annotated[Page, Query()]) -> Page:
    return page


async def whole_body(page: Annotated[Page, Body()]) -> Page:
    return page


async def with_query(name: str, q: Annotated[str, Query()] = "") -> None: ...


async def with_member(page: Annotated[Page, Body(embed=True)]) -> None: ...


async def with_both(page: Annotated[Page, Query()], body: Annotated[Page, Body()]) -> None: ...


async def with_number(name: int) -> None: ...


async def with_one_line(name: str, if_match: Annotated[str, Header()] = "") -> None: ...


def in_a_thread(name: str) -> None: ...


def route_of(endpoint: Any) -> APIRoute:
    app = FastAPI()
    app.post("/users/{name}")(endpoint)
    route = app.routes[-1]
    assert isinstance(route, APIRoute)
    return route


@pytest.mark.parametrize(
    "endpoint",
    [
        with_query,
        with_member,
        with_both,
        with_number,
        with_one_line,
        in_a_thread,
    ],
)
def test_other_values_are_left_to_fastapi(endpoint: Any) -> None:
    assert not is_plain(route_of(endpoint).dependant)


def request_with(query: str = "", body: bytes = b"", lines: Sequence[str] = ()) -> Request:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/users/alice",
        "path_params": {"name": "alice"},
        "headers": [(b"if-match", line.encode()) for line in lines],
        "query_string": query.encode(),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    return Request(scope, receive)


@pytest.mark.anyio
@pytest.mark.parametrize("lines", [(), ('"1"',), ('"1"', '"2", "3"')])
async def test_the_values_are_those_of_the_request(lines: tuple[str, ...]) -> None:
    dependant = route_of(plain).dependant
    assert is_plain(dependant)
    called = await call_plain(dependant, request_with(lines=lines))
    assert called == ("alice", "POST", "/users/alice", lines, lines)


@pytest.mark.anyio
@pytest.mark.parametrize("members", [{}, {"limit": "7"}, {"limit": "7", "x": "1"}, {"x": "1"}])
@pytest.mark.parametrize("endpoint", [whole_query, whole_body])
async def test_members_are_validated_as_fastapi_does(
    endpoint: Any, members: dict[str, str]
) -> None:
    route = route_of(endpoint)
    assert is_plain(route.dependant)
    query, body = (members, {}) if endpoint is whole_query else ({}, members)
    app = FastAPI()
    app.router.routes.append(route)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        expected = await client.post("/users/alice", params=query, json=body)
    request = request_with(urlencode(query), json.dumps(body).encode())
    if "x" not in members:
        page = await call_plain(route.dependant, request)
        assert page.model_dump() == expected.json()
        return
    with pytest.raises(RequestValidationError) as refused:
        await call_plain(route.dependant, request)
    assert jsonable_encoder(refused.value.errors()) == expected.json()["detail"]
