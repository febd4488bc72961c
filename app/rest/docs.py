"""Pages: the front page, `/docs`, which is Swagger UI from the files of an installed package, and
`/rpc/docs`, which renders the OpenRPC document.

All files are served from here and none is inline, so the pages' policy allows nothing else.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from string import Template
from typing import Annotated

from fastapi import Header
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from typing_extensions import TypeAliasType, TypedDict

from app.domain.errors import NotFound
from app.http.request import JsonResponse, context_of
from app.operations.formats import Text
from app.rest.operation_route import StrictRoute, make_router

OURS, SWAGGER_UI = "app.rest.pages", "fastapi_swagger.resources"
MEDIA_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "ico": "image/vnd.microsoft.icon",
    "js": "text/javascript",
}
# Swagger UI draws its icons from data URLs in its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {
    "base.css": OURS,
    "docs.css": OURS,
    "docs.js": OURS,
    "front.css": OURS,
    "handbook.css": OURS,
    "handbook.js": OURS,
    "rpc.css": OURS,
    "rpc.js": OURS,
    "samples.js": OURS,
    "swagger-ui-bundle.js": SWAGGER_UI,
    "swagger-ui.css": SWAGGER_UI,
}

CACHED = "public, max-age=3600"
# Nothing here is worth an entry in a search engine.
_ROBOTS = "User-agent: *\nDisallow: /\n"

Links = TypeAliasType("Links", dict[str, Text])


class FrontPage(TypedDict):
    """The addresses of the documents and the health of this server."""

    name: Text
    description: Text
    links: Links


_LINKS = {
    "openapi": "/openapi.json",
    "rest_docs": "/docs",
    "rpc": "/rpc",
    "openrpc": "/rpc/openrpc.json",
    "rpc_docs": "/rpc/docs",
    "handbook": "/handbook/",
    "live": "/health/live",
    "ready": "/health/ready",
    "jwks": "/.well-known/jwks.json",
}

router = make_router(StrictRoute, default_response_class=HTMLResponse, tags=["operator"])


@router.get(
    "/",
    operation_id="front_page",
    summary="The front page",
    description="The documents and the health of this server. A browser gets a page.",
    response_model=FrontPage,
    response_class=JsonResponse,
)
async def front_page(
    request: Request,
    accept: Annotated[tuple[str, ...], Header(include_in_schema=False)] = (),
) -> Response:
    if _prefers_html(accept):
        answer = _page("front.html", request)
    else:
        answer = JsonResponse(_describe(context_of(request.scope).link_to))
    answer.headers["Cache-Control"] = CACHED
    answer.headers["Vary"] = "Accept"
    return answer


@router.get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response:
    return _file(OURS, "favicon.ico")


@router.get("/robots.txt", include_in_schema=False)
async def robots() -> Response:
    return PlainTextResponse(_ROBOTS, headers={"Cache-Control": CACHED})


@router.get(
    "/docs",
    operation_id="docs",
    summary="The REST API, to read and to try",
    description="Swagger UI, from this server alone.",
)
async def rest_page(request: Request) -> Response:
    return _page("docs.html", request)


@router.get(
    "/rpc/docs",
    operation_id="rpc_docs",
    summary="The JSON-RPC API, to read and to try",
    description="Every method with its parameters, result and errors, and a form to call it with.",
)
async def rpc_page(request: Request) -> Response:
    return _page("rpc.html", request)


@router.get("/docs/{asset}", include_in_schema=False)
async def get_asset(asset: str) -> Response:
    if asset not in _ASSETS:
        raise NotFound("There is nothing at this address.")
    return _file(_ASSETS[asset], asset)


def _describe(link_to: Callable[[str], str]) -> FrontPage:
    return {
        "name": "Gatehouse",
        "description": "One user directory with a REST API and a JSON-RPC API.",
        "links": {name: link_to(path) for name, path in _LINKS.items()},
    }


def _prefers_html(accept: Iterable[str]) -> bool:
    """Return whether a client lists HTML, and JSON not before it (RFC 9110 section 12.5.1)."""
    listed = ",".join(accept).lower()
    html = _weight(listed, "text/html")
    return html > 0 and html >= _weight(listed, "application/json")


def _weight(listed: str, media_type: str) -> float:
    """Return the weight of a media type in a list; 0 if it is missing or malformed."""
    for item in listed.split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name == media_type:
            weights = [text.removeprefix("q=") for text in parameters if text.startswith("q=")]
            with suppress(ValueError):
                return float(weights[0]) if weights else 1.0
    return 0.0


def _page(name: str, request: Request) -> Response:
    """Return a page of ours, with the base path in its links."""
    page = read_template(name).substitute(base=context_of(request.scope).base_path)
    headers = {"Cache-Control": CACHED, "Content-Security-Policy": POLICY}
    return HTMLResponse(page, headers=headers)


@cache
def read_template(name: str) -> Template:
    """Return the template of a page."""
    return Template(_content(OURS, name).decode())


def _file(package: str, name: str) -> Response:
    headers = {"Cache-Control": CACHED, "Content-Security-Policy": POLICY}
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(_content(package, name), headers=headers, media_type=media_type)


@cache
def _content(package: str, name: str) -> bytes:
    return files(package).joinpath(name).read_bytes()
