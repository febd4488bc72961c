"""Views of accounts, for their users and for admins."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, NotRequired, cast

from typing_extensions import TypeAliasType, TypedDict

from app.domain.json_rows import RowShape
from app.domain.policy import Principal, is_admin
from app.domain.presence import Presence
from app.domain.timestamps import format_time
from app.domain.users import PAGE_MAX, User
from app.operations.formats import (
    Bit,
    Cursor,
    DisplayName,
    EmailAddress,
    Keywords,
    NewPassword,
    Number,
    Snowflake,
    Timestamp,
    UsernameText,
    Uuid,
    UuidList,
    bit,
)
from app.operations.views.results import RawJsonPage


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
