"""Accounts, for admins."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from app.domain.audit import Changes
from app.domain.errors import FieldError, InvalidEmail, InvalidInput
from app.domain.names import Email, Username, parse_display_name, parse_stored_username
from app.domain.policy import Principal
from app.domain.ports import Panel, Transaction
from app.domain.rate_limits import LOCK_MAX, last_lock_end
from app.domain.users import (
    PAGE_MAX,
    SEARCH_MAX,
    AccountRef,
    Position,
    Sort,
    SortKey,
    Status,
    User,
    UserFilter,
    parse_snowflake,
)
from app.operations.accounts import (
    DisplayNameParam,
    PasswordParam,
    UsernameParam,
    add_user,
    find_user_by_uuid,
    hash_new_password,
    new_user,
    rename,
    save_changes,
)
from app.operations.formats import (
    Bit,
    Cursor,
    EmailAddress,
    EntityTags,
    NewPassword,
    Number,
    PageLimit,
    SearchText,
    Snowflake,
    Timestamp,
    UsernameText,
    UserSort,
    Uuid,
    UuidList,
)
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.idempotency import IdempotentRequest
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.pagination import (
    LIMIT_DEFAULT,
    make_user_cursor,
    parse_user_cursor,
    require_limit,
    user_position,
)
from app.operations.framework.services import Services
from app.operations.views import (
    PANEL_USER,
    Created,
    CreatedUser,
    PanelUser,
    PanelUserDetail,
    PanelUsers,
    RawJsonPage,
    UserPage,
    WithETag,
    created_user,
    panel_user_detail,
    render_user_page,
    render_users,
    uuid_of,
    with_locks,
)

UuidParam = Annotated[
    Uuid,
    Param("The account's uuid, in any case.", "0f8fad5b-d9cb-469f-a165-70867728950e"),
]
EmailParam = Annotated[EmailAddress, Param("An e-mail address.", "new@example.com")]
AdminParam = Annotated[
    bool, Param("Whether or not this user is an administrator: 1 for yes, 0 for no.", 0, shown=Bit)
]


_STATUSES = frozenset(Status)


@dataclass(frozen=True, slots=True)
class ListUsers:
    """Filters and order of the list, and the page to return."""

    username: Annotated[UsernameText, Param("The exact username.", "demoaccount")] | Unset = UNSET
    email: (
        Annotated[
            EmailAddress,
            Param("The exact e-mail address; case and form of its domain are ignored."),
        ]
        | Unset
    ) = UNSET
    user_id: Annotated[Snowflake, Param("The exact snowflake.", "71395574100676609")] | Unset = (
        UNSET
    )
    admin: (
        Annotated[bool, Param("Only admins (1), or only other users (0).", 1, shown=Bit)] | Unset
    ) = UNSET
    q: Annotated[SearchText, Param("A literal part of the username or e-mail address.")] | Unset = (
        UNSET
    )
    status: Annotated[str, Param("The accounts to include.", "active", shown=Status)] = "active"
    sort: Annotated[
        UserSort, Param("The sort key; a leading `-` sorts in descending order.", "id")
    ] = "id"
    limit: Annotated[PageLimit, Param("The number of accounts on a page.", LIMIT_DEFAULT)] = (
        LIMIT_DEFAULT
    )
    cursor: Annotated[Cursor | None, Param("The `next` of the previous page.")] = None


@dataclass(frozen=True, slots=True)
class ListAndCountUsers(ListUsers):
    """The same for REST, which can return the number of accounts in a header."""

    count: Annotated[
        bool, Param("Return the number of accounts on all pages in `X-Total-Count`.", True)
    ] = False


async def count_users(context: OperationContext, command: ListUsers) -> int:
    """Returns the number of accounts on all pages of a list.

    Admins may.
    """
    return await context.scan(lambda tx, _: tx.users.count(_wanted(command)))


async def list_users(context: OperationContext, command: ListUsers) -> RawJsonPage[UserPage]:
    """Returns a list of all users who have an account on the panel, page by page.

    Admins may. The list is keyed by uuid. A cursor is only valid with the filters and the order it
    was issued for.
    """

    def read(tx: Transaction, _: Principal) -> RawJsonPage[UserPage]:
        require_limit(command.limit)
        wanted, sort = _wanted(command), Sort.parse(command.sort)
        after = None if command.cursor is None else parse_user_cursor(command.cursor, wanted, sort)
        users = tx.users.list_page(wanted, sort, after, command.limit + 1, PANEL_USER)
        page, more = users[: command.limit], len(users) > command.limit
        following = make_user_cursor(_last(page), wanted, sort) if more else None
        return render_user_page(_with_locks(context, tx, page), following)

    # A search may read every account, and long pages are slow.
    is_short = command.q is UNSET and command.limit <= LIMIT_DEFAULT
    return await (context.read(read) if is_short else context.scan(read))


async def stream_users(context: OperationContext, command: ListUsers) -> AsyncIterator[bytes]:
    """Stream the whole list as JSON objects, in constant memory; `limit` and `cursor` are ignored.

    Each chunk is read in its own transaction, which checks the permission again, so a slow reader
    holds none open. A user renamed meanwhile appears at most once, whatever the order.
    """
    await context.actor()
    wanted, sort = _wanted(command), Sort.parse(command.sort)
    shown: set[int] = set()
    after: Position | None = None

    def read_chunk(tx: Transaction, _: Principal) -> Sequence[str]:
        users = tx.users.list_page(wanted, sort, after, PAGE_MAX, PANEL_USER)
        return _with_locks(context, tx, users)

    while True:
        users = await context.scan(read_chunk)
        if sort.key is SortKey.ID:
            yield render_users(users)
        else:
            numbers = [user["id"] for user in _read(users)]
            yield render_users(
                user for user, number in zip(users, numbers, strict=True) if number not in shown
            )
            shown.update(numbers)
        if len(users) < PAGE_MAX:
            return
        after = user_position(_last(users), sort)


def _with_locks(
    context: OperationContext, tx: Transaction, members: Sequence[str]
) -> Sequence[str]:
    return with_locks(members, _locks(context, tx, map(uuid_of, members)))


def _last(members: Sequence[str]) -> PanelUser:
    (user,) = _read(members[-1:])
    return user


def _read(members: Sequence[str]) -> Iterable[PanelUser]:
    users: PanelUsers = json.loads(f"{{{','.join(members)}}}")
    return users.values()


def _wanted(command: ListUsers) -> UserFilter:
    if command.status not in _STATUSES:
        raise InvalidInput.for_fields(FieldError("status", f"must be one of {', '.join(Status)}"))
    user_id = None
    if command.user_id is not UNSET and (user_id := parse_snowflake(command.user_id)) is None:
        raise InvalidInput.for_fields(
            FieldError("user_id", "must be a snowflake: a decimal string")
        )
    username = None
    if (
        command.username is not UNSET
        and (username := parse_stored_username(command.username)) is None
    ):
        raise InvalidInput.for_fields(FieldError("username", "is not a valid username"))
    if command.q is not UNSET and len(command.q) > SEARCH_MAX:
        raise InvalidInput.for_fields(FieldError("q", f"must have at most {SEARCH_MAX} characters"))
    return UserFilter(
        status=Status(command.status),
        username=username,
        email_key=None if command.email is UNSET else _email_key("email", command.email),
        id=user_id,
        admin=None if command.admin is UNSET else command.admin,
        text=None if command.q is UNSET else command.q or None,
    )


def _email_key(name: str, raw: str) -> str:
    """Return the key of an address to look up.

    Raises InvalidInput for an invalid address, which would match nothing without a reason.
    """
    try:
        return Email.parse(raw).key
    except InvalidEmail as error:
        hint = " In a query, encode '+' as %2B." if " " in raw else ""
        raise InvalidInput.for_fields(FieldError(name, f"{error.detail}{hint}")) from None


@dataclass(frozen=True, slots=True)
class UserByUuid:
    """The account."""

    uuid: UuidParam


async def get_user(context: OperationContext, command: UserByUuid) -> WithETag[PanelUserDetail]:
    """Returns information about the requested user, including their servers.

    Admins may. If a panel manages the servers and does not respond, the last known ones are
    returned for up to an hour, marked by the header `Cache-Status`.
    """

    def read(tx: Transaction, _: Principal) -> WithETag[PanelUserDetail]:
        user = find_user_by_uuid(tx, command.uuid)
        locked_until = _locks(context, tx, [user.uuid]).get(user.uuid)
        etag = user.etag_with(locked_until)
        context.preconditions.require(etag)
        servers = tx.servers.list_uuids_for_user(user.id)
        return WithETag(panel_user_detail(user, servers, locked_until), etag)

    panel = context.services.panel
    if panel is None:
        return await context.read(read)
    user, servers = await _find_with_panel_servers(context, panel, command.uuid)
    locks = await context.read(lambda tx, _: _locks(context, tx, [user.uuid]))
    locked_until = locks.get(user.uuid)
    etag = user.etag_with(locked_until, ",".join(servers))
    context.preconditions.require(etag)
    return WithETag(panel_user_detail(user, servers, locked_until), etag)


def _locks(
    context: OperationContext, tx: Transaction, uuids: Iterable[str]
) -> Mapping[str, datetime]:
    """Return when the locks of those accounts end that are locked."""
    if not context.services.rules.rate_limits:
        return {}
    now = context.services.clock.now()
    attempts = tx.login_attempts.list_locking(uuids, now - LOCK_MAX)
    ends = ((uuid, last_lock_end(found, now)) for uuid, found in attempts.items())
    locks = {uuid: end for uuid, end in ends if end is not None}
    if locks:
        context.changes_at(min(locks.values()))
    return locks


async def _find_with_panel_servers(
    context: OperationContext, panel: Panel, uuid: str
) -> tuple[User, list[str]]:
    user = await context.read(lambda tx, _: find_user_by_uuid(tx, uuid))
    servers = await context.call_upstream(panel.list_servers(user.uuid))
    return user, [server.uuid for server in servers]


@dataclass(frozen=True, slots=True)
class AdminCreateUser:
    """The input of an account's creation by an admin."""

    username: UsernameParam
    email: EmailParam
    password: (
        Annotated[NewPassword, Param("The raw password; generated if absent.", "rawPassword1")]
        | Unset
    ) = UNSET
    admin: AdminParam = False
    display_name: DisplayNameParam | Unset = UNSET


