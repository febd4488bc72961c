"""The kinds of answer that several endpoints share."""

from typing import Any

from starlette.responses import Response

from app.domain.errors import NotFound
from app.rest.door import Answer, Ask
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.registry import OPERATIONS
from app.wire.http import JsonResponse
from app.wire.inputs import result_type


def shows(operation: str, description: str = "") -> Answer:
    """The documents' entry for an answer that shows the operation's view."""
    row = OPERATIONS[operation]
    return Answer(
        description or "As asked for.", result_type(row.result), RESULT_EXAMPLES[operation]
    )


NO_CONTENT = {204: Answer("Done; there is nothing to show.")}


async def show(ask: Ask, status: int = 200) -> Response:
    """Do it and show the view."""
    return JsonResponse(await ask.view(), status)


async def no_content(ask: Ask) -> Response:
    """Do it; there is nothing to show."""
    await ask.do()
    return Response(status_code=204)


async def no_content_if_any(ask: Ask, what: str) -> Response:
    """Do it; where an id was given and nothing had it, that is NotFound."""
    count = await ask.do()
    if count == 0 and "id" in ask.path:
        raise NotFound(f"There is no such {what}.")
    return Response(status_code=204)


async def put(ask: Ask) -> Response:
    """Do it: 201 with the view where it is new, else 204."""
    result: Any = await ask.do()
    if not result.created:
        return Response(status_code=204)
    return JsonResponse(result.view, 201)
