"""Views of logins, sessions and access keys."""

from typing import Annotated

from typing_extensions import TypeAliasType, TypedDict

from app.domain.credentials import KEYS_MAX, SESSIONS_MAX, AccessKey, Session
from app.domain.key_limits import Scope
from app.operations.formats import (
    AccessKeyText,
    ClientAddress,
    KeyId,
    KeyName,
    Keywords,
    NetworkList,
    SessionId,
    Snowflake,
    Timestamp,
    Token,
    UserAgent,
)


class Login(TypedDict):
    """A token and the user it belongs to."""

    user_id: Snowflake
    token: Token


class RefreshedLogin(Login):
    """A token, the user it belongs to, and its expiry."""

    expires_at: Timestamp


class SessionView(TypedDict):
    """A login session of an account; `current` marks the session of the request."""

    id: SessionId
    created_at: Timestamp
    expires_at: Timestamp
    last_seen_at: Timestamp
    address: ClientAddress | None
    agent: UserAgent | None
    current: bool


Sessions = TypeAliasType("Sessions", Annotated[list[SessionView], Keywords(maxItems=SESSIONS_MAX)])


class KeyView(TypedDict):
    """An access key without its secret; `networks` is null if it may be used from anywhere."""

    id: KeyId
    name: KeyName
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None
    scope: Scope
    networks: NetworkList | None


Keys = TypeAliasType("Keys", Annotated[list[KeyView], Keywords(maxItems=KEYS_MAX)])


class CreatedKey(KeyView):
    """A new access key; `key` is returned only once, and null in a repeated response."""

    key: AccessKeyText | None


def session_view(session: Session, current: str | None) -> SessionView:
    """Return the view of `session`, where `current` is the session of the request."""
    return {
        "id": session.id,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "last_seen_at": session.last_seen_at,
        "address": session.address,
        "agent": session.agent,
        "current": session.id == current,
    }


def key_view(key: AccessKey) -> KeyView:
    """Return the view of `key`."""
    return {
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "scope": key.scope,
        "networks": None if key.networks is None else list(map(str, key.networks.blocks)),
    }