async def admin_create_user(
    context: OperationContext, command: AdminCreateUser
) -> Created[CreatedUser]:
    """Creates a new user based on data sent by an admin.

    Admins may, also with a reserved name or one that is held back. If no password is sent, one is
    generated and returned only in this response.
    """
    await context.actor()
    request = IdempotentRequest[CreatedUser](
        context,
        command,
        account=lambda view: AccountRef(uuid=view["uuid"]),
        shown_once="password",
    )
    if (earlier := await request.find_previous()) is not None:
        return earlier
    new, username, generated = await prepare_user(context.services, command, command.email)

    def create(tx: Transaction) -> WriteResult[CreatedUser]:
        added = add_user(tx, context.services, new, username, by_admin=True)
        return added.with_view(lambda user: created_user(user, generated))

    return await context.write(lambda tx, _: request.run(tx, lambda: create(tx)))


async def prepare_user(
    services: Services, command: AdminCreateUser, email: str | None
) -> tuple[User, Username, str | None]:
    """Return the account to create, its name, and its password if it was generated."""
    username = Username.parse(command.username)
    shown = command.username if command.display_name is UNSET else command.display_name
    address = None if email is None else Email.parse(email).value
    generated: str | None = None
    if command.password is UNSET:
        generated = services.randomness.new_password()
        hashed = await services.hasher.hash(generated)
    else:
        hashed = await hash_new_password(services, command.password, username.value, address)
    new = new_user(
        services,
        username,
        parse_display_name(shown),
        email=address,
        password_hash=hashed,
        admin=command.admin,
    )
    return new, username, generated


