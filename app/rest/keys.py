"""Access keys: of the user who asks, and for panel admins of any account."""

from starlette.responses import Response

from app.operations.admin_credentials import RevokeUserKey
from app.operations.admin_users import UserByUuid
from app.operations.credentials import CreateKey, RevokeKey
from app.operations.views.credentials import CreatedKey, Keys
from app.rest.deps import IdempotencyKey, Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import created

router = make_router(OperationRoute)


@router.get("/users/@self/keys", name="keys.list", response_model=Keys)
async def list_keys(perform: Perform) -> Response:
    return await perform.view()


@router.post(
    "/users/@self/keys",
    name="keys.create",
    status_code=201,
    response_model=CreatedKey,
    response_description="Created; `key` is shown this once.",
)
async def create_key(
    perform: Perform, command: CreateKey, idempotency_key: IdempotencyKey = ()
) -> Response:
    return created(await perform(command, idempotency_key=idempotency_key))


@router.delete("/users/@self/keys/{id}", name="keys.revoke", status_code=204)
async def revoke_key(perform: Perform, command: RevokeKey) -> None:
    await perform(command)


@router.get("/users/{uuid}/keys", name="admin.keys.list", response_model=Keys)
async def list_user_keys(perform: Perform, command: UserByUuid) -> Response:
    return await perform.view(command)


@router.delete(
    "/users/{uuid}/keys",
    name="admin.keys.revoke",
    operation_id="admin_keys_revoke_all",
    summary="Revokes all access keys of an account",
    status_code=204,
)
async def revoke_user_keys(perform: Perform, command: UserByUuid) -> None:
    await perform(RevokeUserKey(command.uuid))


@router.delete(
    "/users/{uuid}/keys/{id}",
    name="admin.keys.revoke",
    summary="Revokes one of an account's access keys",
    status_code=204,
)
async def revoke_user_key(perform: Perform, command: RevokeUserKey) -> None:
    await perform(command)
