"""What an admin does with accounts."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from app.domain.audit import Changes
from app.domain.errors import Flaw, InvalidInput
from app.domain.names import Email, Username, display_name, email_key
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.users import (
    PAGE_MAX,
    AccountRef,
    NewUser,
    Position,
    Sort,
    SortKey,
    Status,
    User,
    UserFilter,
    parse_snowflake,
)
from app.usecases import trail
from app.usecases.accounts import (
    DisplayNameParam,
    PasswordParam,
    UsernameParam,
    add_user,
    find_by_uuid,
    hash_of_chosen,
    rename,
    settle,
)
from app.usecases.call import Call
from app.usecases.idempotency import Once
from app.usecases.operation import UNSET, Param, Unset
from app.usecases.paging import (
    LIMIT_DEFAULT,
    cursor_after,
    position_of,
    read_cursor,
    require_limit,
)
from app.usecases.services import Services
from app.usecases.trail import Done
from app.usecases.views import (
    PANEL_USER,
    Created,
    CreatedUser,
    PanelUser,
    PanelUserDetail,
    PanelUsers,
    Tagged,
    UserPage,
    WrittenPage,
    created_user,
    panel_user_detail,
    user_page,
    users_object,
)

UuidParam = Annotated[
    str,
    Param("The account's uuid, in any case.", "0f8fad5b-d9cb-469f-a165-70867728950e"),
]
EmailParam = Annotated[str, Param("An e-mail address.", "new@example.com")]
AdminParam = Annotated[
    bool, Param("Whether or not this user is an administrator: 1 for yes, 0 for no.", 0)
]


@dataclass(frozen=True, slots=True)
class ListUsers:
    """Which accounts to list, in which order, and which part of the list."""

    username: Annotated[str, Param("This username exactly.", "demoaccount")] | Unset = UNSET
    email: Annotated[str, Param("This address exactly, in any case.")] | Unset = UNSET
    user_id: Annotated[str, Param("This snowflake.", "71395574100676609")] | Unset = UNSET
    admin: Annotated[bool, Param("Only admins, or only others.", 1)] | Unset = UNSET
    q: Annotated[str, Param("A part of the username or e-mail, taken literally.")] | Unset = UNSET
    status: Annotated[str, Param("Which accounts.", "active", choices=tuple(Status))] = "active"
    sort: Annotated[
        str,
        Param(
            "What to sort by; `-` before it descends.",
            "id",
            choices=(*SortKey, *(f"-{key}" for key in SortKey)),
        ),
    ] = "id"
    limit: Annotated[
        int, Param("Accounts on a page.", LIMIT_DEFAULT, minimum=1, maximum=PAGE_MAX)
    ] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Param("Where the page before ended.")] = None


async def list_users(call: Call, command: ListUsers) -> WrittenPage[UserPage]:
    """Returns a list of all users who have an account on the panel, page by page.

    Admins may. The list is keyed by uuid. A cursor belongs to the filters and the order that it
    was given with.
    """

    def read(tx: Transaction, _: Principal) -> WrittenPage[UserPage]:
        require_limit(command.limit)
        wanted, sort = _wanted(command), Sort.parse(command.sort)
        after = None if command.cursor is None else read_cursor(command.cursor, wanted, sort)
        users = tx.users.page(wanted, sort, after, command.limit + 1, PANEL_USER)
        page, more = users[: command.limit], len(users) > command.limit
        return user_page(page, cursor_after(_last(page), wanted, sort) if more else None)

    # A search may have to look at every account, and a long page takes its time.
    is_short = command.q is UNSET and command.limit <= LIMIT_DEFAULT
    return await (call.read(read) if is_short else call.scan(read))


async def stream_users(call: Call, command: ListUsers) -> AsyncIterator[bytes]:
    """The whole list, a JSON object at a time, in flat memory; `limit` and `cursor` do not count.

    Each piece is a view of its own, and the permission is asked for each: no slow reader holds the
    store. Somebody renamed meanwhile is shown at most once, whatever the order.
    """
    await call.actor()
    wanted, sort = _wanted(command), Sort.parse(command.sort)
    shown: set[int] = set()
    after: Position | None = None

    def piece(tx: Transaction, _: Principal) -> Sequence[str]:
        return tx.users.page(wanted, sort, after, PAGE_MAX, PANEL_USER)

    while True:
        users = await call.scan(piece)
        if sort.key is SortKey.ID:
            yield users_object(users)
        else:
            numbers = [user["id"] for user in _read(users)]
            yield users_object(
                user for user, number in zip(users, numbers, strict=True) if number not in shown
            )
            shown.update(numbers)
        if len(users) < PAGE_MAX:
            return
        after = position_of(_last(users), sort)


def _last(members: Sequence[str]) -> PanelUser:
    (user,) = _read(members[-1:])
    return user


def _read(members: Sequence[str]) -> Iterable[PanelUser]:
    users: PanelUsers = json.loads(users_object(members))
    return users.values()


def _wanted(command: ListUsers) -> UserFilter:
    if command.status not in set(Status):
        raise InvalidInput.of(Flaw("status", f"must be one of {', '.join(Status)}"))
    user_id = None
    if command.user_id is not UNSET and (user_id := parse_snowflake(command.user_id)) is None:
        raise InvalidInput.of(Flaw("user_id", "must be a snowflake: a decimal string"))
    username = None
    if command.username is not UNSET:
        found = Username.find(command.username)
        username = "" if found is None else found.value
    return UserFilter(
        status=Status(command.status),
        username=username,
        email_key=None if command.email is UNSET else email_key(command.email),
        id=user_id,
        admin=None if command.admin is UNSET else command.admin,
        text=None if command.q is UNSET else command.q or None,
    )


@dataclass(frozen=True, slots=True)
class UserByUuid:
    """Which account."""

    uuid: UuidParam


async def get_user(call: Call, command: UserByUuid) -> Tagged[PanelUserDetail]:
    """Returns information about the requested user, with the servers that are his.

    Admins may. Where a panel keeps the servers and gives no answer, they are shown as it told them
    last, for up to an hour; the header `Cache-Status` says so.
    """

    def read(tx: Transaction, _: Principal) -> Tagged[PanelUserDetail]:
        user = find_by_uuid(tx, command.uuid)
        return Tagged(panel_user_detail(user, tx.servers.uuids_of(user.id)), user.etag)

    panel = call.services.panel
    if panel is None:
        return await call.read(read)
    user = await call.read(lambda tx, _: find_by_uuid(tx, command.uuid))
    servers = [server.uuid for server in await call.ask(panel.servers_of(user.uuid))]
    return Tagged(panel_user_detail(user, servers), user.etag_with(servers))


@dataclass(frozen=True, slots=True)
class AdminCreateUser:
    """What an admin creates an account from."""

    username: UsernameParam
    email: EmailParam
    password: (
        Annotated[str, Param("The raw password; generated where absent.", "rawPassword1")] | Unset
    ) = UNSET
    admin: AdminParam = False
    display_name: DisplayNameParam | Unset = UNSET


async def admin_create_user(call: Call, command: AdminCreateUser) -> Created[CreatedUser]:
    """Creates a new user based on data sent by an admin.

    Admins may, also with a reserved name or one that is held back. Where no password is sent, one
    is generated and shown this once.
    """
    await call.actor()
    once = Once[CreatedUser](
        call,
        command,
        account=lambda view: AccountRef(uuid=view["uuid"]),
        shown_once="password",
    )
    if (earlier := await once.earlier()) is not None:
        return earlier
    new, generated = await prepare_user(call.services, command, command.email)

    def create(tx: Transaction) -> Done[CreatedUser]:
        added = add_user(tx, call.services, new, held_too=True)
        return added.showing(lambda user: created_user(user, generated))

    return await call.write(lambda tx, _: once.keep(tx, lambda: create(tx)))


async def prepare_user(
    services: Services, command: AdminCreateUser, email: str | None
) -> tuple[NewUser, str | None]:
    """The account to create, and its password where it was generated."""
    username = Username.parse(command.username)
    shown = command.username if command.display_name is UNSET else command.display_name
    address = None if email is None else Email.parse(email).value
    generated: str | None = None
    if command.password is UNSET:
        generated = services.randomness.password()
        hashed = await services.hasher.hash(generated)
    else:
        hashed = await hash_of_chosen(services, command.password, username.value, address)
    new = NewUser(
        id=services.ids.snowflake(),
        uuid=services.ids.uuid(),
        username=username.value,
        skeleton=username.skeleton,
        display_name=display_name(shown),
        email=address,
        password_hash=hashed,
        admin=command.admin,
    )
    return new, generated


@dataclass(frozen=True, slots=True)
class AdminUpdateUser:
    """What an admin changes of an account; what is absent stays."""

    uuid: UuidParam
    username: UsernameParam | Unset = UNSET
    email: (
        Annotated[str | None, Param("New e-mail; null removes it.", "new@example.com")] | Unset
    ) = UNSET
    admin: AdminParam | Unset = UNSET
    password: PasswordParam | Unset = UNSET
    display_name: DisplayNameParam | Unset = UNSET
    disabled: Annotated[bool, Param("Whether the account is disabled.", 0)] | Unset = UNSET
    if_match: Annotated[str, Param("Only while this is the account's ETag.")] | Unset = UNSET


async def admin_update_user(call: Call, command: AdminUpdateUser) -> bool:
    """Updates user information.

    Admins may; the parameters do not all have to be sent. A new password ends the account's
    sessions; disabling ends its sessions and keys and stops its servers, and enabling restores
    those servers. The last active admin can be neither disabled nor demoted.
    """
    hashed = await _hash_of_new_password(call, command)

    def change(tx: Transaction, actor: Principal) -> Done[User]:
        before = find_by_uuid(tx, command.uuid)
        if command.if_match is not UNSET:
            before.require_match(command.if_match)
        after = _with_changes(before, command)
        if hashed is not None:
            after = replace(after, password_hash=hashed)
        if command.username is not UNSET:
            username = Username.parse(command.username)
            after = rename(tx, call.services, after, username, actor)
        return settle(tx, before, after, actor)

    await call.write(change)
    return True


def _with_changes(user: User, command: AdminUpdateUser) -> User:
    if command.email is not UNSET:
        email = None if command.email is None else Email.parse(command.email).value
        user = replace(user, email=email)
    if command.admin is not UNSET:
        user = replace(user, admin=command.admin)
    if command.display_name is not UNSET:
        user = replace(user, display_name=display_name(command.display_name))
    if command.disabled is not UNSET:
        user = replace(user, disabled=command.disabled)
    return user


async def _hash_of_new_password(call: Call, command: AdminUpdateUser) -> str | None:
    if command.password is UNSET:
        return None
    user = await call.read(lambda tx, _: find_by_uuid(tx, command.uuid))
    after = _with_changes(user, command)
    name = user.username
    if command.username is not UNSET:
        name = Username.parse(command.username).value
    return await hash_of_chosen(call.services, command.password, name, after.email)


async def disable_user(call: Call, command: UserByUuid) -> bool:
    """Deletes a user given a specified UUID. This only disables the account and its servers.

    Admins may. Ends the account's sessions and keys at once; its name and its data stay. Doing it
    again changes nothing.
    """
    return await admin_update_user(call, AdminUpdateUser(command.uuid, disabled=True))


async def unlock_user(call: Call, command: UserByUuid) -> bool:
    """Lifts the lock that too many wrong passwords have put on an account.

    Admins may. Where there is none, nothing happens; a new password lifts it, too.
    """

    def lift(tx: Transaction, _: Principal) -> Done[bool]:
        user = find_by_uuid(tx, command.uuid)
        changes: Changes = {"lock": None} if tx.attempts.forgive(user.id) else {}
        return Done(True, trail.account(user), changes)

    return await call.write(lift)
