"""What only the operator can do, at the command line: the first admin, keys for others, keys to
sign with, the fate of messages. Whoever can read the data directory needs no credential."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.domain.audit import Changes, EntryFilter, Ref, RefKind
from app.domain.credentials import Origin
from app.domain.errors import InvalidInput, NotFound, UserNotFound
from app.domain.names import Username
from app.domain.outbox import Delivery, OutboxFilter, State
from app.domain.policy import THE_OPERATOR, Access, Principal
from app.domain.ports import Clock, LiveCredentials, PublicKey, Transaction
from app.domain.users import OPERATOR, NewUser, User
from app.usecases.accounts import add_user
from app.usecases.admin_audit import ListAudit
from app.usecases.admin_outbox import ListOutbox
from app.usecases.admin_users import AdminCreateUser, AdminUpdateUser, UserByUuid, prepare_user
from app.usecases.call import Call, Caller
from app.usecases.credentials import CreateKey, make_key, no_such_key, revoke_keys
from app.usecases.registry import OPERATIONS
from app.usecases.services import Services
from app.usecases.suspension import SERVERS
from app.usecases.trail import Done, entry
from app.usecases.views import (
    AuditPage,
    CreatedKey,
    CreatedUser,
    KeyView,
    OutboxPage,
    created_user,
)

FIRST_ADMIN = "admin"
AT_THE_COMMAND_LINE = Caller(trusted=THE_OPERATOR)
# More numbers than are given between a backup and its return: so many, and so many a second.
SKIPPED_AT_LEAST = 1_000_000
SKIPPED_PER_SECOND = 10


async def needs_first_admin(services: Services) -> bool:
    """Whether there never was an admin: the last one cannot be removed."""
    return not await services.store.read(lambda tx: tx.users.has_other_active_admin(OPERATOR.id))


async def make_first_admin(
    services: Services, key: str, keep: Callable[[], None] | None = None
) -> bool:
    """While there never was an admin: make `admin` with this access key; whether it was made.

    `keep` puts the key where the operator finds it. It is called inside the transaction: of two
    that start at once only the winner calls it, and no account is made whose key was not kept.
    The account has no password until an admin sets one. Raises UsernameTaken.
    """
    username = Username.parse(FIRST_ADMIN)
    new = NewUser(
        id=services.ids.snowflake(),
        uuid=services.ids.uuid(),
        username=username.value,
        skeleton=username.skeleton,
        display_name=username.value,
        email=None,
        password_hash=None,
        admin=True,
    )

    def make(tx: Transaction, _: Principal) -> Done[bool]:
        if tx.users.has_other_active_admin(OPERATOR.id):
            return Done(False)
        user = add_user(tx, services, new, held_too=True)
        made = make_key(tx, services, user.result, CreateKey("bootstrap"), text=key)
        if keep is not None:
            keep()
        return Done(True, user.target, {**user.changes, **made.changes})

    return await _call(services, "admin.users.create").write(make)


async def create_account(
    services: Services, command: AdminCreateUser, email: str | None
) -> CreatedUser:
    """Create an account as an admin does, with or without an e-mail address."""
    new, generated = await prepare_user(services, command, email)
    user = await _call(services, "admin.users.create").write(
        lambda tx, _: add_user(tx, services, new, held_too=True)
    )
    return created_user(user, generated)


def _call(services: Services, action: str) -> Call:
    """What the operator does goes on record as the operation that it is most like."""
    return Call(services, action, Access.ADMIN, AT_THE_COMMAND_LINE, changes=True)


def _by_name(tx: Transaction, raw: str) -> User:
    """The account with this username. Raises UserNotFound."""
    username = Username.find(raw)
    user = None if username is None else tx.users.by_username(username.value)
    if user is None:
        raise UserNotFound
    return user


async def _as_admin(services: Services, operation: str, command: Any) -> Any:
    """Do what an admin can do, as the operator."""
    return await OPERATIONS[operation].perform(services, AT_THE_COMMAND_LINE, command)


async def _uuid_of(services: Services, username: str) -> str:
    return (await services.store.read(lambda tx: _by_name(tx, username))).uuid


async def set_disabled(services: Services, username: str, disabled: bool) -> bool:
    """Disable or enable the account with this name; False where there is a panel that is not told.

    Whether there is one that is not configured here, the outbox or the account's servers that were
    stopped there may show. Raises UserNotFound, LastAdmin.
    """
    uuid = await _uuid_of(services, username)
    if disabled:
        await _as_admin(services, "admin.users.disable", UserByUuid(uuid))
    else:
        await _as_admin(services, "admin.users.update", AdminUpdateUser(uuid, disabled=False))
    return SERVERS in services.handlers or not await services.store.read(
        lambda tx: _knows_a_panel(tx, username)
    )


def _knows_a_panel(tx: Transaction, username: str) -> bool:
    was_told = tx.outbox.page(OutboxFilter(), None, 1)
    return bool(was_told or tx.stopped_servers.of(_by_name(tx, username).id))


async def unlock(services: Services, username: str) -> None:
    """Lift the lock of the account with this name. Raises UserNotFound."""
    uuid = await _uuid_of(services, username)
    await _as_admin(services, "admin.users.unlock", UserByUuid(uuid))


async def create_key_for(services: Services, username: str, command: CreateKey) -> CreatedKey:
    """Make an access key for the account with this name. Raises UserNotFound, InvalidInput."""
    return await _call(services, "keys.create").write(
        lambda tx, _: make_key(tx, services, _by_name(tx, username), command)
    )


async def keys_of(services: Services, username: str) -> list[KeyView]:
    """The access keys of the account with this name. Raises UserNotFound."""
    uuid = await _uuid_of(services, username)
    keys: list[KeyView] = await _as_admin(services, "admin.keys.list", UserByUuid(uuid))
    return keys


async def audit_trail(services: Services, command: ListAudit) -> AuditPage:
    """A page of the audit trail. Raises InvalidInput."""
    page: AuditPage = await _as_admin(services, "admin.audit.list", command)
    return page


async def outbox(services: Services, command: ListOutbox, username: str | None) -> OutboxPage:
    """A page of the outbox, or of what is in it about the account with this name.

    Raises InvalidInput, UserNotFound.
    """
    if username is not None:
        command = replace(command, user=await _uuid_of(services, username))
    page: OutboxPage = await _as_admin(services, "admin.outbox.list", command)
    return page


async def retry_message(services: Services, number: int) -> None:
    """Have a message that waits or is dead delivered from now on. Raises NotFound."""

    def put_back(tx: Transaction, _: Principal) -> Done[None]:
        found = _undelivered(tx, number)
        again = found.again(services.clock.now())
        tx.outbox.save(again)
        return _changed(found, again.state)

    await _call(services, "outbox.retry").write(put_back)


async def drop_message(services: Services, number: int) -> None:
    """Take a message that waits or is dead out of the outbox. Raises NotFound, InvalidInput."""

    def drop(tx: Transaction, _: Principal) -> Done[None]:
        found = _undelivered(tx, number)
        if not tx.outbox.drop(number):
            raise InvalidInput(f"Message {number} is being delivered at this moment; try again.")
        return _changed(found, None)

    await _call(services, "outbox.drop").write(drop)


def _undelivered(tx: Transaction, number: int) -> Delivery:
    found = tx.outbox.find(number)
    if found is None or found.state is State.DONE:
        raise NotFound(f"There is no message {number} that waits or is dead.")
    return found


def _changed(found: Delivery, state: State | None) -> Done[None]:
    return Done(None, Ref(RefKind.MESSAGE, str(found.number)), {"state": (found.state, state)})


async def revoke_key(services: Services, key_id: str) -> None:
    """Revoke the key with this public id, whosever it is. Raises NotFound."""

    def revoke(tx: Transaction, _: Principal) -> Done[None]:
        found = tx.keys.with_owner(key_id)
        if found is None:
            raise no_such_key()
        return revoke_keys(tx, found[1], key_id)

    await _call(services, "admin.keys.revoke").write(revoke)


def record_rotation(services: Services) -> Callable[[Transaction, str | None, str], None]:
    """What puts a rotation of signing keys on record, in the transaction that publishes the new."""
    now = services.clock.now()

    def record(tx: Transaction, old: str | None, new: str) -> None:
        target, changes = Ref(RefKind.SIGNING_KEY, new), {"signing_key": (old, new)}
        tx.audit.add(
            entry(
                "signing-keys.rotate", THE_OPERATOR, Origin(), now, target=target, changes=changes
            )
        )

    return record


@dataclass(frozen=True, slots=True)
class Restored:
    """What a backup brought back: its last moment on record, and the credentials that were good.

    `kept`: they are good again; else they were ended.
    """

    as_of: datetime | None
    credentials: LiveCredentials
    kept: bool


def settle_restored(
    clock: Clock, kid: str, *, keep_credentials: bool
) -> Callable[[Transaction], Restored]:
    """What makes a database that was restored fit to be served, and puts it on record.

    What was ended after the backup would be good again, and nobody can tell which credentials
    these are. So all sessions and access keys end, and no signing key is trusted but `kid`, unless
    the operator keeps them. Numbers that were given since are not given again.
    """
    now = clock.now()

    def settle(tx: Transaction) -> Restored:
        newest = tx.audit.page(EntryFilter(), None, 1)
        as_of = newest[0].at if newest else None
        credentials = tx.restoration.credentials(now)
        if not keep_credentials:
            tx.restoration.end_credentials(kid)
        tx.restoration.skip_numbers(_numbers_given_since(as_of, now))
        changes: Changes = {
            "as_of": (None, None if as_of is None else as_of.isoformat()),
            "credentials": (None, "kept" if keep_credentials else "ended"),
            "sessions": (None, str(credentials.sessions)),
            "keys": (None, str(credentials.keys)),
        }
        tx.audit.add(entry("restored", THE_OPERATOR, Origin(), now, changes=changes))
        return Restored(as_of, credentials, keep_credentials)

    return settle


def _numbers_given_since(as_of: datetime | None, now: datetime) -> int:
    seconds = 0 if as_of is None else max(0, int((now - as_of).total_seconds()))
    return SKIPPED_AT_LEAST + SKIPPED_PER_SECOND * seconds


async def published_keys(services: Services) -> Sequence[PublicKey]:
    """The public halves of all signing keys whose tokens may still be valid."""
    now = services.clock.now()
    keys = await services.store.read(lambda tx: tx.signing_keys.all())
    return [key for key in keys if key.is_trusted(now)]
