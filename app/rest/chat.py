"""The chat users' routes: signing up and in, and one's own account."""

import re
from typing import Any

from starlette.responses import Response

from app.domain.presence import Presence
from app.rest.answers import creates, does, ends, shows, the_view
from app.rest.door import Answer, Ask, Door, parse_json
from app.rest.login import IssuedToken, login_bodies, read_login
from app.usecases.accounts import SetPresence
from app.usecases.examples import RESULT_EXAMPLES
from app.wire.http import JSON, JsonResponse
from app.wire.inputs import input_form
from app.wire.schemas import Schemas

door = Door()


@door.route(
    "POST",
    "/users/auth",
    "users.auth",
    {200: Answer("A token.", IssuedToken, RESULT_EXAMPLES["users.auth"])},
    body=login_bodies,
)
async def log_in(ask: Ask) -> Response:
    members, is_form = await read_login(ask)
    issued = await ask.perform(ask.read(members))
    if not is_form:
        return JsonResponse(issued.view)
    oauth2 = {"access_token": issued.view["token"], "token_type": "bearer"}
    return JsonResponse({**issued.view, **oauth2, "expires_in": issued.expires_in})


shows(door, "GET", "/users/@self", "users.self")
creates(door, "/users/@self", "users.create", "Registered.")
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
creates(door, "/users/@self/keys", "keys.create", "Created; `key` is shown this once.")
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


def _presence_bodies(schemas: Schemas) -> dict[str, Any]:
    wrapped = {**input_form(SetPresence).schema(schemas), "required": ["presence"]}
    either = [schemas.of(Presence), schemas.named("SetPresence", wrapped)]
    return {JSON: {"schema": {"oneOf": either}, "example": "ONLINE"}}


@door.route(
    "PATCH",
    "/users/@self/presence",
    "users.presence",
    {200: the_view("users.presence", "The updated presence.")},
    id="users_presence_set",
    body=_presence_bodies,
)
async def set_presence(ask: Ask) -> Response:
    ask.refuse_query()
    body = await ask.json_body()
    meant = _NAME_IN_BRACES.fullmatch(body)
    sent = parse_json(body if meant is None else meant[1])
    members = sent if type(sent) is dict else {"presence": sent}
    return JsonResponse(await ask.perform(ask.read(members, required=["presence"])))
