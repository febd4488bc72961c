"""Messages of the outbox: those of an account, and what to do with them."""

from dataclasses import replace

from app.domain.audit import Ref, RefKind
from app.domain.errors import InvalidInput, NotFound
from app.domain.outbox import Delivery, State
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.operations.admin_outbox import ListOutbox
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.services import Services
from app.operations.operator.caller import find_uuid, operator_context, perform
from app.operations.views.outbox import OutboxPage

# The engines cannot store larger numbers.
NUMBER_MAX = 2**63 - 1


async def list_outbox(services: Services, command: ListOutbox, username: str | None) -> OutboxPage:
    """Return a page of the outbox, or of its messages about an account.

    Raises InvalidInput, UserNotFound.
    """
    if username is not None:
        command = replace(command, user=await find_uuid(services, username))
    page: OutboxPage = await perform(services, "admin.outbox.list", command)
    return page


async def retry_message(services: Services, number: int) -> None:
    """Requeue a message that waits or is dead. Raises NotFound."""

    def requeue(tx: Transaction, _: Principal) -> WriteResult[None]:
        found = _undelivered(tx, number)
        requeued = found.requeued(services.clock.now())
        tx.outbox.save(requeued)
        return _changed(found, requeued.state)

    await operator_context(services, "outbox.retry").write(requeue)


async def drop_message(services: Services, number: int) -> None:
    """Delete a message that waits or is dead. Raises NotFound, InvalidInput."""

    def drop(tx: Transaction, _: Principal) -> WriteResult[None]:
        found = _undelivered(tx, number)
        if not tx.outbox.delete(number):
            raise InvalidInput(f"Message {number} is being delivered; try again later.")
        return _changed(found, None)

    await operator_context(services, "outbox.drop").write(drop)


def _undelivered(tx: Transaction, number: int) -> Delivery:
    found = tx.outbox.find(number) if 0 < number <= NUMBER_MAX else None
    if found is None or found.state is State.DONE:
        raise NotFound(f"There is no message {number} that waits or is dead.")
    return found


def _changed(found: Delivery, state: State | None) -> WriteResult[None]:
    return WriteResult(
        None, Ref(RefKind.MESSAGE, str(found.number)), {"state": (found.state, state)}
    )
