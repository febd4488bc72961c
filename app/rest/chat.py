"""The chat users' routes: signing up and in, and one's own account."""

import re

from starlette.responses import Response

from app.domain.presence import Presence
from app.rest.answers import does, ends, shows, the_view
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


shows(door, "POST", "/users/@self", "users.create", status=201, description="Registered.")
shows(door, "GET", "/users/@self", "users.self")
shows(door, "PATCH", "/users/@self", "users.update", description="As it is now.")
shows(door, "POST", "/users/@self/token", "users.refresh")
shows(door, "GET", "/users/@self/guilds", "users.guilds")
does(door, "PUT", "/users/@self/password", "users.password")

shows(door, "GET", "/users/@self/sessions", "sessions.list")
does(
    door,
    "DELETE",
    "/users/@self/sessions",
    "sessions.revoke",
    id="sessions_revoke_others",
    left_out=["id"],
)
does(door, "DELETE", "/users/@self/sessions/@current", "users.logout")
ends(door, "/users/@self/sessions/{id}", "sessions.revoke", "session")

shows(door, "GET", "/users/@self/keys", "keys.list")
shows(
    door,
    "POST",
    "/users/@self/keys",
    "keys.create",
    status=201,
    description="Created; `key` is shown this once.",
)
does(door, "DELETE", "/users/@self/keys/{id}", "keys.revoke")

shows(
    door,
    "GET",
    "/users/@self/presence",
    "users.presence",
    id="users_presence_get",
    left_out=["presence"],
)

# The chat document's own example is no JSON: a name in braces. It is read as it is meant.
_NAME_IN_BRACES = re.compile(rb'\s*\{\s*("[^"]*")\s*\}\s*')


@door.route(
    "PATCH",
    "/users/@self/presence",
    "users.presence",
    {200: the_view("users.presence", "The updated presence.")},
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
    ask.refuse_query()
    body = await ask.json_body()
    meant = _NAME_IN_BRACES.fullmatch(body)
    sent = parse_json(body if meant is None else meant[1])
    members = sent if type(sent) is dict else {"presence": sent}
    return JsonResponse(await ask.perform(ask.read(members, required=["presence"])))
