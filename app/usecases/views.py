"""What an answer shows: the shapes of the wire contract, member by member, for both doors."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, NotRequired, TypeVar, cast

from typing_extensions import TypeAliasType, TypedDict

from app.domain.audit import Change, Door, Entry, Ref, RefKind, Value
from app.domain.bounds import Scope
from app.domain.credentials import AccessKey, Session
from app.domain.outbox import Delivery, State
from app.domain.policy import Principal, is_admin
from app.domain.presence import Presence
from app.domain.registry import Guild, Server
from app.domain.shapes import Shape
from app.domain.users import User

T = TypeVar("T")
# A type that is to have a name in the documents is an alias that knows its name.
Bit = TypeAliasType("Bit", Literal[0, 1])


class ChatUser(TypedDict):
    """An account as the chat sees it."""

    id: str
    username: str
    display_name: str
    presence: Presence | None


class Identity(TypedDict):
    """Who somebody is, for a service that has no accounts of its own.

    `admin` is 1 for an admin who acts as one, so not with a key of the scope `self`.
    """

    uuid: str
    user_id: str
    username: str
    admin: Bit


class PanelUser(TypedDict):
    """An account as the panel lists it; `disabled` is there only where it is 1."""

    id: int
    username: str
    email: str | None
    admin: Bit
    disabled: NotRequired[Literal[1]]


# Made of the type, so that it stands there alone.
PANEL_USER = Shape(
    tuple((name, {"id": "number"}.get(name, name)) for name in PanelUser.__annotations__),
    PanelUser.__optional_keys__,
)
PanelUsers = TypeAliasType("PanelUsers", dict[str, PanelUser])


class PanelUserDetail(PanelUser):
    """An account as the panel shows it: the list's members and its servers' uuids."""

    servers: list[str]


class _Names(TypedDict):
    uuid: str
    user_id: str
    password: NotRequired[str | None]


class CreatedUser(PanelUser, _Names):
    """An account just created; `password` is there only where it was generated, and null where the
    answer is repeated."""


class UserPage(TypedDict):
    """A page of a list, by uuid; `next` is the cursor of the page after it, null on the last."""

    users: PanelUsers
    next: str | None


class Login(TypedDict):
    """A token and whose it is."""

    user_id: str
    token: str


class SessionView(TypedDict):
    """One login of an account; `current` is the one that asks."""

    id: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    address: str | None
    agent: str | None
    current: bool


class KeyView(TypedDict):
    """An access key, without its secret; `networks` is null where it may be used from anywhere."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    scope: Scope
    networks: list[str] | None


class CreatedKey(KeyView):
    """An access key just created; `key` is shown this once, null where the answer is repeated."""

    key: str | None


class GuildView(TypedDict):
    """A guild of the chat."""

    id: str
    name: str
    owner_id: str
    icon: str | None


class ServerView(TypedDict):
    """A game server of the panel; `active` is 0 while its owner is disabled."""

    id: int
    owner: str
    name: str
    active: Bit


class AuditRef(TypedDict):
    """What an entry of the audit trail speaks of: its kind and its public id."""

    kind: RefKind
    id: str


class AuditChange(TypedDict):
    """What a member was and what it is; null for nothing."""

    before: str | Bit | None
    after: str | Bit | None


class AuditEntry(TypedDict):
    """A line of the audit trail.

    `actor` is an account's uuid, `operator`, or null for anyone. `outcome` is `done` or the code of
    a refusal. `changes` names each member that changed, with null where its values are not kept.
    """

    id: int
    at: datetime
    actor: str | None
    action: str
    outcome: str
    target: AuditRef | None
    changes: dict[str, AuditChange | None]
    door: Door
    address: str | None
    request_id: str | None
    credential: AuditRef | None


class AuditPage(TypedDict):
    """A page of the trail; `next` is the cursor of the page after it, null on the last."""

    entries: list[AuditEntry]
    next: str | None


Json = TypeAliasType("Json", dict[str, Any])


class OutboxMessage(TypedDict):
    """A message for the outside.

    `due_at` is when the next attempt may begin, null where there is none to come; `error` is why
    the last one failed; `outcome` is what came of it in the end, where there is anything to say.
    """

    id: int
    kind: str
    user_id: str
    payload: Json
    state: State
    created_at: datetime
    attempts: int
    due_at: datetime | None
    ended_at: datetime | None
    outcome: Json | None
    error: str | None


