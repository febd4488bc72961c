"""Accounts, for admins."""

from dataclasses import dataclass, replace
from typing import Annotated

from app.domain.audit import Changes
from app.domain.errors import FieldError, InvalidInput
from app.domain.names import Email, Username, parse_display_name
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.ports.upstreams import Panel
from app.domain.users import (
    AccountRef,
    User,
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
    EmailAddress,
    EntityTags,
    NewPassword,
    Number,
    Timestamp,
    Uuid,
    UuidList,
)
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.idempotency import IdempotentRequest
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.services import Services
from app.operations.login_attempts import find_locks
from app.operations.views.accounts import (
    CreatedUser,
    PanelUserDetail,
    created_user,
    panel_user_detail,
)
from app.operations.views.results import Created, WithETag

UuidParam = Annotated[
    Uuid,
    Param("The account's uuid, in any case.", "0f8fad5b-d9cb-469f-a165-70867728950e"),
]
AdminParam = Annotated[
    bool, Param("Whether or not this user is an administrator: 1 for yes, 0 for no.", 0, shown=Bit)
]


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
        locked_until = find_locks(context, tx, [user.uuid]).get(user.uuid)
        etag = user.etag_with(locked_until)
        context.preconditions.require(etag)
        servers = tx.servers.list_uuids_for_user(user.id)
        return WithETag(panel_user_detail(user, servers, locked_until), etag)

    panel = context.services.panel
    if panel is None:
        return await context.read(read)
    user, servers = await _find_with_panel_servers(context, panel, command.uuid)
    locks = await context.read(lambda tx, _: find_locks(context, tx, [user.uuid]))
    locked_until = locks.get(user.uuid)
    etag = user.etag_with(locked_until, ",".join(servers))
    context.preconditions.require(etag)
    return WithETag(panel_user_detail(user, servers, locked_until), etag)


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
    email: Annotated[
        EmailAddress | None, Param("An e-mail address; null for none.", "new@example.com")
    ]
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
    new, username, generated = await _prepare_user(context.services, command)

    def create(tx: Transaction) -> WriteResult[CreatedUser]:
        added = add_user(tx, context.services, new, username, by_admin=True)
        return added.with_view(lambda user: created_user(user, generated))

    return await context.write(lambda tx, _: request.run(tx, lambda: create(tx)))


async def _prepare_user(
    services: Services, command: AdminCreateUser
) -> tuple[User, Username, str | None]:
    """Return the account to create, its name, and its password if it was generated."""
    username = Username.parse(command.username)
    shown = command.username if command.display_name is UNSET else command.display_name
    address = None if command.email is None else Email.parse(command.email).value
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
