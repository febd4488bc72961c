"""What a chat user does with his account: sign up, look, change, say that he is there."""

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
from app.domain.names import Username, display_name
from app.domain.passwords import new_password
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.presence import Presence
from app.domain.throttling import CHECKS, REGISTRATIONS
from app.domain.users import AccountRef, NewUser, User, keep_an_admin, parse_uuid
from app.usecases import trail
from app.usecases.call import Call
from app.usecases.idempotency import Once
from app.usecases.operation import UNSET, Param, Unset, one_of
from app.usecases.services import Services
from app.usecases.suspension import servers_follow
from app.usecases.trail import Done
from app.usecases.views import ChatUser, Created, GuildView, chat_user, guild_view

UsernameParam = Annotated[
    str,
    Param(
        "4 to 16 letters, digits, `_`, `-` or `.`, beginning and ending with a letter or digit; "
        "compared and stored in lower case.",
        "user",
    ),
]
PasswordParam = Annotated[
    str,
    Param("8 to 128 characters; not a common password, the username or the e-mail.", "********"),
]
DisplayNameParam = Annotated[str, Param("What others see: 1 to 32 characters.", "User")]


@dataclass(frozen=True, slots=True)
class CreateUser:
    """What signing up takes."""

    username: UsernameParam
    password: PasswordParam
    display_name: DisplayNameParam | Unset = UNSET


async def create_user(call: Call, command: CreateUser) -> Created[ChatUser]:
    """Creates a new user.

    Anyone may, while registration is open. The display name is at first what was typed as
    username. A name that another account has, one that looks like it (Unicode TS 39), and one
    held back after a renaming are all taken.
    """
    services = call.services
    services.rules.require_open_registration()
    await call.pace(REGISTRATIONS)
    once = Once[ChatUser](call, command, account=lambda view: AccountRef(id=int(view["id"])))
    if (earlier := await once.earlier()) is not None:
        return earlier
    username = _registrable(services, command.username)
    shown = display_name(
        command.username if command.display_name is UNSET else command.display_name
    )
    hashed = await hash_of_chosen(services, command.password, username.value, email=None)
    new = NewUser(
        id=services.ids.snowflake(),
        uuid=services.ids.uuid(),
        username=username.value,
        skeleton=username.skeleton,
        display_name=shown,
        email=None,
        password_hash=hashed,
    )

    def create(tx: Transaction) -> Done[ChatUser]:
        return add_user(tx, services, new, held_too=False).showing(chat_user)

    return await call.write_for_anyone(lambda tx: once.keep(tx, lambda: create(tx)))


async def hash_of_chosen(services: Services, raw: str, username: str, email: str | None) -> str:
    """The hash of a password that somebody wants to set. Raises WeakPassword.

    Whether it is known from a breach is asked outside any transaction: others may have to be asked.
    """
    password = new_password(raw, username=username, email=email)
    if services.breached is not None and await services.breached.knows(password):
        raise WeakPassword("This password is known from a data breach")
    return await services.hasher.hash(password)


def add_user(tx: Transaction, services: Services, new: NewUser, *, held_too: bool) -> Done[User]:
    """Store a new account and claim its name. Raises UsernameTaken, EmailTaken."""
    user = tx.users.add(new)
    claim_name(tx, services, user, new.skeleton, held_too=held_too)
    return Done(user, trail.account(user), trail.created(user))


def claim_name(
    tx: Transaction, services: Services, user: User, skeleton: str, *, held_too: bool
) -> None:
    """Give `user` the name he is to carry. Raises UsernameTaken."""
    now = services.clock.now()
    if not tx.names.claim(skeleton, user.id, now=now, held_too=held_too):
        raise UsernameTaken(user.username)


def _registrable(services: Services, raw: str) -> Username:
    username = Username.parse(raw)
    services.rules.reserved_names.require_free(username)
    return username


@dataclass(frozen=True, slots=True)
class CheckUsername:
    """What the existence check takes."""

    username: Annotated[str, Param("The name to look up.", "user")]


async def check_username(call: Call, command: CheckUsername) -> bool:
    """Query the existence of a user with the given username.

    Anyone may. Mainly designed for use in registration forms to check if a username is already
    taken: true exactly where signing up would answer `username-taken`, false for a name that
    nobody can register.
    """
    return one_of(await check_usernames(call, [command]))


async def check_usernames(
    call: Call, commands: Sequence[CheckUsername]
) -> Sequence[bool | DomainError]:
    """The same of several names, with one look at the store."""
    services = call.services
    fit, refusal = await call.pace_each(CHECKS, len(commands))
    skeletons = [_skeleton(services, command.username) for command in commands[:fit]]
    asked, now = {name for name in skeletons if name is not None}, services.clock.now()
    answers: list[bool | DomainError]
    try:
        taken = await services.store.read(lambda tx: tx.names.taken(asked, now)) if asked else ()
        answers = [name in taken for name in skeletons]
    except DomainError as error:
        answers = [error if name in asked else False for name in skeletons]
    return answers if refusal is None else answers + [refusal] * (len(commands) - fit)


