"""A user's own sessions and access keys."""

from dataclasses import dataclass
from typing import Annotated

from app.domain.audit import Changes
from app.domain.bounds import UNBOUNDED, Bounds, Networks, Scope
from app.domain.credentials import AccessKey, KeyText, key_expiry, key_name
from app.domain.errors import NotFound
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.users import User
from app.usecases import trail
from app.usecases.accounts import Nothing
from app.usecases.call import Call
from app.usecases.idempotency import Once
from app.usecases.operation import UNSET, Param, Unset
from app.usecases.services import Services
from app.usecases.trail import Done
from app.usecases.views import Created, CreatedKey, KeyView, SessionView, key_view, session_view

SessionId = Annotated[str, Param("The session's id.", "5b1c0f4e-6a1f-4d7e-9c55-2f9d2f6f0a11")]
KeyId = Annotated[str, Param("The key's public id: its first group.", "ABCDEFGH")]


async def list_sessions(call: Call, command: Nothing) -> list[SessionView]:
    """Lists the authenticated user's sessions, the oldest first.

    The holder of any valid credential may. `current` marks the session that asks.
    """

    def read(tx: Transaction, actor: Principal) -> list[SessionView]:
        return views_of_sessions(tx, call.services, actor.user.id, actor.session_id)

    return await call.read(read)


def views_of_sessions(
    tx: Transaction, services: Services, user_id: int, current: str | None
) -> list[SessionView]:
    """The live sessions of an account."""
    now = services.clock.now()
    return [session_view(s, current) for s in tx.sessions.of(user_id) if s.is_live(now)]


@dataclass(frozen=True, slots=True)
class RevokeSession:
    """Which session to end."""

    id: SessionId | Unset = UNSET


async def revoke_session(call: Call, command: RevokeSession) -> int:
    """Ends one of the authenticated user's sessions, or without `id` all but the one that asks.

    The holder of any valid credential may. The answer is how many ended: 0 for an id that is not
    one of his.
    """

    def end(tx: Transaction, actor: Principal) -> Done[int]:
        keep = actor.session_id if command.id is UNSET else None
        return end_sessions(tx, call.services, actor.user, command.id, keep=keep)

    return await call.write(end)


def end_sessions(
    tx: Transaction,
    services: Services,
    user: User,
    only: str | Unset,
    *,
    keep: str | None = None,
) -> Done[int]:
    """End one session of an account, or all but the kept one; how many of the live ones ended."""
    tx.sessions.end_expired(user.id, services.clock.now())
    ended = tx.sessions.end(user.id, only=None if only is UNSET else only, keep=keep)
    return Done(ended, trail.account(user), _gone("session", only) if ended else {})


def _gone(kind: str, only: str | Unset) -> Changes:
    """The one that is gone, by its public id, or that all are."""
    return {f"{kind}s": None} if only is UNSET else {kind: (only, None)}


async def list_keys(call: Call, command: Nothing) -> list[KeyView]:
    """Lists the authenticated user's access keys, the oldest first.

    The holder of any valid credential may. The secrets are not among it.
    """

    def read(tx: Transaction, actor: Principal) -> list[KeyView]:
        return [key_view(key) for key in tx.keys.of(actor.user.id)]

    return await call.read(read)


@dataclass(frozen=True, slots=True)
class CreateKey:
    """What an access key is to be called, and what it is limited to.

    A limit that is left out is that of the key that asks; with a token there is none.
    """

    name: Annotated[str, Param("What the key is for: 1 to 64 characters.", "panel")]
    expires_at: Annotated[
        str | None, Param("When it ends, RFC 3339; null for never.", "2030-01-31T12:00:00Z")
    ] = None
    scope: (
        Annotated[
            str,
            Param(
                "`read`: what changes nothing; `self`: what takes no admin; `admin`: all that its "
                "owner may.",
                "self",
                choices=tuple(Scope),
            ),
        ]
        | Unset
    ) = UNSET
    networks: Annotated[
        list[str] | None,
        Param(
            "Where it may be used from: 1 to 16 IPv4 and IPv6 networks; null for anywhere.",
            ["192.0.2.0/24", "2001:db8::/32"],
        ),
    ] = None


async def create_key(call: Call, command: CreateKey) -> Created[CreatedKey]:
    """Creates an access key for the authenticated user; `key` is shown this once.

    The holder of any valid credential may. The key acts for him with his rights of the moment, as
    far as its scope reaches. One made with a key is never more than that one: not in scope, end
    or networks.
    """

    once = Once[CreatedKey](call, command, shown_once="key")
    if (earlier := await once.earlier()) is not None:
        return earlier

    def make(tx: Transaction, actor: Principal) -> Done[CreatedKey]:
        return make_key(tx, call.services, actor.user, command, maker=actor.bounds)

    return await call.write(lambda tx, actor: once.keep(tx, lambda: make(tx, actor)))


def make_key(
    tx: Transaction,
    services: Services,
    user: User,
    command: CreateKey,
    *,
    maker: Bounds = UNBOUNDED,
    text: str | None = None,
) -> Done[CreatedKey]:
    """Store a new key of an account, within `maker`; only a hash of its secret is kept.

    Raises InvalidInput, Forbidden.
    """
    now = services.clock.now()
    bounds = maker.narrowed(
        scope=None if command.scope is UNSET else Scope.parse(command.scope),
        expires_at=key_expiry(command.expires_at, now),
        networks=None if command.networks is None else Networks.parse(command.networks),
    )
    key_text = KeyText(services.randomness.access_key() if text is None else text)
    key = AccessKey(
        id=key_text.id,
        user_id=user.id,
        name=key_name(command.name),
        secret_hash=key_text.secret_hash,
        created_at=now,
        expires_at=bounds.expires_at,
        last_used_at=None,
        scope=bounds.scope,
        networks=bounds.networks,
    )
    tx.keys.add(key)
    view: CreatedKey = {**key_view(key), "key": key_text.text}
    return Done(view, trail.account(user), {"key": (None, key.id)})


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """Which key to revoke."""

    id: KeyId


async def revoke_key(call: Call, command: RevokeKey) -> bool:
    """Revokes one of the authenticated user's access keys.

    The holder of any valid credential may. It is dead at once.
    """

    await call.write(lambda tx, actor: revoke_keys(tx, actor.user, command.id))
    return True


def no_such_key() -> NotFound:
    """The refusal of a key that is not there."""
    return NotFound("There is no such access key.")


def revoke_keys(tx: Transaction, user: User, only: str | Unset) -> Done[None]:
    """Revoke one key of an account, or all of them. Raises NotFound where there is no such one."""
    revoked = tx.keys.revoke(user.id, only=None if only is UNSET else only)
    if only is not UNSET and not revoked:
        raise no_such_key()
    return Done(None, trail.account(user), _gone("key", only) if revoked else {})
