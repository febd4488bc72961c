"""Guilds of the embedded registry, for panel admins; the members of a guild, for members."""

from starlette.responses import Response

from app.http.request import JsonResponse
from app.operations.guilds_and_servers import GuildById, ListMembers, Membership, PutGuild
from app.operations.views.accounts import Profiles
from app.operations.views.guilds_and_servers import Guilds, GuildView
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import PAGE_HEADERS, page_links, put

router = make_router(OperationRoute)


@router.get("/guilds", name="admin.guilds.list", response_model=Guilds)
async def list_guilds(perform: Perform) -> Response:
    return await perform.view()


@router.put(
    "/guilds/{id}",
    name="admin.guilds.put",
    status_code=201,
    response_model=GuildView,
    response_description="Created.",
    responses={204: {"description": "Replaced."}},
)
async def put_guild(perform: Perform, command: PutGuild) -> Response:
    return put(await perform(command))


@router.delete("/guilds/{id}", name="admin.guilds.delete", status_code=204)
async def delete_guild(perform: Perform, command: GuildById) -> None:
    await perform(command)


@router.get(
    "/guilds/{id}/members",
    name="guilds.members",
    response_model=Profiles,
    response_description="A page of the members, the oldest account first.",
    responses={200: {"headers": PAGE_HEADERS}},
)
async def list_members(perform: Perform, command: ListMembers) -> Response:
    page = await perform(command)
    links = page_links(perform.request, page["next"])
    return JsonResponse(page["members"], headers={"Link": links})


@router.put(
    "/guilds/{id}/members/{user}",
    name="admin.guilds.members.put",
    status_code=201,
    response_model=bool,
    response_description="The account is a member now.",
    responses={204: {"description": "The account was a member already."}},
)
async def put_member(perform: Perform, command: Membership) -> Response:
    return put(await perform(command))


@router.delete("/guilds/{id}/members/{user}", name="admin.guilds.members.delete", status_code=204)
async def delete_member(perform: Perform, command: Membership) -> None:
    await perform(command)
