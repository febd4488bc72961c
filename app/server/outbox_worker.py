"""Delivery of the outbox, in each process that serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app.domain.errors import Overloaded
from app.domain.outbox import Delivery, State
from app.operations.framework.services import Services
from app.operations.outbox import claim_messages, deliver_message

# Concurrent deliveries of a process.
CONCURRENT_MAX = 4
# Seconds between two checks for messages of other processes and for retries that are due.
POLL_SECONDS = 1.0

_LOG = structlog.get_logger("gatehouse.outbox")


@asynccontextmanager
async def deliver_outbox(services: Services) -> AsyncIterator[None]:
    """Deliver messages while the context is open; do nothing if no service is configured.

    At the end, the deliveries in progress are cancelled and their messages released.
    """
    if not services.handlers:
        yield
        return
    worker = OutboxWorker(services)
    task = services.background.start(
        "outbox", worker.begin_due, POLL_SECONDS, due=services.outbox_changed
    )
    try:
        yield
    finally:
        await task.stop()
        await worker.cancel()


class OutboxWorker:
    """Begins deliveries when they are due, up to `CONCURRENT_MAX` at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._deliveries: set[asyncio.Task[None]] = set()

    async def begin_due(self) -> None:
        """Begin all deliveries that are due, within the limit. Raises Overloaded."""
        while await self._begin_some():
            pass

    async def cancel(self) -> None:
        """Cancel the deliveries in progress, which releases their messages."""
        # A task that is cancelled before its first step could not release its message.
        await asyncio.sleep(0)
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    async def _begin_some(self) -> bool:
        """Begin deliveries that are due, within the limit; return whether there may be more."""
        room = CONCURRENT_MAX - len(self._deliveries)
        if not room:
            return False
        holder = self._services.ids.new_uuid()
        claimed = await claim_messages(self._services, holder, room)
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery, holder))
            self._deliveries.add(task)
            task.add_done_callback(self._handle_end)
        return bool(claimed)

    def _handle_end(self, task: asyncio.Task[None]) -> None:
        self._deliveries.discard(task)
        # Messages about one account are delivered in order: the next one may be due now.
        self._services.outbox_changed.set()

    async def _deliver(self, delivery: Delivery, holder: str) -> None:
        try:
            after = await deliver_message(self._services, delivery, holder)
        except Overloaded:
            _LOG.warning("outcome of a delivery not stored", message=delivery.number)
            return
        except Exception:
            _LOG.exception("outcome of a delivery not stored", message=delivery.number)
            return
        fields = {"message": after.number, "kind": after.message.kind, "attempts": after.attempts}
        if after.state is State.DONE:
            _LOG.info("message delivered", **fields)
        elif after.state is State.DEAD:
            _LOG.error("delivery abandoned", **fields, error=after.error)
        else:
            _LOG.warning("delivery failed, will be retried", **fields, error=after.error)
