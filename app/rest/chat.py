"""The chat users' routes: signing up and in, and one's own account."""

import re

from starlette.responses import Response

from app.domain.presence import Presence
from app.rest.answers import NO_CONTENT, no_content, no_content_if_any, show, shows
from app.rest.door import Answer, Ask, Door, parse_json
from app.rest.login import LOGIN_BODIES, FormLogin, read_login
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.views import Login
from app.wire.http import JsonResponse

door = Door()


@door.route(
    "POST",
    "/users/auth",
    "users.auth",
    {200: Answer("A token.", Login | FormLogin, RESULT_EXAMPLES["users.auth"])},
    body=LOGIN_BODIES,
)
async def log_in(ask: Ask) -> Response:
    members, is_form = await read_login(ask)
    issued = await ask.perform(ask.read(members))
    if not is_form:
        return JsonResponse(issued.view)
    oauth2 = {"access_token": issued.view["token"], "token_type": "bearer"}
    return JsonResponse({**issued.view, **oauth2, "expires_in": issued.expires_in})


@door.route("POST", "/users/@self", "users.create", {201: shows("users.create", "Registered.")})
async def register(ask: Ask) -> Response:
    return await show(ask, 201)


@door.route("GET", "/users/@self", "users.self", {200: shows("users.self")})
async def get_self(ask: Ask) -> Response:
    return await show(ask)


@door.route("PATCH", "/users/@self", "users.update", {200: shows("users.update", "Changed.")})
async def update_self(ask: Ask) -> Response:
    return await show(ask)


@door.route("POST", "/users/@self/token", "users.refresh", {200: shows("users.refresh")})
async def refresh(ask: Ask) -> Response:
    return await show(ask)


@door.route("GET", "/users/@self/guilds", "users.guilds", {200: shows("users.guilds")})
async def list_guilds(ask: Ask) -> Response:
    return await show(ask)


@door.route(
    "GET",
    "/users/@self/presence",
    "users.presence",
    {200: shows("users.presence")},
    id="users_presence_get",
    left_out=["presence"],
)
async def get_presence(ask: Ask) -> Response:
    return await show(ask)


# The chat document's own example is no JSON: a name in braces. It is read as it is meant.
_NAME_IN_BRACES = re.compile(rb'\s*\{\s*("[^"]*")\s*\}\s*')


@door.route(
    "PATCH",
    "/users/@self/presence",
    "users.presence",
    {200: shows("users.presence", "The updated presence.")},
    id="users_presence_set",
    body={
        "application/json": {
            "schema": {
                "oneOf": [
                    {"type": "string", "enum": list(Presence)},
                    {
                        "type": "object",
                        "properties": {"presence": {"type": "string", "enum": list(Presence)}},
                        "required": ["presence"],
                        "additionalProperties": False,
                    },
                ]
            },
            "example": "ONLINE",
        }
    },
)
async def set_presence(ask: Ask) -> Response:
    body = await ask.json_body()
    meant = _NAME_IN_BRACES.fullmatch(body)
    sent = parse_json(body if meant is None else meant[1])
    members = sent if type(sent) is dict else {"presence": sent}
    return JsonResponse(await ask.perform(ask.read(members, required=["presence"])))


@door.route("PUT", "/users/@self/password", "users.password", NO_CONTENT)
async def change_password(ask: Ask) -> Response:
    return await no_content(ask)


@door.route("GET", "/users/@self/sessions", "sessions.list", {200: shows("sessions.list")})
async def list_sessions(ask: Ask) -> Response:
    return await show(ask)


@door.route(
    "DELETE",
    "/users/@self/sessions",
    "sessions.revoke",
    NO_CONTENT,
    id="sessions_revoke_others",
    left_out=["id"],
)
async def revoke_other_sessions(ask: Ask) -> Response:
    return await no_content(ask)


@door.route("DELETE", "/users/@self/sessions/@current", "users.logout", NO_CONTENT)
async def log_out(ask: Ask) -> Response:
    return await no_content(ask)


@door.route("DELETE", "/users/@self/sessions/{id}", "sessions.revoke", NO_CONTENT)
async def revoke_session(ask: Ask) -> Response:
    return await no_content_if_any(ask, "session")


@door.route("GET", "/users/@self/keys", "keys.list", {200: shows("keys.list")})
async def list_keys(ask: Ask) -> Response:
    return await show(ask)


@door.route(
    "POST",
    "/users/@self/keys",
    "keys.create",
    {201: shows("keys.create", "Created; `key` is shown this once.")},
)
async def create_key(ask: Ask) -> Response:
    return await show(ask, 201)


@door.route("DELETE", "/users/@self/keys/{id}", "keys.revoke", NO_CONTENT)
async def revoke_key(ask: Ask) -> Response:
    return await no_content(ask)
