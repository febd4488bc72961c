"""Delivering what is in the outbox, in each process that serves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from app.domain.errors import Overloaded
from app.domain.outbox import Delivery, State
from app.usecases.outbox import claim, deliver
from app.usecases.services import Services

# Deliveries of one process at the same time.
AT_ONCE = 4
# Seconds until what others put there, or what waited for its time, is looked for.
LOOK_EVERY = 1.0

_LOG = structlog.get_logger("gatehouse.outbox")


@asynccontextmanager
async def delivering(services: Services) -> AsyncIterator[None]:
    """Deliver for as long as this lasts. Where nothing is to be delivered to anybody, do nothing.

    At the end nothing new is begun, and what is under way is broken off and given back.
    """
    if not services.handlers:
        yield
        return
    courier = Courier(services)
    at_work = asyncio.create_task(courier.work())
    try:
        yield
    finally:
        courier.stop()
        await at_work


class Courier:
    """Begins deliveries when they are due, a few at a time, until it is stopped."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Have `work` end."""
        self._stopping = True
        self._services.posted.set()

    async def work(self) -> None:
        """Deliver until stopped."""
        posted = self._services.posted
        while not self._stopping:
            posted.clear()
            if await self._begin():
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await posted.wait()
        # One that was cancelled before its first step would not give back what it was to deliver.
        await asyncio.sleep(0)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _begin(self) -> bool:
        """Begin what is due, as far as there is room; whether there may be more."""
        room = AT_ONCE - len(self._under_way)
        holder = self._services.ids.uuid()
        try:
            claimed = await claim(self._services, holder, room) if room else []
        except Overloaded:
            return False
        except Exception:
            _LOG.exception("the outbox could not be looked at")
            return False
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery, holder))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        return bool(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        # The next of its line may be delivered now.
        self._services.posted.set()

    async def _deliver(self, delivery: Delivery, holder: str) -> None:
        try:
            after = await deliver(self._services, delivery, holder)
        except Overloaded:
            _LOG.warning("what came of a message could not be kept", message=delivery.number)
            return
        except Exception:
            _LOG.exception("what came of a message could not be kept", message=delivery.number)
            return
        noted = {"message": after.number, "kind": after.message.kind, "attempts": after.attempts}
        if after.state is State.DONE:
            _LOG.info("delivered", **noted)
        elif after.state is State.DEAD:
            _LOG.error("given up", **noted, error=after.error)
        else:
            _LOG.warning("not delivered", **noted, error=after.error)
