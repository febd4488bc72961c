"""The audit log, for panel admins."""

from starlette.responses import Response

from app.http.request import JsonResponse
from app.operations.admin_audit import ListAudit
from app.operations.views.audit import AuditEntries
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import PAGE_HEADERS, page_links

router = make_router(OperationRoute)


@router.get(
    "/audit",
    name="admin.audit.list",
    response_model=AuditEntries,
    response_description="A page of the entries, the newest first.",
    responses={200: {"headers": PAGE_HEADERS}},
)
async def list_audit(perform: Perform, command: ListAudit) -> Response:
    page = await perform(command)
    links = page_links(perform.request, page["next"])
    return JsonResponse(page["entries"], headers={"Link": links})