def _skeleton(services: Services, raw: str) -> str | None:
    """What the name looks like; None where nobody can register it."""
    try:
        return _registrable(services, raw).skeleton
    except InvalidUsername:
        return None


@dataclass(frozen=True, slots=True)
class Nothing:
    """The input of an operation that takes none."""


async def get_self(call: Call, command: Nothing) -> ChatUser:
    """Gets the authenticated user's data.

    The holder of any valid credential may.
    """
    return chat_user((await call.actor()).user)


@dataclass(frozen=True, slots=True)
class UpdateSelf:
    """What a user may change of his account; what is absent stays."""

    display_name: DisplayNameParam | Unset = UNSET
    username: UsernameParam | Unset = UNSET


async def update_self(call: Call, command: UpdateSelf) -> ChatUser:
    """Changes the authenticated user's display name, username, or both.

    The holder of any valid credential may. The name left behind, and what looks like it, is held
    back from others for a while.
    """
    services = call.services
    if command.username is not UNSET:
        await call.pace(CHECKS)

    def change(tx: Transaction, actor: Principal) -> Done[User]:
        before, after = actor.user, actor.user
        if command.display_name is not UNSET:
            after = replace(after, display_name=display_name(command.display_name))
        if command.username is not UNSET:
            username = Username.parse(command.username)
            if username.value != before.username:
                services.rules.reserved_names.require_free(username)
            after = rename(tx, services, after, username, actor)
        return settle(tx, before, after, actor)

    return chat_user(await call.write(change))


def rename(
    tx: Transaction, services: Services, user: User, username: Username, actor: Principal
) -> User:
    """Give `user` another username on behalf of `actor`, and hold the old one back for him.

    Raises UsernameTaken.
    """
    if username.value == user.username:
        return user
    held_too = policy.may_take_held_names(actor)
    tx.names.release(user.id, services.clock.now() + services.rules.name_hold)
    renamed = replace(user, username=username.value)
    claim_name(tx, services, renamed, username.skeleton, held_too=held_too)
    return renamed


def settle(tx: Transaction, before: User, after: User, actor: Principal) -> Done[User]:
    """Store what `actor` changed of an account, and all that follows from it.

    Disabling ends sessions, keys and presence (the registry's servers stop by themselves, those of
    a panel by a message, and so they start again); a changed password ends all sessions but the one
    that acts, and lifts the account's lock. Raises LastAdmin, UsernameTaken, EmailTaken.
    """
    keep_an_admin(before, after, others=lambda: tx.users.has_other_active_admin(before.id))
    if after == before:
        return Done(after)
    if after.disabled:
        after = replace(after, presence=None)
    tx.users.save(replace(after, version=before.version + 1))
    if after.disabled and not before.disabled:
        tx.sessions.end(before.id)
        tx.keys.revoke(before.id)
    elif after.password_hash != before.password_hash:
        tx.sessions.end(before.id, keep=actor.session_id)
        tx.attempts.forgive(before.id)
    messages = [servers_follow(after)] if after.disabled != before.disabled else []
    changes = trail.differences(before, after)
    return Done(after, trail.account(before), changes, messages=messages)


def find_user(tx: Transaction, raw: str) -> User:
    """The account that `raw` names by uuid or snowflake. Raises UserNotFound."""
    return _existing(tx, AccountRef.parse(raw))


def find_by_uuid(tx: Transaction, raw: str) -> User:
    """The account with this uuid. Raises UserNotFound."""
    uuid = parse_uuid(raw)
    if uuid is None:
        raise UserNotFound
    return _existing(tx, AccountRef(uuid=uuid))


def _existing(tx: Transaction, ref: AccountRef) -> User:
    user = tx.users.find(ref)
    if user is None:
        raise UserNotFound
    return user


async def list_guilds(call: Call, command: Nothing) -> list[GuildView]:
    """Gets the authenticated user's guilds.

    The holder of any valid credential may. Those he owns and those he is a member of. Where a chat
    service keeps them and gives no answer, they are shown as it told them last, for up to an hour;
    the header `Cache-Status` says so.
    """
    chat = call.services.chat
    if chat is None:
        guilds = await call.read(lambda tx, actor: tx.guilds.of(actor.user.id))
    else:
        user = (await call.actor()).user
        guilds = await call.ask(chat.guilds_of(user.id))
    return [guild_view(guild) for guild in guilds]


@dataclass(frozen=True, slots=True)
class SetPresence:
    """The presence to set."""

    presence: Annotated[str, Param("The presence to set.", "ONLINE", shown=Presence)] | Unset = (
        UNSET
    )


async def presence(call: Call, command: SetPresence) -> Presence | None:
    """Updates the authenticated user's presence, or reads it where none is given.

    The holder of any valid credential may. The answer is the presence in force, null until one
    was first set.
    """
    if command.presence is UNSET:
        return (await call.actor()).user.presence
    wanted = command.presence

    def set_to(tx: Transaction, actor: Principal) -> Done[Presence]:
        presence = Presence.parse(wanted)
        tx.users.save(replace(actor.user, presence=presence))
        # It comes and goes all day and decides nothing: the one change that leaves no entry.
        return Done(presence)

    return await call.write(set_to)
