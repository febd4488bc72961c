"""Views: the shapes of results in both APIs, as the contract defines them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, NotRequired, TypeVar, cast

from typing_extensions import TypeAliasType, TypedDict

from app.domain.audit import Change, Door, Entry, Ref, RefKind, Value
from app.domain.credentials import KEYS_MAX, SESSIONS_MAX, AccessKey, Session
from app.domain.guilds_and_servers import Guild, Server
from app.domain.json_rows import RowShape
from app.domain.key_limits import Scope
from app.domain.outbox import Delivery, State
from app.domain.policy import Principal, is_admin
from app.domain.presence import Presence
from app.domain.timestamps import format_time
from app.domain.users import PAGE_MAX, User
from app.operations.formats import (
    AccessKeyText,
    AccountId,
    AuditValue,
    Bit,
    ClientAddress,
    Count,
    Cursor,
    DisplayName,
    EmailAddress,
    IconUrl,
    Identifier,
    KeyId,
    KeyName,
    Keywords,
    Label,
    NetworkList,
    NewPassword,
    Number,
    RequestId,
    SessionId,
    Snowflake,
    Text,
    Timestamp,
    Token,
    UserAgent,
    UsernameText,
    Uuid,
    UuidList,
)

T = TypeVar("T")


class ChatUser(TypedDict):
    """An account as the chat shows it."""

    id: Snowflake
    username: UsernameText
    display_name: DisplayName
    presence: Presence | None


class Profile(TypedDict):
    """The part of an account that other users see."""

    id: Snowflake
    username: UsernameText
    display_name: DisplayName


Profiles = TypeAliasType("Profiles", Annotated[list[Profile], Keywords(maxItems=PAGE_MAX)])


class Identity(TypedDict):
    """The identity of a user, for a service without its own accounts.

    `admin` is 1 if the request has admin privileges, so not with a key of the scope `self`.
    """

    uuid: Uuid
    user_id: Snowflake
    username: UsernameText
    admin: Bit


class _PanelRow(TypedDict):
    id: Number
    username: UsernameText
    email: EmailAddress | None
    admin: Bit
    disabled: NotRequired[Bit]


class PanelUser(_PanelRow):
    """An account in a list of the panel; `disabled` is present only where it is 1, `locked_until`
    only while too many wrong passwords lock the account."""

    locked_until: NotRequired[Timestamp]


# Derived from the type, so that the members are defined once.
PANEL_USER = RowShape(
    tuple((name, {"id": "number"}.get(name, name)) for name in _PanelRow.__annotations__),
    _PanelRow.__optional_keys__,
)
PanelUsers = TypeAliasType("PanelUsers", dict[str, PanelUser])


class PanelUserDetail(PanelUser):
    """An account of the panel with the uuids of its servers."""

    servers: UuidList


class _Names(TypedDict):
    uuid: Uuid
    user_id: Snowflake
    password: NotRequired[NewPassword | None]


class CreatedUser(_PanelRow, _Names):
    """A new account; `password` is present only if it was generated, and null in a repeated
    response."""


class AccountView(_PanelRow):
    """An account with all its names, as commands print it."""

    uuid: Uuid
    user_id: Snowflake
    display_name: DisplayName


class UserPage(TypedDict):
    """A page of a list, by uuid; `next` is the cursor of the next page, null on the last."""

    users: PanelUsers
    next: Cursor | None


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


class GuildView(TypedDict):
    """A guild of the chat."""

    id: Snowflake
    name: Label
    owner_id: Snowflake
    icon: IconUrl | None


Guilds = TypeAliasType("Guilds", list[GuildView])


class MemberPage(TypedDict):
    """A page of a guild's members; `next` is the cursor of the next page, null on the last."""

    members: Profiles
    next: Cursor | None


class ServerView(TypedDict):
    """A game server of the panel; `active` is 0 while its owner is disabled."""

    id: Number
    owner: Uuid
    name: Label
    active: Bit


class AuditRef(TypedDict):
    """The object that an entry of the audit trail refers to: its kind and its public id."""

    kind: RefKind
    id: Identifier


class AuditChange(TypedDict):
    """The values of a member before and after a change; null if there was none."""

    before: AuditValue
    after: AuditValue


AuditChanges = TypeAliasType("AuditChanges", dict[str, AuditChange | None])


class AuditEntry(TypedDict):
    """An entry of the audit trail.

    `actor` is an account's uuid, `operator`, or null for an anonymous caller. `outcome` is `done`
    or the code of an error. `changes` contains each member that changed, with null if its values
    are not kept.
    """

    id: Number
    at: Timestamp
    actor: AccountId | None
    action: Identifier
    outcome: Identifier
    target: AuditRef | None
    changes: AuditChanges
    door: Door
    address: ClientAddress | None
    request_id: RequestId | None
    credential: AuditRef | None


AuditEntries = TypeAliasType(
    "AuditEntries", Annotated[list[AuditEntry], Keywords(maxItems=PAGE_MAX)]
)


class AuditPage(TypedDict):
    """A page of the audit trail; `next` is the cursor of the next page, null on the last."""

    entries: AuditEntries
    next: Cursor | None


Json = TypeAliasType("Json", dict[str, Any])


