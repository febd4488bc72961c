"""The panel admins' route to the outbox."""

from starlette.responses import Response

from app.rest.answers import page_links
from app.rest.door import Answer, Ask, Door
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.views import OutboxMessage
from app.wire.http import JsonResponse

door = Door()


@door.route(
    "GET",
    "/outbox",
    "admin.outbox.list",
    {
        200: Answer(
            "A page of the messages, the newest first.",
            list[OutboxMessage],
            RESULT_EXAMPLES["admin.outbox.list"]["messages"],
            headers={"Link": "RFC 8288: `first`, and `next` where a page follows."},
        )
    },
)
async def list_outbox(ask: Ask) -> Response:
    page = await ask.do()
    return JsonResponse(page["messages"], headers={"Link": page_links(ask, page["next"])})
