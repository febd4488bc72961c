"""Operations of the command line: the first admin, keys of any account, signing keys, messages.

The operator can read the data directory and needs no credential.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.domain.audit import Changes, EntryFilter, Ref, RefKind
from app.domain.credentials import Origin
from app.domain.errors import InvalidEmail, InvalidInput, NotFound, UserNotFound
from app.domain.names import Email, Username, parse_stored_username
from app.domain.outbox import Delivery, OutboxFilter, State
from app.domain.policy import OPERATOR_PRINCIPAL, Access, Principal
from app.domain.ports import Clock, LiveCredentials, Transaction
from app.domain.signing_keys import PublicKey
from app.domain.users import OPERATOR, User
from app.operations.accounts import add_user, find_user, find_user_by_uuid, new_user
from app.operations.admin_audit import ListAudit
from app.operations.admin_outbox import ListOutbox
from app.operations.admin_users import (
    AdminCreateUser,
    AdminUpdateUser,
    ListUsers,
    UserByUuid,
    prepare_user,
)
from app.operations.catalog import OPERATIONS
from app.operations.credentials import CreateKey, add_key, key_not_found, revoke_keys
from app.operations.framework.audit_log import WriteResult, make_entry
from app.operations.framework.context import Caller, OperationContext
from app.operations.framework.services import Services
from app.operations.panel_sync import SERVERS
from app.operations.views import (
    AccountView,
    AuditPage,
    CreatedKey,
    CreatedUser,
    Keys,
    OutboxPage,
    PanelUser,
    PanelUsers,
    account_view,
    created_user,
)

FIRST_ADMIN = "admin"
OPERATOR_CALLER = Caller(trusted=OPERATOR_PRINCIPAL)
# More numbers than can be assigned between a backup and its restore: a fixed count plus a rate.
SKIPPED_MIN = 1_000_000
SKIPPED_PER_SECOND = 10
NUMBER_MAX = 2**63 - 1


async def needs_first_admin(services: Services) -> bool:
    """Return True if there never was an admin; the last one cannot be removed."""
    return not await services.store.read(lambda tx: tx.users.has_other_active_admin(OPERATOR.id))


async def create_first_admin(
    services: Services, key: str, save_key: Callable[[], None] | None = None
) -> bool:
    """Create `admin` with this access key if there never was an admin; return True if it was
    created.

    `save_key` stores the key for the operator. It is called in the transaction: of two concurrent
    starts, only the one that creates the account calls it, and no account is created without it.
    The account has no password until an admin sets one. Raises UsernameTaken.
    """
    username = Username.parse(FIRST_ADMIN)
    new = new_user(services, username, username.value, email=None, password_hash=None, admin=True)

    def make(tx: Transaction, _: Principal) -> WriteResult[bool]:
        if tx.users.has_other_active_admin(OPERATOR.id):
            return WriteResult(False)
        user = add_user(tx, services, new, username, by_admin=True)
        made = add_key(tx, services, user.result, CreateKey("bootstrap"), text=key)
        if save_key is not None:
            save_key()
        return WriteResult(True, user.target, {**user.changes, **made.changes})

    return await _operator_context(services, "admin.users.create").write(make)


async def create_account(
    services: Services, command: AdminCreateUser, email: str | None
) -> CreatedUser:
    """Create an account as an admin does, with or without an e-mail address."""
    new, username, generated = await prepare_user(services, command, email)
    user = await _operator_context(services, "admin.users.create").write(
        lambda tx, _: add_user(tx, services, new, username, by_admin=True)
    )
    return created_user(user, generated)


def _operator_context(services: Services, action: str) -> OperationContext:
    """Return a context for the operator; the audit trail shows `action`."""
    return OperationContext(services, action, Access.ADMIN, OPERATOR_CALLER, changes=True)


def _find_account(tx: Transaction, raw: str) -> User:
    """Return the account with this username, uuid, snowflake or e-mail address. Raises
    UserNotFound."""
    name = parse_stored_username(raw)
    user = None if name is None else tx.users.get_by_username(name)
    if user is None and "@" in raw:
        user = tx.users.get_by_email_key(_email_key(raw))
    if user is not None:
        return user
    try:
        return find_user(tx, raw)
    except UserNotFound:
        raise UserNotFound from None


def _email_key(raw: str) -> str:
    try:
        return Email.parse(raw).key
    except InvalidEmail:
        raise UserNotFound from None


async def _as_admin(services: Services, operation: str, command: Any) -> Any:
    """Perform an admin operation as the operator."""
    return await OPERATIONS[operation].perform(services, OPERATOR_CALLER, command)


async def _uuid_of(services: Services, username: str) -> str:
    return (await services.store.read(lambda tx: _find_account(tx, username))).uuid


async def _view_of(services: Services, uuid: str) -> AccountView:
    return account_view(await services.store.read(lambda tx: find_user_by_uuid(tx, uuid)))


async def stream_accounts(
    services: Services, command: ListUsers
) -> AsyncIterator[tuple[str, PanelUser]]:
    """Yield the accounts of a list with their uuids. Raises InvalidInput."""
    chunks = OPERATIONS["admin.users.list"].stream(services, OPERATOR_CALLER, command)
    async for chunk in chunks:
        users: PanelUsers = json.loads(chunk)
        for uuid, user in users.items():
            yield uuid, user


async def set_disabled(
    services: Services, username: str, disabled: bool
) -> tuple[AccountView, bool]:
    """Disable or enable an account; return it, and False if its panel is not informed.

    Without a configured panel, messages in the outbox or stopped servers of the account show that
    one exists. Raises UserNotFound, LastAdmin.
    """
    uuid = await _uuid_of(services, username)
    if disabled:
        await _as_admin(services, "admin.users.disable", UserByUuid(uuid))
    else:
        await _as_admin(services, "admin.users.update", AdminUpdateUser(uuid, disabled=False))
    is_informed = SERVERS in services.handlers or not await services.store.read(
        lambda tx: _has_panel(tx, uuid)
    )
    return await _view_of(services, uuid), is_informed


def _has_panel(tx: Transaction, uuid: str) -> bool:
    has_messages = tx.outbox.list_page(OutboxFilter(), None, 1)
    return bool(has_messages or tx.stopped_servers.list_for_user(find_user_by_uuid(tx, uuid).id))


async def unlock_account(services: Services, username: str) -> AccountView:
    """Unlock an account. Raises UserNotFound."""
    uuid = await _uuid_of(services, username)
    await _as_admin(services, "admin.users.unlock", UserByUuid(uuid))
    return await _view_of(services, uuid)


async def create_key_for(services: Services, username: str, command: CreateKey) -> CreatedKey:
    """Create an access key for an account. Raises UserNotFound, InvalidInput."""
    return await _operator_context(services, "keys.create").write(
        lambda tx, _: add_key(tx, services, _find_account(tx, username), command)
    )


async def list_keys_of(services: Services, username: str) -> Keys:
    """Return the access keys of an account. Raises UserNotFound."""
    uuid = await _uuid_of(services, username)
    keys: Keys = await _as_admin(services, "admin.keys.list", UserByUuid(uuid))
    return keys


async def list_audit_log(services: Services, command: ListAudit) -> AuditPage:
    """Return a page of the audit trail. Raises InvalidInput."""
    page: AuditPage = await _as_admin(services, "admin.audit.list", command)
    return page


async def list_outbox(services: Services, command: ListOutbox, username: str | None) -> OutboxPage:
    """Return a page of the outbox, or of its messages about an account.

    Raises InvalidInput, UserNotFound.
    """
    if username is not None:
        command = replace(command, user=await _uuid_of(services, username))
    page: OutboxPage = await _as_admin(services, "admin.outbox.list", command)
    return page


async def retry_message(services: Services, number: int) -> None:
    """Requeue a message that waits or is dead. Raises NotFound."""

    def requeue(tx: Transaction, _: Principal) -> WriteResult[None]:
        found = _undelivered(tx, number)
        requeued = found.requeued(services.clock.now())
        tx.outbox.save(requeued)
        return _changed(found, requeued.state)

    await _operator_context(services, "outbox.retry").write(requeue)


async def drop_message(services: Services, number: int) -> None:
    """Delete a message that waits or is dead. Raises NotFound, InvalidInput."""

    def drop(tx: Transaction, _: Principal) -> WriteResult[None]:
        found = _undelivered(tx, number)
        if not tx.outbox.delete(number):
            raise InvalidInput(f"Message {number} is being delivered; try again later.")
        return _changed(found, None)

    await _operator_context(services, "outbox.drop").write(drop)


def _undelivered(tx: Transaction, number: int) -> Delivery:
    # The engines cannot store larger numbers.
    found = tx.outbox.find(number) if 0 < number <= NUMBER_MAX else None
    if found is None or found.state is State.DONE:
        raise NotFound(f"There is no message {number} that waits or is dead.")
    return found


def _changed(found: Delivery, state: State | None) -> WriteResult[None]:
    return WriteResult(
        None, Ref(RefKind.MESSAGE, str(found.number)), {"state": (found.state, state)}
    )


async def revoke_key(services: Services, key_id: str) -> None:
    """Revoke the key with this public id. Raises NotFound."""

    def revoke(tx: Transaction, _: Principal) -> WriteResult[None]:
        found = tx.keys.get_with_owner(key_id)
        if found is None:
            raise key_not_found()
        return revoke_keys(tx, found[1], key_id)

    await _operator_context(services, "admin.keys.revoke").write(revoke)


def record_rotation(services: Services) -> Callable[[Transaction, str | None, str], None]:
    """Return a function that records a key rotation, in the transaction that publishes the new
    key."""
    now = services.clock.now()

    def record(tx: Transaction, old: str | None, new: str) -> None:
        target, changes = Ref(RefKind.SIGNING_KEY, new), {"signing_key": (old, new)}
        tx.audit.add(
            make_entry(
                "signing-keys.rotate",
                OPERATOR_PRINCIPAL,
                Origin(),
                now,
                target=target,
                changes=changes,
            )
        )

    return record


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """The contents of a restored backup: the time of its last entry, and its valid credentials.

    `kept`: the credentials are valid again; otherwise they were ended.
    """

    as_of: datetime | None
    credentials: LiveCredentials
    kept: bool


def finish_restore(
    clock: Clock, kid: str | None, *, keep_credentials: bool
) -> Callable[[Transaction], RestoreSummary]:
    """Return the work that prepares a restored database for use, and records it.

    Credentials that ended after the backup would be valid again, and it is not known which these
    are. So all sessions and access keys are ended, and only the signing key `kid` is trusted,
    unless the operator keeps the credentials. Numbers assigned since the backup are not assigned
    again.
    """
    now = clock.now()

    def finish(tx: Transaction) -> RestoreSummary:
        newest = tx.audit.list_page(EntryFilter(), None, 1)
        as_of = newest[0].at if newest else None
        credentials = tx.totals.count_credentials(now)
        if not keep_credentials:
            tx.restored_database.end_credentials(kid)
            _sign_at_once(tx, kid, now)
        tx.restored_database.skip_numbers(_numbers_to_skip(as_of, now))
        changes: Changes = {
            "as_of": (None, None if as_of is None else as_of.isoformat()),
            "credentials": (None, "kept" if keep_credentials else "ended"),
            "sessions": (None, str(credentials.sessions)),
            "keys": (None, str(credentials.keys)),
        }
        tx.audit.add(make_entry("restored", OPERATOR_PRINCIPAL, Origin(), now, changes=changes))
        return RestoreSummary(as_of, credentials, keep_credentials)

    return finish


def _sign_at_once(tx: Transaction, kid: str | None, now: datetime) -> None:
    """Let the only trusted key sign immediately: no verifier has a key set without it."""
    public = None if kid is None else tx.signing_keys.find(kid)
    if public is not None and public.signs_from > now:
        tx.signing_keys.renew(replace(public, signs_from=now))


def _numbers_to_skip(as_of: datetime | None, now: datetime) -> int:
    seconds = 0 if as_of is None else max(0, int((now - as_of).total_seconds()))
    return SKIPPED_MIN + SKIPPED_PER_SECOND * seconds


async def list_published_keys(services: Services) -> Sequence[PublicKey]:
    """Return the public halves of all signing keys whose tokens may still be valid."""
    now = services.clock.now()
    keys = await services.store.read(lambda tx: tx.signing_keys.list_all())
    return [key for key in keys if key.is_trusted(now)]
