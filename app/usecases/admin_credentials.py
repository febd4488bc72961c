"""What an admin does with the sessions and access keys of an account. Nobody makes keys for it."""

from dataclasses import dataclass

from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.usecases.accounts import find_by_uuid
from app.usecases.admin_users import UserByUuid, UuidParam
from app.usecases.call import Call
from app.usecases.credentials import (
    KeyId,
    SessionId,
    end_sessions,
    revoke_keys,
    views_of_sessions,
)
from app.usecases.operation import UNSET, Unset
from app.usecases.trail import Done
from app.usecases.views import KeyView, SessionView, key_view


async def list_user_sessions(call: Call, command: UserByUuid) -> list[SessionView]:
    """Lists an account's sessions, the oldest first.

    Admins may.
    """

    def read(tx: Transaction, actor: Principal) -> list[SessionView]:
        user = find_by_uuid(tx, command.uuid)
        return views_of_sessions(tx, call.services, user.id, actor.session_id)

    return await call.read(read)


@dataclass(frozen=True, slots=True)
class RevokeUserSession:
    """Whose session to end, and which."""

    uuid: UuidParam
    id: SessionId | Unset = UNSET


async def revoke_user_session(call: Call, command: RevokeUserSession) -> int:
    """Ends one of an account's sessions, or without `id` all of them.

    Admins may. The answer is how many ended: 0 for an id that is not one of the account's.
    """

    def end(tx: Transaction, _: Principal) -> Done[int]:
        user = find_by_uuid(tx, command.uuid)
        return end_sessions(tx, call.services, user, command.id)

    return await call.write(end)


async def list_user_keys(call: Call, command: UserByUuid) -> list[KeyView]:
    """Lists an account's access keys, the oldest first, without their secrets.

    Admins may.
    """

    def read(tx: Transaction, _: Principal) -> list[KeyView]:
        return [key_view(key) for key in tx.keys.of(find_by_uuid(tx, command.uuid).id)]

    return await call.read(read)


@dataclass(frozen=True, slots=True)
class RevokeUserKey:
    """Whose key to revoke, and which."""

    uuid: UuidParam
    id: KeyId | Unset = UNSET


async def revoke_user_key(call: Call, command: RevokeUserKey) -> bool:
    """Revokes one of an account's access keys, or without `id` all of them.

    Admins may. They are dead at once.
    """

    def revoke(tx: Transaction, _: Principal) -> Done[None]:
        return revoke_keys(tx, find_by_uuid(tx, command.uuid), command.id)

    await call.write(revoke)
    return True
