"""Sessions and access keys of any account, for admins, who cannot create keys for others."""

from dataclasses import dataclass

from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.operations.accounts import find_user_by_uuid
from app.operations.admin_users import UserByUuid, UuidParam
from app.operations.credentials import (
    KeyIdParam,
    SessionIdParam,
    end_sessions,
    list_session_views,
    revoke_keys,
)
from app.operations.formats import Count
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import UNSET, Unset
from app.operations.views.credentials import Keys, Sessions, key_view


async def list_user_sessions(context: OperationContext, command: UserByUuid) -> Sessions:
    """Lists an account's sessions, the oldest first.

    Admins may.
    """

    def read(tx: Transaction, actor: Principal) -> Sessions:
        user = find_user_by_uuid(tx, command.uuid)
        return list_session_views(tx, context.services, user.id, actor.session_id)

    return await context.scan(read)


@dataclass(frozen=True, slots=True)
class RevokeUserSession:
    """The account and session to end."""

    uuid: UuidParam
    id: SessionIdParam | Unset = UNSET


async def revoke_user_session(context: OperationContext, command: RevokeUserSession) -> Count:
    """Ends one of an account's sessions, or without `id` all of them.

    Admins may. Returns how many sessions ended: 0 for an id that is not one of the account's.
    """

    def end(tx: Transaction, _: Principal) -> WriteResult[int]:
        user = find_user_by_uuid(tx, command.uuid)
        return end_sessions(tx, context.services, user, command.id)

    return await context.write(end)


async def list_user_keys(context: OperationContext, command: UserByUuid) -> Keys:
    """Lists an account's access keys, the oldest first, without their secrets.

    Admins may.
    """

    def read(tx: Transaction, _: Principal) -> Keys:
        return [
            key_view(key) for key in tx.keys.list_for_user(find_user_by_uuid(tx, command.uuid).id)
        ]

    return await context.scan(read)


@dataclass(frozen=True, slots=True)
class RevokeUserKey:
    """The account and key to revoke."""

    uuid: UuidParam
    id: KeyIdParam | Unset = UNSET


async def revoke_user_key(context: OperationContext, command: RevokeUserKey) -> bool:
    """Revokes one of an account's access keys, or without `id` all of them.

    Admins may. The keys are invalid immediately.
    """

    def revoke(tx: Transaction, _: Principal) -> WriteResult[None]:
        return revoke_keys(tx, find_user_by_uuid(tx, command.uuid), command.id)

    await context.write(revoke)
    return True