class OutboxPage(TypedDict):
    """A page of the outbox; `next` is the cursor of the page after it, null on the last."""

    messages: list[OutboxMessage]
    next: str | None


Servers = TypeAliasType("Servers", dict[str, ServerView])


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """A view, and beside it what only some doors have a place for."""

    view: T


@dataclass(frozen=True, slots=True)
class Tagged(Result[T]):
    """With the entity tag of its version."""

    etag: str


@dataclass(frozen=True, slots=True)
class Put(Result[T]):
    """With whether it is new."""

    created: bool


@dataclass(frozen=True, slots=True)
class Created(Result[T]):
    """With whether it is the answer to an earlier request of the same key."""

    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Issued(Result[T]):
    """With the seconds until the token expires."""

    expires_in: int


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """A view that is JSON already."""

    json: bytes


@dataclass(frozen=True, slots=True)
class WrittenPage(Written[T]):
    """With what the page lists and the cursor of the next one by themselves."""

    listed: bytes
    next: str | None


def user_page(members: Sequence[str], following: str | None) -> WrittenPage[UserPage]:
    """The page of accounts that are JSON already."""
    listed = users_object(members)
    whole = b'{"users":%b,"next":%b}' % (listed, json.dumps(following).encode())
    return WrittenPage(whole, listed, following)


def users_object(members: Iterable[str]) -> bytes:
    """The JSON object of these members."""
    return f"{{{','.join(members)}}}".encode()


def bit(value: bool) -> Bit:
    """A flag as the wire writes it."""
    return 1 if value else 0


def chat_user(user: User) -> ChatUser:
    """The chat's view of `user`."""
    return {
        "id": str(user.id),
        "username": user.username,
        "display_name": user.display_name,
        "presence": user.presence,
    }


def identity(actor: Principal) -> Identity:
    """Who `actor` is."""
    return {
        "uuid": actor.user.uuid,
        "user_id": str(actor.user.id),
        "username": actor.user.username,
        "admin": bit(is_admin(actor)),
    }


def panel_user(user: User) -> PanelUser:
    """The list's view of `user`."""
    return cast("PanelUser", PANEL_USER.of(user))


def panel_user_detail(user: User, servers: Iterable[str]) -> PanelUserDetail:
    """The panel's view of `user` with his servers."""
    return {**panel_user(user), "servers": list(servers)}


def created_user(user: User, generated_password: str | None) -> CreatedUser:
    """The view of an account just created."""
    names: _Names = {"uuid": user.uuid, "user_id": str(user.id)}
    if generated_password is not None:
        names["password"] = generated_password
    return {**panel_user(user), **names}


def session_view(session: Session, current: str | None) -> SessionView:
    """The view of `session`, seen from the session `current`."""
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
    """The view of `key`."""
    return {
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "scope": key.scope,
        "networks": None if key.networks is None else list(map(str, key.networks.blocks)),
    }


def guild_view(guild: Guild) -> GuildView:
    """The view of `guild`."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "owner_id": str(guild.owner_id),
        "icon": guild.icon,
    }


def server_view(server: Server) -> ServerView:
    """The view of `server`."""
    return {
        "id": server.number,
        "owner": server.owner_uuid,
        "name": server.name,
        "active": bit(server.active),
    }


def entry_view(entry: Entry) -> AuditEntry:
    """The view of `entry`."""
    return {
        "id": entry.number,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "target": _ref_view(entry.target),
        "changes": {name: _change_view(change) for name, change in entry.changes.items()},
        "door": entry.door,
        "address": entry.address,
        "request_id": entry.request_id,
        "credential": _ref_view(entry.credential),
    }


def message_view(delivery: Delivery) -> OutboxMessage:
    """The view of a message in the outbox."""
    return {
        "id": delivery.number,
        "kind": delivery.message.kind,
        "user_id": str(delivery.message.subject),
        "payload": dict(delivery.message.payload),
        "state": delivery.state,
        "created_at": delivery.created_at,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at if delivery.state is State.WAITING else None,
        "ended_at": delivery.ended_at,
        "outcome": None if delivery.outcome is None else dict(delivery.outcome),
        "error": delivery.error,
    }


def _ref_view(ref: Ref | None) -> AuditRef | None:
    return None if ref is None else {"kind": ref.kind, "id": ref.id}


def _change_view(change: Change) -> AuditChange | None:
    if change is None:
        return None
    before, after = map(_value, change)
    return {"before": before, "after": after}


def _value(value: Value) -> str | Bit | None:
    return bit(value) if isinstance(value, bool) else value
