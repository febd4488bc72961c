"""A chat user's own account: registration, profile, presence, guilds; and the parts of account
changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from app.domain import policy
from app.domain.errors import (
    DomainError,
    InvalidUsername,
    UsernameTaken,
    UserNotFound,
    WeakPassword,
)
from app.domain.names import FORMER_NAMES_MAX, Username, parse_display_name
from app.domain.passwords import validate_new_password
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.presence import Presence
from app.domain.rate_limits import CHECKS, REGISTRATIONS, add_rename
from app.domain.users import (
    AccountRef,
    User,
    parse_uuid,
    require_active_admin,
    user_not_found,
)
from app.operations.formats import DisplayName, NewPassword, NewUsername, UsernameText
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.idempotency import IdempotentRequest
from app.operations.framework.operation import UNSET, Param, Unset, unwrap_single
from app.operations.framework.services import Services
from app.operations.panel_sync import panel_sync_message
from app.operations.views.accounts import ChatUser, chat_user
from app.operations.views.guilds_and_servers import Guilds, guild_view
from app.operations.views.results import Created

UsernameParam = Annotated[
    NewUsername,
    Param(
        "4 to 16 letters, digits, `_`, `-` or `.`, beginning and ending with a letter or digit; "
        "compared and stored in lower case.",
        "user",
    ),
]
PasswordParam = Annotated[
    NewPassword,
    Param("8 to 128 characters; not a common password, the username or the e-mail.", "********"),
]
DisplayNameParam = Annotated[
    DisplayName, Param("The name that others see: 1 to 32 characters.", "User")
]


@dataclass(frozen=True, slots=True)
class CreateUser:
    """The input of a registration."""

    username: UsernameParam
    password: PasswordParam
    display_name: DisplayNameParam | Unset = UNSET


async def create_user(context: OperationContext, command: CreateUser) -> Created[ChatUser]:
    """Creates a new user.

    Anyone may, while registration is open. The display name defaults to the username as entered. A
    name is taken if another account has it or one that looks like it (Unicode TS 39), or if it is
    held back after a rename.
    """
    services = context.services
    services.rules.require_open_registration()
    await context.limits.count(REGISTRATIONS)
    request = IdempotentRequest[ChatUser](
        context, command, account=lambda view: AccountRef(id=int(view["id"]))
    )
    if (earlier := await request.find_previous()) is not None:
        return earlier
    username = Username.parse(command.username)
    await _refuse_reserved(services, username)
    shown = parse_display_name(
        command.username if command.display_name is UNSET else command.display_name
    )
    hashed = await hash_new_password(services, command.password, username.value, email=None)
    new = new_user(services, username, shown, email=None, password_hash=hashed)

    def create(tx: Transaction) -> WriteResult[ChatUser]:
        done = add_user(tx, services, new, username, by_admin=False)
        context.note_account(new)
        return done.with_view(chat_user)

    return await context.write_for_anyone(lambda tx: request.run(tx, lambda: create(tx)))


async def _refuse_reserved(services: Services, username: Username) -> None:
    """Raise UsernameTaken for a reserved name that an account has, else InvalidUsername."""
    if not services.rules.reserved_names.contains(username):
        return
    skeleton, now = username.skeleton, services.clock.now()

    def refuse(tx: Transaction) -> None:
        if tx.name_claims.find_taken([skeleton], now):
            raise _username_taken(tx, username.value, skeleton, by_admin=False)
        services.rules.reserved_names.require_free(username)

    await services.store.read(refuse)


async def hash_new_password(services: Services, raw: str, username: str, email: str | None) -> str:
    """Validate and hash a password to be set. Raises WeakPassword.

    Call it outside any transaction, since the check for breached passwords may call a service.
    """
    password = validate_new_password(raw, username=username, email=email)
    if services.breached is not None and await services.breached.contains(password):
        raise WeakPassword("This password is known from a data breach; choose another one")
    return await services.hasher.hash(password)


def new_user(
    services: Services,
    username: Username,
    display_name: str,
    *,
    email: str | None,
    password_hash: str | None,
    admin: bool = False,
) -> User:
    """Create an account that is not stored yet."""
    return User(
        number=0,
        id=services.ids.new_snowflake(),
        uuid=services.ids.new_uuid(),
        username=username.value,
        display_name=display_name,
        email=email,
        password_hash=password_hash,
        admin=admin,
    )


def add_user(
    tx: Transaction, services: Services, new: User, username: Username, *, by_admin: bool
) -> WriteResult[User]:
    """Store a new account and claim its name. Raises UsernameTaken, EmailTaken."""
    user = tx.users.add(new)
    claim_name(tx, services, user, username.skeleton, by_admin=by_admin)
    return WriteResult(user, audit_log.account_ref(user), audit_log.diff_entities(None, user))


def claim_name(
    tx: Transaction, services: Services, user: User, skeleton: str, *, by_admin: bool
) -> None:
    """Claim the name for `user`. Raises UsernameTaken.

    Admins can claim held names, and see which name looks like the one they wanted.
    """
    now = services.clock.now()
    if tx.name_claims.claim(skeleton, user.id, now=now, include_held=by_admin):
        return
    raise _username_taken(tx, user.username, skeleton, by_admin=by_admin)


def _username_taken(
    tx: Transaction, username: str, skeleton: str, *, by_admin: bool
) -> UsernameTaken:
    """Return the error for a name that is in use, held back, or looks like one in use."""
    owner_id = tx.name_claims.find_current_owner(skeleton)
    owner = None if owner_id is None else tx.users.find(AccountRef(id=owner_id))
    if owner is None or owner.username == username:
        return UsernameTaken(username)
    similar_to = owner.username if by_admin else None
    return UsernameTaken(username, is_similar=True, similar_to=similar_to)


@dataclass(frozen=True, slots=True)
class CheckUsername:
    """The input of the existence check."""

    username: Annotated[UsernameText, Param("The name to look up.", "user")]


async def check_username(context: OperationContext, command: CheckUsername) -> bool:
    """Query the existence of a user with the given username.

    Anyone may. Mainly designed for use in registration forms to check if a username is already
    taken: true exactly where a registration would fail with `username-taken`, also for a reserved
    name that an account has; false for other names that cannot be registered.
    """
    return unwrap_single(await check_usernames(context, [command]))


async def check_usernames(
    context: OperationContext, commands: Sequence[CheckUsername]
) -> Sequence[bool | DomainError]:
    """Check several names in one transaction."""
    services = context.services
    allowed, refusal = await context.limits.count_each(CHECKS, len(commands))
    skeletons = [_skeleton(command.username) for command in commands[:allowed]]
    requested, now = {name for name in skeletons if name is not None}, services.clock.now()
    answers: list[bool | DomainError]
    try:
        taken = await services.store.lookups.find_taken_names(requested, now) if requested else ()
        answers = [name in taken for name in skeletons]
    except DomainError as error:
        answers = [error if name in requested else False for name in skeletons]
    return answers if refusal is None else answers + [refusal] * (len(commands) - allowed)


def _skeleton(raw: str) -> str | None:
    """Return the skeleton of the name; None if it is not valid."""
    try:
        return Username.parse(raw).skeleton
    except InvalidUsername:
        return None


@dataclass(frozen=True, slots=True)
class NoInput:
    """The input of operations without parameters."""


async def get_self(context: OperationContext, command: NoInput) -> ChatUser:
    """Gets the authenticated user's data.

    The holder of any valid credential may.
    """
    return chat_user((await context.actor()).user)


@dataclass(frozen=True, slots=True)
class UpdateSelf:
    """Changes by a user to their own account; absent members are unchanged."""

    display_name: DisplayNameParam | Unset = UNSET
    username: UsernameParam | Unset = UNSET


async def update_self(context: OperationContext, command: UpdateSelf) -> ChatUser:
    """Changes the authenticated user's display name, username, or both.

    The holder of any valid credential may; a username can be changed five times a day. The former
    name, and names that look like it, are held back from others for a while; an account holds at
    most its last three.
    """
    services = context.services
    if command.username is not UNSET:
        await context.limits.count(CHECKS)

    def change(tx: Transaction, actor: Principal) -> WriteResult[User]:
        before, after = actor.user, actor.user
        if command.display_name is not UNSET:
            after = replace(after, display_name=parse_display_name(command.display_name))
        if command.username is not UNSET:
            username = Username.parse(command.username)
            if username.value != before.username:
                services.rules.reserved_names.require_free(username)
                _count_rename(tx, services, before)
            after = rename(tx, services, after, username, actor)
        return save_changes(tx, before, after, actor)

    return chat_user(await context.write(change))


def _count_rename(tx: Transaction, services: Services, user: User) -> None:
    """Raise RateLimited if the account was renamed too often today."""
    if services.rules.rate_limits:
        now = services.clock.now()
        tx.name_claims.save_renames(user.id, add_rename(tx.name_claims.list_renames(user.id), now))


def rename(
    tx: Transaction, services: Services, user: User, username: Username, actor: Principal
) -> User:
    """Change the username on behalf of `actor`, and hold the former one back for the user.

    Raises UsernameTaken.
    """
    if username.value == user.username:
        return user
    by_admin = policy.can_take_held_names(actor)
    tx.name_claims.hold_current(user.id, services.clock.now() + services.rules.name_hold)
    renamed = replace(user, username=username.value)
    claim_name(tx, services, renamed, username.skeleton, by_admin=by_admin)
    tx.name_claims.release_oldest_held(user.id, FORMER_NAMES_MAX)
    return renamed


def save_changes(tx: Transaction, before: User, after: User, actor: Principal) -> WriteResult[User]:
    """Store changes by `actor` to an account, with their consequences.

    Disabling ends sessions, keys and presence; servers of the embedded registry stop with it, those
    of a panel by a message, and restart in the same way. A new password ends all sessions but the
    acting one, and unlocks the account. Raises LastAdmin, UsernameTaken, EmailTaken.
    """
    require_active_admin(before, after, others=lambda: tx.users.has_other_active_admin(before.id))
    if after == before:
        return WriteResult(after)
    if after.disabled:
        after = replace(after, presence=None)
    tx.users.save(replace(after, version=before.version + 1))
    if after.disabled and not before.disabled:
        tx.sessions.end_for_user(before.id)
        tx.keys.revoke_for_user(before.id)
    elif after.password_hash != before.password_hash:
        tx.sessions.end_for_user(before.id, keep=actor.session_id)
        tx.login_attempts.reset(before.id)
    messages = [panel_sync_message(after)] if after.disabled != before.disabled else []
    changes = audit_log.diff_entities(before, after)
    return WriteResult(after, audit_log.account_ref(before), changes, messages=messages)


def find_user(tx: Transaction, raw: str) -> User:
    """Return the account with this uuid or snowflake. Raises UserNotFound."""
    return _existing(tx, AccountRef.parse(raw))


def find_user_by_uuid(tx: Transaction, raw: str) -> User:
    """Return the account with this uuid. Raises UserNotFound."""
    uuid = parse_uuid(raw)
    if uuid is None:
        raise user_not_found(raw, "Name the account by its uuid, of 36 characters.")
    return _existing(tx, AccountRef(uuid=uuid))


def _existing(tx: Transaction, ref: AccountRef) -> User:
    user = tx.users.find(ref)
    if user is None:
        raise UserNotFound(
            "The list of users has all accounts, with status=all disabled ones, too."
        )
    return user


async def list_guilds(context: OperationContext, command: NoInput) -> Guilds:
    """Gets the authenticated user's guilds.

    The holder of any valid credential may. Includes guilds that the user owns and guilds that the
    user is a member of. If a chat service manages the guilds and does not respond, the last known
    ones are returned for up to an hour, marked by the header `Cache-Status`.
    """
    chat = context.services.chat
    if chat is None:
        guilds = await context.read(lambda tx, actor: tx.guilds.list_for_user(actor.user.id))
    else:
        user = (await context.actor()).user
        guilds = await context.call_upstream(chat.list_guilds(user.id))
    return [guild_view(guild) for guild in guilds]


@dataclass(frozen=True, slots=True)
class SetPresence:
    """The presence to set, if any."""

    presence: Annotated[str, Param("The presence to set.", "ONLINE", shown=Presence)] | Unset = (
        UNSET
    )


async def get_or_set_presence(context: OperationContext, command: SetPresence) -> Presence | None:
    """Updates the authenticated user's presence, or reads it where none is given.

    The holder of any valid credential may. Returns the current presence, null until it is first
    set.
    """
    if command.presence is UNSET:
        return (await context.actor()).user.presence
    wanted = command.presence

    def set_to(tx: Transaction, actor: Principal) -> WriteResult[Presence]:
        presence = Presence.parse(wanted)
        tx.users.set_presence(actor.user.id, presence)
        # Presence changes often and has no effect on security: the only change without an entry.
        return WriteResult(presence)

    return await context.write(set_to, is_durable=False)
