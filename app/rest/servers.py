"""Servers of the embedded registry, for panel admins."""

from starlette.responses import Response

from app.operations.guilds_and_servers import PutServer, ServerByUuid
from app.operations.views.guilds_and_servers import Servers, ServerView
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import put

router = make_router(OperationRoute)


@router.get("/servers", name="admin.servers.list", response_model=Servers)
async def list_servers(perform: Perform) -> Response:
    return await perform.view()


@router.put(
    "/servers/{uuid}",
    name="admin.servers.put",
    status_code=201,
    response_model=ServerView,
    response_description="Created.",
    responses={204: {"description": "Replaced."}},
)
async def put_server(perform: Perform, command: PutServer) -> Response:
    return put(await perform(command))


@router.delete("/servers/{uuid}", name="admin.servers.delete", status_code=204)
async def delete_server(perform: Perform, command: ServerByUuid) -> None:
    await perform(command)
