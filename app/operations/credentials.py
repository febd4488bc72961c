"""A user's own sessions and access keys."""

from dataclasses import dataclass
from typing import Annotated

from app.domain.audit import Changes
from app.domain.credentials import (
    KEYS_MAX,
    AccessKey,
    RawAccessKey,
    parse_key_expiry,
    parse_key_name,
)
from app.domain.errors import Forbidden, NotFound
from app.domain.key_limits import UNLIMITED, KeyLimits, Networks, Scope
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.users import User
from app.operations.accounts import NoInput
from app.operations.formats import Count, KeyId, KeyName, NetworkList, SessionId, Timestamp
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.idempotency import IdempotentRequest
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.services import Services
from app.operations.views.credentials import CreatedKey, Keys, Sessions, key_view, session_view
from app.operations.views.results import Created

SessionIdParam = Annotated[
    SessionId, Param("The session's id.", "5b1c0f4e-6a1f-4d7e-9c55-2f9d2f6f0a11")
]
KeyIdParam = Annotated[KeyId, Param("The key's public id: its first group.", "ABCDEFGH")]


async def list_sessions(context: OperationContext, command: NoInput) -> Sessions:
    """Lists the authenticated user's sessions, the oldest first.

    The holder of any valid credential may. `current` marks the session of the request.
    """

    def read(tx: Transaction, actor: Principal) -> Sessions:
        return list_session_views(tx, context.services, actor.user.id, actor.session_id)

    return await context.scan(read)


def list_session_views(
    tx: Transaction, services: Services, user_id: int, current: str | None
) -> Sessions:
    """Return the active sessions of an account."""
    now = services.clock.now()
    return [
        session_view(s, current) for s in tx.sessions.list_for_user(user_id) if s.is_active(now)
    ]


@dataclass(frozen=True, slots=True)
class RevokeSession:
    """The session to end."""

    id: SessionIdParam | Unset = UNSET


async def revoke_session(context: OperationContext, command: RevokeSession) -> Count:
    """Ends one of the authenticated user's sessions, or without `id` all others.

    The holder of any valid credential may. Returns how many sessions ended: 0 for an id that is not
    one of the user's.
    """

    def end(tx: Transaction, actor: Principal) -> WriteResult[int]:
        keep = actor.session_id if command.id is UNSET else None
        return end_sessions(tx, context.services, actor.user, command.id, keep=keep)

    return await context.write(end)


def end_sessions(
    tx: Transaction,
    services: Services,
    user: User,
    only: str | Unset,
    *,
    keep: str | None = None,
) -> WriteResult[int]:
    """End a session of an account, or all but `keep`. Returns the number of active ones that
    ended."""
    tx.sessions.end_expired(user.id, services.clock.now())
    ended = tx.sessions.end_for_user(user.id, only=None if only is UNSET else only, keep=keep)
    return WriteResult(
        ended, audit_log.account_ref(user), _removed("session", only) if ended else {}
    )


def _removed(kind: str, only: str | Unset) -> Changes:
    """Return the audited change: one credential by its public id, or all."""
    return {f"{kind}s": None} if only is UNSET else {kind: (only, None)}


async def list_keys(context: OperationContext, command: NoInput) -> Keys:
    """Lists the authenticated user's access keys, the oldest first.

    The holder of any valid credential may. The secrets are not included.
    """

    def read(tx: Transaction, actor: Principal) -> Keys:
        return [key_view(key) for key in tx.keys.list_for_user(actor.user.id)]

    return await context.scan(read)


@dataclass(frozen=True, slots=True)
class CreateKey:
    """The name and limits of a new access key.

    Absent limits are those of the key of the request; with a token there are none.
    """

    name: Annotated[KeyName, Param("The purpose of the key: 1 to 64 characters.", "panel")]
    expires_at: Annotated[
        str | None,
        Param(
            "The expiry, RFC 3339; null for never.",
            "2030-01-31T12:00:00Z",
            shown=Timestamp | None,
        ),
    ] = None
    scope: (
        Annotated[
            str,
            Param(
                "`read`: read access; `self`: everything but admin operations; `admin`: all "
                "permissions of the owner.",
                "self",
                shown=Scope,
            ),
        ]
        | Unset
    ) = UNSET
    networks: Annotated[
        NetworkList | None,
        Param(
            "1 to 16 IPv4 and IPv6 networks that may use the key; null for any.",
            ["192.0.2.0/24", "2001:db8::/32"],
        ),
    ] = None


async def create_key(context: OperationContext, command: CreateKey) -> Created[CreatedKey]:
    """Creates an access key for the authenticated user; `key` is returned only in this response.

    The holder of any valid credential may. The key has the user's current permissions, restricted
    by its scope. A key that is created with another key cannot exceed its scope, expiry or
    networks. An account has at most 100 keys; creating one more is `forbidden` until one is
    revoked.
    """

    request = IdempotentRequest[CreatedKey](context, command, shown_once="key")
    if (earlier := await request.find_previous()) is not None:
        return earlier

    def make(tx: Transaction, actor: Principal) -> WriteResult[CreatedKey]:
        return add_key(tx, context.services, actor.user, command, maker=actor.limits)

    return await context.write(lambda tx, actor: request.run(tx, lambda: make(tx, actor)))


def add_key(
    tx: Transaction,
    services: Services,
    user: User,
    command: CreateKey,
    *,
    maker: KeyLimits = UNLIMITED,
    text: str | None = None,
) -> WriteResult[CreatedKey]:
    """Store a new key of an account, within the limits `maker`; only a hash of its secret is
    stored.

    Raises InvalidInput, Forbidden.
    """
    if tx.keys.count_for_user(user.id) >= KEYS_MAX:
        raise Forbidden(f"An account has at most {KEYS_MAX} access keys; revoke one first.")
    now = services.clock.now()
    limits = maker.restrict(
        scope=None if command.scope is UNSET else Scope.parse(command.scope),
        expires_at=parse_key_expiry(command.expires_at, now),
        networks=None if command.networks is None else Networks.parse(command.networks),
    )
    raw_key = RawAccessKey(services.randomness.new_access_key() if text is None else text)
    key = AccessKey(
        id=raw_key.id,
        user_id=user.id,
        name=parse_key_name(command.name),
        secret_hash=raw_key.secret_hash,
        created_at=now,
        expires_at=limits.expires_at,
        last_used_at=None,
        scope=limits.scope,
        networks=limits.networks,
    )
    tx.keys.add(key)
    view: CreatedKey = {**key_view(key), "key": raw_key.text}
    return WriteResult(view, audit_log.account_ref(user), audit_log.diff_entities(None, key))


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """The key to revoke."""

    id: KeyIdParam


async def revoke_key(context: OperationContext, command: RevokeKey) -> bool:
    """Revokes one of the authenticated user's access keys.

    The holder of any valid credential may. The key is invalid immediately.
    """

    await context.write(lambda tx, actor: revoke_keys(tx, actor.user, command.id))
    return True


def key_not_found() -> NotFound:
    """Return the error for an unknown key."""
    return NotFound("There is no such access key. Its id is the first 8 characters of the key.")


def revoke_keys(tx: Transaction, user: User, only: str | Unset) -> WriteResult[None]:
    """Revoke a key of an account, or all. Raises NotFound if the key is unknown."""
    revoked = tx.keys.revoke_for_user(user.id, only=None if only is UNSET else only)
    if only is not UNSET and not revoked:
        raise key_not_found()
    return WriteResult(None, audit_log.account_ref(user), _removed("key", only) if revoked else {})