class OutboxMessage(TypedDict):
    """A message for an external service.

    `due_at` is the earliest time of the next attempt, null if there is none; `error` is the reason
    why the last attempt failed; `outcome` is the result of the delivery, if it has one.
    """

    id: Number
    kind: Identifier
    user_id: Snowflake
    payload: Json
    state: State
    created_at: Timestamp
    attempts: Count
    due_at: Timestamp | None
    ended_at: Timestamp | None
    outcome: Json | None
    error: Text | None


OutboxMessages = TypeAliasType(
    "OutboxMessages", Annotated[list[OutboxMessage], Keywords(maxItems=PAGE_MAX)]
)


class OutboxPage(TypedDict):
    """A page of the outbox; `next` is the cursor of the next page, null on the last."""

    messages: OutboxMessages
    next: Cursor | None


Servers = TypeAliasType("Servers", dict[str, ServerView])


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """A view, with data that only some APIs can return."""

    view: T


@dataclass(frozen=True, slots=True)
class WithETag(Result[T]):
    """A view with the entity tag of its version."""

    etag: str


@dataclass(frozen=True, slots=True)
class Put(Result[T]):
    """A view, and if the object is new."""

    created: bool


@dataclass(frozen=True, slots=True)
class Created(Result[T]):
    """A view, and if it is the response to an earlier request with the same key."""

    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class IssuedLogin(Result[T]):
    """A view with the expiry of the token, and the seconds until then."""

    expires_at: datetime
    expires_in: int


@dataclass(frozen=True, slots=True)
class RawJson(Generic[T]):
    """A view that is already JSON."""

    json: bytes


@dataclass(frozen=True, slots=True)
class RawJsonPage(RawJson[T]):
    """A page that is already JSON, with its list and the next cursor separately."""

    listed: bytes
    next: str | None


def render_user_page(members: Sequence[str], following: str | None) -> RawJsonPage[UserPage]:
    """Render a page of accounts from their JSON members."""
    listed = render_users(members)
    whole = b'{"users":%b,"next":%b}' % (listed, json.dumps(following).encode())
    return RawJsonPage(whole, listed, following)


def render_users(members: Iterable[str]) -> bytes:
    """Render a JSON object from its members."""
    return f"{{{','.join(members)}}}".encode()


def with_locks(members: Sequence[str], locks: Mapping[str, datetime]) -> Sequence[str]:
    """Add to the JSON members of a list when the accounts' locks end, by uuid."""
    if not locks:
        return members
    return [_with_lock(member, locks.get(uuid_of(member))) for member in members]


def _with_lock(member: str, end: datetime | None) -> str:
    return member if end is None else f'{member[:-1]},"locked_until":"{format_time(end)}"}}'


def uuid_of(member: str) -> str:
    """Return the uuid that is the name of a JSON member."""
    return member[1 : member.index('"', 1)]


def bit(value: bool) -> Bit:
    """Return a flag as 0 or 1."""
    return 1 if value else 0


def chat_user(user: User) -> ChatUser:
    """Return the chat's view of `user`."""
    return {
        "id": str(user.id),
        "username": user.username,
        "display_name": user.display_name,
        "presence": user.presence,
    }


def profile(user: User) -> Profile:
    """Return the profile of `user`."""
    return {"id": str(user.id), "username": user.username, "display_name": user.display_name}


def identity(actor: Principal) -> Identity:
    """Return the identity of `actor`."""
    return {
        "uuid": actor.user.uuid,
        "user_id": str(actor.user.id),
        "username": actor.user.username,
        "admin": bit(is_admin(actor)),
    }


def panel_user(user: User) -> PanelUser:
    """Return the list view of `user`, who is not locked."""
    return cast("PanelUser", PANEL_USER.render(user))


def panel_user_detail(
    user: User, servers: Iterable[str], locked_until: datetime | None = None
) -> PanelUserDetail:
    """Return the panel's view of `user` with their servers."""
    view: PanelUserDetail = {**panel_user(user), "servers": list(servers)}
    if locked_until is not None:
        view["locked_until"] = locked_until
    return view


def created_user(user: User, generated_password: str | None) -> CreatedUser:
    """Return the view of a new account."""
    names: _Names = {"uuid": user.uuid, "user_id": str(user.id)}
    if generated_password is not None:
        names["password"] = generated_password
    return cast("CreatedUser", {**PANEL_USER.render(user), **names})


def account_view(user: User) -> AccountView:
    """Return the view of an account with all its names."""
    names = {"uuid": user.uuid, "user_id": str(user.id), "display_name": user.display_name}
    return cast("AccountView", {**PANEL_USER.render(user), **names})


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


def guild_view(guild: Guild) -> GuildView:
    """Return the view of `guild`."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "owner_id": str(guild.owner_id),
        "icon": guild.icon,
    }


def server_view(server: Server) -> ServerView:
    """Return the view of `server`."""
    return {
        "id": server.number,
        "owner": server.owner_uuid,
        "name": server.name,
        "active": bit(server.active),
    }


def entry_view(entry: Entry) -> AuditEntry:
    """Return the view of `entry`."""
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
    """Return the view of an outbox message."""
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
