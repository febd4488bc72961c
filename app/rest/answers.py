"""The plain rows: routes whose answer is of a kind that many share."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from app.domain.errors import NotFound, UpstreamFailed
from app.rest.door import Answer, Ask, Door
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.paging import LIMIT_DEFAULT
from app.usecases.registry import OPERATIONS
from app.wire.http import CACHE_STATUS, JSON, JsonResponse
from app.wire.inputs import result_type

STALE = (
    "RFC 9211; only where another service keeps what is asked for and could not be asked, so that "
    'something older is shown: `Gatehouse; hit; ttl=-120; key="users.guilds"; '
    "detail=stale-if-error`, with the seconds by which it is overdue and the operation."
)
NO_CONTENT = {204: Answer("Done; there is nothing to show.")}


def the_view(operation: str, description: str = "As asked for.") -> Answer:
    """The documents' entry for an answer that shows the operation's view."""
    row = OPERATIONS[operation]
    headers = {CACHE_STATUS: STALE} if UpstreamFailed in row.errors else {}
    return Answer(description, result_type(row.result), RESULT_EXAMPLES[operation], headers=headers)


def shows(
    door: Door,
    method: str,
    path: str,
    operation: str,
    *,
    status: int = 200,
    description: str = "As asked for.",
    id: str | None = None,
    left_out: Iterable[str] = (),
) -> None:
    """A route that answers with the operation's view."""
    answers = {status: the_view(operation, description)}

    @door.route(
        method,
        path,
        operation,
        answers,
        id=id,
        left_out=left_out,
        shows_as_is=method == "GET" and status == 200,
    )
    async def show(ask: Ask) -> Response:
        return Response(await ask.json(), status, media_type=JSON)


def does(
    door: Door,
    method: str,
    path: str,
    operation: str,
    *,
    id: str | None = None,
    headers: Mapping[str, str] | None = None,
    left_out: Iterable[str] = (),
) -> None:
    """A route that answers with 204."""

    @door.route(method, path, operation, NO_CONTENT, id=id, headers=headers, left_out=left_out)
    async def do(ask: Ask) -> Response:
        await ask.do()
        return Response(status_code=204)


def ends(door: Door, path: str, operation: str, what: str) -> None:
    """DELETE of what the operation counts: 204, and NotFound where nothing had the id."""

    @door.route("DELETE", path, operation, NO_CONTENT)
    async def end(ask: Ask) -> Response:
        if await ask.do() == 0:
            raise NotFound(f"There is no such {what}.")
        return Response(status_code=204)


def puts(door: Door, path: str, operation: str, created: str, otherwise: str) -> None:
    """PUT: 201 with the view where it is new, else 204."""
    answers = {201: the_view(operation, created), 204: Answer(otherwise)}

    @door.route("PUT", path, operation, answers)
    async def put(ask: Ask) -> Response:
        result: Any = await ask.do()
        if not result.created:
            return Response(status_code=204)
        return JsonResponse(result.view, 201)


def page_links(ask: Ask, next_cursor: str | None) -> str:
    """The Link header (RFC 8288) of a page: the first one, and the next where there is one."""
    query = {name: value for name, value in ask.query.items() if name != "cursor"}
    query.setdefault("limit", str(LIMIT_DEFAULT))
    pages = {"first": query}
    if next_cursor is not None:
        pages["next"] = {**query, "cursor": next_cursor}
    path = f"{ask.prefix}{ask.route.path}"
    return ", ".join(f'<{path}?{urlencode(query)}>; rel="{rel}"' for rel, query in pages.items())
