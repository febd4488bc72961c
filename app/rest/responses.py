"""Responses that several path operations share, and their headers in the documents."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from app.http.idempotency import replayed
from app.http.request import JsonResponse
from app.operations.framework.pagination import LIMIT_DEFAULT
from app.operations.views.results import Created, Put
from app.rest.strict_request import StrictRequest, prefix_of

# The documented length: proxies and clients commonly take no longer line.
HEADER_MAX = 8192


def created(result: Created[Any]) -> Response:
    """Return 201 with the view of what this request, or an earlier one with its key, created."""
    return JsonResponse(result.view, 201, replayed(result))


def put(result: Put[Any]) -> Response:
    """Return 201 with the view of a new resource, else 204."""
    return JsonResponse(result.view, 201) if result.created else Response(status_code=204)


def documented_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the description of a response's headers for the OpenAPI document."""
    return {
        name: {"description": text, "schema": {"type": "string", "maxLength": HEADER_MAX}}
        for name, text in headers.items()
    }


PAGE_HEADERS = documented_headers({"Link": "RFC 8288: `first`, and `next` where a page follows."})


def page_links(request: StrictRequest, next_cursor: str | None) -> str:
    """Return the Link header (RFC 8288) of a page: the first page, and the next if any."""
    query = {name: value for name, value in request.query_params.items() if name != "cursor"}
    query.setdefault("limit", str(LIMIT_DEFAULT))
    path = f"{prefix_of(request.scope)}{request.route.path.format(**request.path_params)}"
    first = f"{path}?{urlencode(query)}"
    links = f'<{first}>; rel="first"'
    if next_cursor is not None:
        # A cursor needs no encoding.
        links += f', <{first}&cursor={next_cursor}>; rel="next"'
    return links
