"""Delivering what is in the outbox: one claim, one attempt. Nobody asks for it, so it is on no
record but that of the outbox itself."""

import logging
from asyncio import CancelledError, timeout
from collections.abc import Sequence

from app.domain.errors import DomainError
from app.domain.outbox import DELIVERY_MAX, KEPT_FOR, Delivery, Json
from app.domain.ports import Transaction
from app.usecases.services import Services

_LOG = logging.getLogger("gatehouse.outbox")


async def claim(services: Services, holder: str, most: int) -> Sequence[Delivery]:
    """Up to `most` messages that are due, for `holder` to deliver. Raises Overloaded."""
    kinds, now = services.handlers.keys(), services.clock.now()
    if not await services.store.scan(lambda tx: tx.outbox.is_due(kinds, now)):
        return []
    return await services.store.write(lambda tx: tx.outbox.claim(kinds, now, holder, most))


async def deliver(services: Services, delivery: Delivery, holder: str) -> Delivery:
    """Attempt a delivery and keep what came of it.

    One that is broken off is given back as if it had not begun. Raises Overloaded where nothing can
    be kept: then it happens again.
    """
    try:
        outcome = await _attempt(services, delivery)
    except CancelledError:
        await _settle(services, delivery.untried(), holder)
        raise
    now = services.clock.now()
    if isinstance(outcome, str):
        after = delivery.failed(outcome, now, services.randomness.fraction())
    else:
        after = delivery.done(outcome, now)
    await _settle(services, after, holder)
    return after


async def _attempt(services: Services, delivery: Delivery) -> Json | str | None:
    """The outcome, or the sentence that says why there is none."""
    try:
        async with timeout(DELIVERY_MAX.total_seconds()):
            return await services.handlers[delivery.message.kind](delivery)
    except DomainError as error:
        return error.detail
    except TimeoutError:
        return f"It took longer than {DELIVERY_MAX.total_seconds():.0f} seconds."
    except Exception:
        _LOG.exception("message %d could not be delivered", delivery.number)
        return "A fault of the gateway's own; its log says more."


async def _settle(services: Services, delivery: Delivery, holder: str) -> None:
    def keep(tx: Transaction) -> None:
        tx.outbox.settle(delivery, holder)
        tx.outbox.forget(services.clock.now() - KEPT_FOR)

    await services.store.write(keep)
