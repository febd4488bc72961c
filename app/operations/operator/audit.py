"""The audit log, whose accounts the operator names by any of their names."""

from dataclasses import replace

from app.domain.audit import EntryFilter
from app.domain.errors import NotFound, UserNotFound
from app.domain.ports.store import Transaction
from app.domain.quoting import quote
from app.domain.users import OPERATOR
from app.operations.admin_audit import ListAudit
from app.operations.framework.operation import UNSET, Unset
from app.operations.framework.services import Services
from app.operations.operator.caller import find_account, perform
from app.operations.views.audit import AuditPage


async def list_audit_log(services: Services, command: ListAudit) -> AuditPage:
    """Return a page of the audit log.

    Raises InvalidInput; UserNotFound for an unknown actor, NotFound for a target without an entry.
    """

    def resolve(tx: Transaction) -> ListAudit:
        return replace(command, actor=_actor(tx, command.actor), target=_target(tx, command.target))

    command = await services.store.read(resolve)
    page: AuditPage = await perform(services, "admin.audit.list", command)
    return page


def _actor(tx: Transaction, raw: str | Unset) -> str | Unset:
    if raw is UNSET or raw in {"", OPERATOR.username}:
        return raw
    return find_account(tx, raw).uuid


def _target(tx: Transaction, raw: str | Unset) -> str | Unset:
    """Return the id of a target: of an account, or of what the log has an entry about."""
    if raw is UNSET or not raw:
        return raw
    try:
        return find_account(tx, raw).uuid
    except UserNotFound:
        if tx.audit.list_page(EntryFilter(target=(raw,)), None, 1):
            return raw
    raise NotFound(f"The audit log has no entry about {quote(raw)}, and no account has this name.")
