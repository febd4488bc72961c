"""Delivery of outbox messages: one claim, one attempt. Deliveries are not in the audit trail."""

import logging
from asyncio import CancelledError, timeout
from collections.abc import Sequence

from app.domain.errors import DomainError
from app.domain.outbox import DELIVERY_MAX, Delivery, Json
from app.operations.framework.services import Services

_LOG = logging.getLogger("gatehouse.outbox")


class LeaseLostError(RuntimeError):
    """The lease of a message expired before its delivery ended, so it may be delivered twice."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The lease of message {number} ended before its delivery did.")


async def claim_messages(services: Services, holder: str, max_count: int) -> Sequence[Delivery]:
    """Claim up to `max_count` due messages for `holder`. Raises Overloaded."""
    kinds, now = services.handlers.keys(), services.clock.now()
    if not await services.store.scan(lambda tx: tx.outbox.has_due(kinds, now)):
        return []
    return await services.store.write(lambda tx: tx.outbox.claim(kinds, now, holder, max_count))


async def deliver_message(services: Services, delivery: Delivery, holder: str) -> Delivery:
    """Attempt a delivery and store its result.

    A cancelled attempt is not counted. Raises Overloaded if the result cannot be stored, so that
    the delivery is repeated, and LeaseLostError if another process has claimed the message.
    """
    try:
        outcome = await _attempt(services, delivery)
    except CancelledError:
        await _save_result(services, delivery.without_attempt(), holder)
        raise
    now = services.clock.now()
    if isinstance(outcome, str):
        after = delivery.failed(outcome, now, services.randomness.fraction())
    else:
        after = delivery.delivered(outcome, now)
    await _save_result(services, after, holder)
    return after


async def _attempt(services: Services, delivery: Delivery) -> Json | str | None:
    """Return the outcome, or the reason of a failure."""
    try:
        async with timeout(DELIVERY_MAX.total_seconds()):
            return await services.handlers[delivery.message.kind](delivery)
    except DomainError as error:
        return error.detail
    except TimeoutError:
        return f"The delivery took longer than {DELIVERY_MAX.total_seconds():.0f} seconds."
    except Exception:
        _LOG.exception("message %d could not be delivered", delivery.number)
        return "Internal error; see the log of the gateway."


async def _save_result(services: Services, delivery: Delivery, holder: str) -> None:
    """Store the result. Raises Overloaded, and LeaseLostError if another process claimed the
    message."""
    if not await services.store.write(lambda tx: tx.outbox.release(delivery, holder)):
        raise LeaseLostError(delivery.number)
