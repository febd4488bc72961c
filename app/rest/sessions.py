"""Sessions: of the user who asks, and for panel admins of any account."""

from starlette.responses import Response

from app.domain.errors import NotFound
from app.operations.admin_credentials import RevokeUserSession
from app.operations.admin_users import UserByUuid
from app.operations.credentials import RevokeSession
from app.operations.views.credentials import Sessions
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router

router = make_router(OperationRoute)


@router.get("/users/@self/sessions", name="sessions.list", response_model=Sessions)
async def list_sessions(perform: Perform) -> Response:
    return await perform.view()


@router.delete(
    "/users/@self/sessions",
    name="sessions.revoke",
    operation_id="sessions_revoke_others",
    summary="Ends all other sessions of the authenticated user",
    status_code=204,
)
async def revoke_other_sessions(perform: Perform) -> None:
    await perform(RevokeSession())


@router.delete("/users/@self/sessions/@current", name="users.logout", status_code=204)
async def log_out(perform: Perform) -> None:
    await perform()


@router.delete(
    "/users/@self/sessions/{id}",
    name="sessions.revoke",
    summary="Ends one of the authenticated user's sessions",
    status_code=204,
)
async def revoke_session(perform: Perform, command: RevokeSession) -> None:
    _require_one(await perform(command))


@router.get("/users/{uuid}/sessions", name="admin.sessions.list", response_model=Sessions)
async def list_user_sessions(perform: Perform, command: UserByUuid) -> Response:
    return await perform.view(command)


@router.delete(
    "/users/{uuid}/sessions",
    name="admin.sessions.revoke",
    operation_id="admin_sessions_revoke_all",
    summary="Ends all sessions of an account",
    status_code=204,
)
async def revoke_user_sessions(perform: Perform, command: UserByUuid) -> None:
    await perform(RevokeUserSession(command.uuid))


@router.delete(
    "/users/{uuid}/sessions/{id}",
    name="admin.sessions.revoke",
    summary="Ends one of an account's sessions",
    status_code=204,
)
async def revoke_user_session(perform: Perform, command: RevokeUserSession) -> None:
    _require_one(await perform(command))


def _require_one(ended: int) -> None:
    if not ended:
        raise NotFound("There is no such session. The current one is @current.")
