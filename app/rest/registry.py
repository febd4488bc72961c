"""The panel admins' routes: servers and guilds of the embedded registry."""

from starlette.responses import Response

from app.rest.answers import NO_CONTENT, no_content, put, show, shows
from app.rest.door import Answer, Ask, Door

door = Door()

_REPLACED = Answer("Replaced.")


@door.route("GET", "/servers", "admin.servers.list", {200: shows("admin.servers.list")})
async def list_servers(ask: Ask) -> Response:
    return await show(ask)


@door.route(
    "PUT",
    "/servers/{uuid}",
    "admin.servers.put",
    {201: shows("admin.servers.put", "Created."), 204: _REPLACED},
)
async def put_server(ask: Ask) -> Response:
    return await put(ask)


@door.route("DELETE", "/servers/{uuid}", "admin.servers.delete", NO_CONTENT)
async def delete_server(ask: Ask) -> Response:
    return await no_content(ask)


@door.route("GET", "/guilds", "admin.guilds.list", {200: shows("admin.guilds.list")})
async def list_guilds(ask: Ask) -> Response:
    return await show(ask)


@door.route(
    "PUT",
    "/guilds/{id}",
    "admin.guilds.put",
    {201: shows("admin.guilds.put", "Created."), 204: _REPLACED},
)
async def put_guild(ask: Ask) -> Response:
    return await put(ask)


@door.route("DELETE", "/guilds/{id}", "admin.guilds.delete", NO_CONTENT)
async def delete_guild(ask: Ask) -> Response:
    return await no_content(ask)


@door.route(
    "PUT",
    "/guilds/{id}/members/{user}",
    "admin.guilds.members.put",
    {
        201: shows("admin.guilds.members.put", "The account is a member now."),
        204: Answer("The account was a member already."),
    },
)
async def put_member(ask: Ask) -> Response:
    return await put(ask)


@door.route("DELETE", "/guilds/{id}/members/{user}", "admin.guilds.members.delete", NO_CONTENT)
async def delete_member(ask: Ask) -> Response:
    return await no_content(ask)
