"""What PostgreSQL's state is called, and for how long it may be taken for the present one.

Gray and Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache
Consistency" (1989), without a word to those who hold one: whoever changes something waits, after
its commit and before it answers, until every lease given before has ended.
"""

import asyncio
import logging
from time import monotonic
from typing import Any

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage import voids

# Seconds that the state found by a question may be believed, from when it was asked.
LEASE = 0.1
RENEWED_AFTER = LEASE / 2
# uvloop counts in whole milliseconds, so that it wakes up by a part of one too early.
_EARLY = 0.001
# How long to wait for an answer, and before trying again where there was none.
PATIENCE = 1.0
_SNAPSHOT = "SELECT pg_current_snapshot()::text"
_LOG = logging.getLogger("gatehouse.store")


class Snapshots:
    """The name of the state that everybody may rely on for a moment.

    `pg_current_snapshot()` names exactly the transactions whose changes can be seen: where it is
    the same twice, nothing was committed in between, by whomever. A state is believed from before
    it was asked for, by the monotonic clock of this process; a process that stands still, or cannot
    reach the server, believes nothing.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._version: str | None = None
        self._until = self._renew_at = -1.0
        self._asking: asyncio.Task[None] | None = None
        self._connection: Any = None

    def version(self) -> str | None:
        """The name of the present state; None where it is not known at this moment."""
        now = monotonic()
        if now >= self._renew_at and self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self._version if now < self._until else None

    async def _ask(self) -> None:
        asked = monotonic()
        self._renew_at = asked + PATIENCE
        try:
            async with asyncio.timeout(PATIENCE):
                if self._connection is None:
                    self._connection = await connect(self._engine, PATIENCE)
                self._version = await self._connection.fetchval(_SNAPSHOT)
        # asyncpg has errors of several families for a lost connection.
        except Exception as error:
            _LOG.warning(
                "The state of the store is not known: %s", str(error) or type(error).__name__
            )
            self._let_go()
        else:
            self._until, self._renew_at = asked + LEASE, asked + RENEWED_AFTER
        finally:
            self._asking = None

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            # To cancel it would leave a connection half made.
            await self._asking
        self._let_go()


async def connect(engine: AsyncEngine, patience: float) -> Any:
    """A connection of the engine's own making, beside its pool and without SQLAlchemy."""
    _, options = engine.dialect.create_connect_args(engine.url)
    return await asyncpg.connect(**{**options, "timeout": patience})


async def outlast() -> None:
    """Wait until every lease that was given before has ended."""
    await asyncio.sleep(LEASE + _EARLY)


def watch(engine: AsyncEngine) -> None:
    """Note on each connection whether its transaction voids an answer that somebody may keep."""

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def note(
        connection: Connection, cursor: Any, _statement: str, _values: Any, context: Any, _many: Any
    ) -> None:
        if context is None or context.compiled is None or not cursor.rowcount:
            return
        if voids.are_made_by(context.compiled.statement):
            voids.note(connection)
