"""Operations of admins on accounts, which the operator names by any of their names."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from app.domain.errors import InvalidInput
from app.domain.outbox import OutboxFilter
from app.domain.ports.store import Transaction
from app.operations.accounts import find_user_by_uuid
from app.operations.admin_user_lists import ListUsers
from app.operations.admin_users import AdminCreateUser, AdminUpdateUser, UserByUuid
from app.operations.catalog import OPERATIONS
from app.operations.framework.operation import UNSET
from app.operations.framework.services import Services
from app.operations.operator.caller import OPERATOR_CALLER, find_uuid, perform, user_unknown
from app.operations.panel_sync import SERVERS
from app.operations.views.accounts import (
    AccountView,
    CreatedUser,
    PanelUser,
    PanelUsers,
    UserPage,
    account_view,
)
from app.operations.views.results import Created, RawJsonPage


async def create_account(services: Services, command: AdminCreateUser) -> CreatedUser:
    """Create an account. Raises the errors of `admin.users.create`."""
    created: Created[CreatedUser] = await perform(services, "admin.users.create", command)
    return created.view


async def update_account(services: Services, account: str, changes: AdminUpdateUser) -> AccountView:
    """Change an account; `changes` has any uuid. Raises the errors of `admin.users.update`."""
    if changes == AdminUpdateUser(changes.uuid):
        raise InvalidInput("There is nothing to change: set at least one option.")
    uuid = await find_uuid(services, account)
    await perform(services, "admin.users.update", replace(changes, uuid=uuid))
    return await view_account(services, uuid)


async def set_password(
    services: Services, account: str, password: str | None
) -> tuple[AccountView, str]:
    """Set a password, or a generated one for None, and return it. Ends the account's sessions and
    its lock. Raises UserNotFound, WeakPassword."""
    chosen = services.randomness.new_password() if password is None else password
    view = await update_account(services, account, AdminUpdateUser("", password=chosen))
    return view, chosen


async def view_account(services: Services, uuid: str) -> AccountView:
    """Return an account with all its names."""
    return account_view(await services.store.read(lambda tx: find_user_by_uuid(tx, uuid)))


async def list_accounts(services: Services, command: ListUsers) -> tuple[PanelUsers, str | None]:
    """Return a page of accounts by uuid, and the cursor of the next one.

    Raises InvalidInput; UserNotFound if an exact name, address or id is that of no such account.
    """
    page: RawJsonPage[UserPage] = await perform(services, "admin.users.list", command)
    users: PanelUsers = json.loads(page.listed)
    _require_named(command, is_empty=not users)
    return users, page.next


async def stream_accounts(
    services: Services, command: ListUsers
) -> AsyncIterator[tuple[str, PanelUser]]:
    """Yield all accounts of a list with their uuids. Raises the errors of `list_accounts`."""
    chunks = OPERATIONS["admin.users.list"].stream(services, OPERATOR_CALLER, command)
    is_empty = True
    async for chunk in chunks:
        users: PanelUsers = json.loads(chunk)
        for uuid, user in users.items():
            is_empty = False
            yield uuid, user
    _require_named(command, is_empty=is_empty)


def _require_named(command: ListUsers, *, is_empty: bool) -> None:
    """Raise UserNotFound for an empty list of one account, as a command that takes it does."""
    if is_empty and {command.username, command.email, command.user_id} != {UNSET}:
        raise user_unknown()


async def set_disabled(
    services: Services, account: str, disabled: bool
) -> tuple[AccountView, bool]:
    """Disable or enable an account; return it, and False if its panel is not informed.

    Without a configured panel, messages in the outbox or stopped servers of the account show that
    one exists. Raises UserNotFound, LastAdmin.
    """
    uuid = await find_uuid(services, account)
    if disabled:
        await perform(services, "admin.users.disable", UserByUuid(uuid))
    else:
        await perform(services, "admin.users.update", AdminUpdateUser(uuid, disabled=False))
    is_informed = SERVERS in services.handlers or not await services.store.read(
        lambda tx: _has_panel(tx, uuid)
    )
    return await view_account(services, uuid), is_informed


def _has_panel(tx: Transaction, uuid: str) -> bool:
    has_messages = tx.outbox.list_page(OutboxFilter(), None, 1)
    return bool(has_messages or tx.stopped_servers.list_for_user(find_user_by_uuid(tx, uuid).id))


async def unlock_account(services: Services, account: str) -> AccountView:
    """Unlock an account. Raises UserNotFound."""
    uuid = await find_uuid(services, account)
    await perform(services, "admin.users.unlock", UserByUuid(uuid))
    return await view_account(services, uuid)
