"""The outbox, for panel admins."""

from starlette.responses import Response

from app.http.request import JsonResponse
from app.operations.admin_outbox import ListOutbox
from app.operations.views.outbox import OutboxMessages
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import PAGE_HEADERS, page_links

router = make_router(OperationRoute)


@router.get(
    "/outbox",
    name="admin.outbox.list",
    response_model=OutboxMessages,
    response_description="A page of the messages, the newest first.",
    responses={200: {"headers": PAGE_HEADERS}},
)
async def list_outbox(perform: Perform, command: ListOutbox) -> Response:
    page = await perform(command)
    links = page_links(perform.request, page["next"])
    return JsonResponse(page["messages"], headers={"Link": links})