@dataclass(frozen=True, slots=True)
class AdminUpdateUser:
    """Changes by an admin to an account; absent members are unchanged."""

    uuid: UuidParam
    username: UsernameParam | Unset = UNSET
    email: (
        Annotated[EmailAddress | None, Param("New e-mail; null removes it.", "new@example.com")]
        | Unset
    ) = UNSET
    admin: AdminParam | Unset = UNSET
    password: PasswordParam | Unset = UNSET
    display_name: DisplayNameParam | Unset = UNSET
    disabled: (
        Annotated[bool, Param("1 disables the account, 0 enables it.", 0, shown=Bit)] | Unset
    ) = UNSET
    if_match: (
        Annotated[EntityTags, Param("The account's current ETag; otherwise the update fails.")]
        | Unset
    ) = UNSET
    id: Annotated[Number, Param("The account's number, which cannot be changed.", 3)] | Unset = (
        UNSET
    )
    servers: (
        Annotated[
            UuidList,
            Param(
                "The account's servers as they are; they cannot be changed here.",
                ["7c9e6679-7425-40de-944b-e07fc1f90ae7"],
            ),
        ]
        | Unset
    ) = UNSET
    locked_until: (
        Annotated[
            str,
            Param(
                "The end of the account's lock, which is ignored: attempts since may have moved "
                "it, and `unlock` lifts it.",
                "2026-01-31T12:00:00Z",
                shown=Timestamp,
            ),
        ]
        | Unset
    ) = UNSET


