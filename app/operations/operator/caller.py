"""The operator as caller of operations, and accounts by any of their names."""

from typing import Any

from app.domain.errors import InvalidEmail, UserNotFound
from app.domain.names import Email, parse_stored_username
from app.domain.policy import OPERATOR_PRINCIPAL, Access
from app.domain.ports.store import Transaction
from app.domain.users import User
from app.operations.accounts import find_user
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller, OperationContext
from app.operations.framework.services import Services

OPERATOR_CALLER = Caller(trusted=OPERATOR_PRINCIPAL)


def operator_context(services: Services, action: str) -> OperationContext:
    """Return a context for the operator; the audit log shows `action`."""
    return OperationContext(services, action, Access.ADMIN, OPERATOR_CALLER, changes=True)


async def perform(services: Services, operation: str, command: Any) -> Any:
    """Perform an admin operation as the operator."""
    return await OPERATIONS[operation].perform(services, OPERATOR_CALLER, command)


def find_account(tx: Transaction, raw: str) -> User:
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
        raise user_unknown() from None


def user_unknown() -> UserNotFound:
    """Return the error for a text that names no account."""
    return UserNotFound("'gatehouse users list --status all' prints all accounts.")


def _email_key(raw: str) -> str:
    try:
        return Email.parse(raw).key
    except InvalidEmail:
        raise user_unknown() from None


async def find_uuid(services: Services, account: str) -> str:
    """Return the uuid of an account by any of its names. Raises UserNotFound."""
    return (await services.store.read(lambda tx: find_account(tx, account))).uuid
