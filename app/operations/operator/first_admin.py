"""The first admin, whom a start creates if there never was one."""

from collections.abc import Callable

from app.domain.names import Username
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.users import OPERATOR
from app.operations.accounts import add_user, new_user
from app.operations.credentials import CreateKey, add_key
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.services import Services
from app.operations.operator.caller import operator_context

FIRST_ADMIN = "admin"


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

    return await operator_context(services, "admin.users.create").write(make)
