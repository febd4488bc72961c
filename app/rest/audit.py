"""The panel admins' route to the audit trail."""

from starlette.responses import Response

from app.rest.answers import page_links
from app.rest.door import Answer, Ask, Door
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.views import AuditEntry
from app.wire.http import JsonResponse

door = Door()


@door.route(
    "GET",
    "/audit",
    "admin.audit.list",
    {
        200: Answer(
            "A page of the entries, the newest first.",
            list[AuditEntry],
            RESULT_EXAMPLES["admin.audit.list"]["entries"],
            headers={"Link": "RFC 8288: `first`, and `next` where a page follows."},
        )
    },
)
async def list_audit(ask: Ask) -> Response:
    page = await ask.do()
    return JsonResponse(page["entries"], headers={"Link": page_links(ask, page["next"])})