async def admin_update_user(context: OperationContext, command: AdminUpdateUser) -> bool:
    """Updates user information.

    Admins may; the parameters do not all have to be sent. The account's view may be sent back: `id`
    and `servers` are accepted unchanged, and `locked_until` is ignored. A new password ends the
    account's sessions. Disabling ends its sessions and keys and stops its servers; enabling
    restarts those servers. The last active admin can be neither disabled nor demoted.
    """
    panel, servers = context.services.panel, None
    if panel is not None and command.servers is not UNSET:
        _, servers = await _find_with_panel_servers(context, panel, command.uuid)
    hashed = await _hash_of_new_password(context, command)
    conditions = context.preconditions
    if command.if_match is not UNSET:
        conditions = replace(conditions, if_match=command.if_match)

    def change(tx: Transaction, actor: Principal) -> WriteResult[User]:
        before = find_user_by_uuid(tx, command.uuid)
        conditions.require_version(before.etag)
        if command.id not in {UNSET, before.number}:
            raise _unchangeable("id")
        if command.servers is not UNSET:
            present = tx.servers.list_uuids_for_user(before.id) if servers is None else servers
            if command.servers != list(present):
                raise _unchangeable("servers")
        after = _with_changes(before, command)
        if hashed is not None:
            after = replace(after, password_hash=hashed)
        if command.username is not UNSET:
            username = Username.parse(command.username)
            after = rename(tx, context.services, after, username, actor)
        return save_changes(tx, before, after, actor)

    await context.write(change)
    return True


def _unchangeable(name: str) -> InvalidInput:
    reason = "cannot be changed here; send the present value or leave it out"
    return InvalidInput.for_fields(FieldError(name, reason))


def _with_changes(user: User, command: AdminUpdateUser) -> User:
    if command.email is not UNSET:
        email = None if command.email is None else Email.parse(command.email).value
        user = replace(user, email=email)
    if command.admin is not UNSET:
        user = replace(user, admin=command.admin)
    if command.display_name is not UNSET:
        user = replace(user, display_name=parse_display_name(command.display_name))
    if command.disabled is not UNSET:
        user = replace(user, disabled=command.disabled)
    return user


async def _hash_of_new_password(context: OperationContext, command: AdminUpdateUser) -> str | None:
    if command.password is UNSET:
        return None
    user = await context.read(lambda tx, _: find_user_by_uuid(tx, command.uuid))
    after = _with_changes(user, command)
    name = user.username
    if command.username is not UNSET:
        name = Username.parse(command.username).value
    return await hash_new_password(context.services, command.password, name, after.email)


async def disable_user(context: OperationContext, command: UserByUuid) -> bool:
    """Deletes a user given a specified UUID. This only disables the account and its servers.

    Admins may. Ends the account's sessions and keys immediately; its name and its data are kept.
    Repeating it changes nothing.
    """
    return await admin_update_user(context, AdminUpdateUser(command.uuid, disabled=True))


async def unlock_user(context: OperationContext, command: UserByUuid) -> bool:
    """Lifts the lock that too many wrong passwords have put on an account.

    Admins may. Has no effect on an account that is not locked; a new password unlocks it, too.
    """

    def lift(tx: Transaction, _: Principal) -> WriteResult[bool]:
        user = find_user_by_uuid(tx, command.uuid)
        changes: Changes = {"lock": None} if tx.login_attempts.reset(user.id) else {}
        return WriteResult(True, audit_log.account_ref(user), changes)

    return await context.write(lift)
