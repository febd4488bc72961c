"""Sessions and access keys of accounts, which the operator names by any of their names."""

from app.domain.errors import NotFound
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.operations.admin_credentials import RevokeUserSession
from app.operations.admin_users import UserByUuid
from app.operations.credentials import CreateKey, add_key, key_not_found, revoke_keys
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.operation import UNSET
from app.operations.framework.services import Services
from app.operations.operator.caller import find_account, find_uuid, operator_context, perform
from app.operations.views.credentials import CreatedKey, Keys, Sessions


async def list_sessions_of(services: Services, account: str) -> Sessions:
    """Return the sessions of an account. Raises UserNotFound."""
    uuid = await find_uuid(services, account)
    sessions: Sessions = await perform(services, "admin.sessions.list", UserByUuid(uuid))
    return sessions


async def end_sessions_of(services: Services, account: str, session: str | None) -> int:
    """End a session of an account, or all; return how many. Raises UserNotFound, NotFound."""
    uuid = await find_uuid(services, account)
    command = RevokeUserSession(uuid, UNSET if session is None else session)
    ended: int = await perform(services, "admin.sessions.revoke", command)
    if session is not None and not ended:
        raise NotFound("The account has no such session.")
    return ended


async def create_key_for(services: Services, account: str, command: CreateKey) -> CreatedKey:
    """Create an access key for an account. Raises UserNotFound, InvalidInput."""
    return await operator_context(services, "keys.create").write(
        lambda tx, _: add_key(tx, services, find_account(tx, account), command)
    )


async def list_keys_of(services: Services, account: str) -> Keys:
    """Return the access keys of an account. Raises UserNotFound."""
    uuid = await find_uuid(services, account)
    keys: Keys = await perform(services, "admin.keys.list", UserByUuid(uuid))
    return keys


async def revoke_key(services: Services, key_id: str) -> None:
    """Revoke the key with this public id. Raises NotFound."""

    def revoke(tx: Transaction, _: Principal) -> WriteResult[None]:
        found = tx.keys.get_with_owner(key_id)
        if found is None:
            raise key_not_found()
        return revoke_keys(tx, found[1], key_id)

    await operator_context(services, "admin.keys.revoke").write(revoke)


async def revoke_keys_of(services: Services, account: str) -> list[str]:
    """Revoke all access keys of an account; return their ids. Raises UserNotFound."""

    def revoke(tx: Transaction, _: Principal) -> WriteResult[list[str]]:
        user = find_account(tx, account)
        ids = [key.id for key in tx.keys.list_for_user(user.id)]
        return revoke_keys(tx, user, UNSET).with_view(lambda _: ids)

    return await operator_context(services, "admin.keys.revoke").write(revoke)
