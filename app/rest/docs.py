"""The pages to explore at: `/docs`, Swagger UI from an installed package's files, and `/rpc/docs`,
a page of ours that reads the OpenRPC document.

Nothing comes from elsewhere and nothing is inline, so the page's policy allows neither.
"""

from functools import cache
from importlib.resources import files

from starlette.responses import Response
from starlette.types import Scope

from app.domain.errors import NotFound

OURS, SWAGGER_UI = "app.rest.pages", "fastapi_swagger.resources"
MEDIA_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "png": "image/png"}
# Swagger UI draws its icons from data URLs in its style sheet.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {
    "docs.css": OURS,
    "docs.js": OURS,
    "rpc.css": OURS,
    "rpc.js": OURS,
    "favicon-32x32.png": SWAGGER_UI,
    "swagger-ui-bundle.js": SWAGGER_UI,
    "swagger-ui.css": SWAGGER_UI,
}


async def rest_page(_scope: Scope) -> Response:
    """Swagger UI on the OpenAPI document."""
    return _file(OURS, "docs.html")


async def rpc_page(_scope: Scope) -> Response:
    """The OpenRPC document, to read and to try."""
    return _file(OURS, "rpc.html")


async def asset(scope: Scope) -> Response:
    """One of the files that the pages ask for. Raises NotFound."""
    name = scope["path_params"]["asset"]
    if name not in _ASSETS:
        raise NotFound("There is nothing at this address.")
    return _file(_ASSETS[name], name)


def _file(package: str, name: str) -> Response:
    headers = {"Cache-Control": "public, max-age=3600", "Content-Security-Policy": POLICY}
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(_content(package, name), headers=headers, media_type=media_type)


@cache
def _content(package: str, name: str) -> bytes:
    return files(package).joinpath(name).read_bytes()
