"""The account of the user who asks: signing up and in, profile, password, presence."""

from typing import Any

from starlette.responses import Response

from app.domain.presence import Presence
from app.domain.text import Pattern
from app.http import json
from app.http.request import JsonResponse, refuse_query
from app.operations.accounts import CreateUser, SetPresence, UpdateSelf
from app.operations.login import Authenticate, ChangePassword
from app.operations.views.accounts import ChatUser
from app.operations.views.credentials import RefreshedLogin
from app.operations.views.guilds_and_servers import Guilds
from app.rest.deps import IdempotencyKey, Perform
from app.rest.login import IssuedToken, read_login
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import created
from app.rest.strict_request import StrictRequest, parse_json, read_input

router = make_router(OperationRoute)


@router.post(
    "/users/auth", name="users.auth", response_model=IssuedToken, response_description="A token."
)
async def log_in(request: StrictRequest, perform: Perform) -> Response:
    members, is_form = await read_login(request)
    issued = await perform(read_input(Authenticate, members))
    view = {**issued.view, "expires_at": issued.expires_at}
    if not is_form:
        return JsonResponse(view)
    oauth2 = {"access_token": view["token"], "token_type": "bearer"}
    return JsonResponse({**view, **oauth2, "expires_in": issued.expires_in})


@router.get("/users/@self", name="users.self", response_model=ChatUser)
async def get_self(perform: Perform) -> Response:
    return await perform.view()


@router.post(
    "/users/@self",
    name="users.create",
    status_code=201,
    response_model=ChatUser,
    response_description="Registered.",
)
async def sign_up(
    perform: Perform, command: CreateUser, idempotency_key: IdempotencyKey = ()
) -> Response:
    return created(await perform(command, idempotency_key=idempotency_key))


@router.patch(
    "/users/@self",
    name="users.update",
    response_model=ChatUser,
    response_description="As it is now.",
)
async def update_self(perform: Perform, command: UpdateSelf) -> Response:
    return await perform.view(command)


@router.post("/users/@self/token", name="users.refresh", response_model=RefreshedLogin)
async def refresh_token(perform: Perform) -> Response:
    return await perform.view()


@router.get("/users/@self/guilds", name="users.guilds", response_model=Guilds)
async def list_guilds(perform: Perform) -> Response:
    return await perform.view()


@router.put("/users/@self/password", name="users.password", status_code=204)
async def change_password(perform: Perform, command: ChangePassword) -> None:
    await perform(command)


@router.get(
    "/users/@self/presence",
    name="users.presence",
    operation_id="users_presence_get",
    summary="Gets the authenticated user's presence",
    response_model=Presence | None,
)
async def get_presence(perform: Perform) -> Response:
    return await perform.view(SetPresence())


# The chat document's own example is no JSON: a name in braces. It is read as it is meant.
_NAME_IN_BRACES = Pattern(rb'\s*\{\s*("[^"]*")\s*\}\s*', 256)


@router.patch(
    "/users/@self/presence",
    name="users.presence",
    operation_id="users_presence_set",
    summary="Updates the authenticated user's presence",
    response_model=Presence,
    response_description="The updated presence.",
)
async def set_presence(request: StrictRequest, perform: Perform) -> Response:
    refuse_query(request.query_params, has_body=True)
    body = await request.json_body()
    meant = _NAME_IN_BRACES.fullmatch(body.removeprefix(json.BYTE_ORDER_MARK))
    sent: Any = parse_json(body if meant is None else meant[1])
    members = sent if type(sent) is dict else {"presence": sent}
    return JsonResponse(await perform(read_input(SetPresence, members, required=["presence"])))
