"""Single prepared queries on PostgreSQL, past SQLAlchemy's pool and its change of stacks."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.prepared import Question, SecondQuery
from app.storage.snapshots import connect

# Connections beside the pool; who finds none waits for a moment.
CONNECTIONS = 4
# Seconds to connect, and for an answer; and after a failure, until anything is asked here again.
PATIENCE = 1.0
PAUSE = 1.0


class Lookups:
    """Asks what one query answers, on connections of its own.

    Whatever goes wrong is no error: the usual way asks again, and knows what it means.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._resting_until = -1.0

    async def rows(self, question: Question) -> Sequence[Any]:
        """The rows. Raises SecondQuery where the question has to be asked in the usual way."""
        async with self._free:
            if monotonic() < self._resting_until:
                raise SecondQuery
            try:
                return await self._ask(question)
            # asyncpg has errors of several families for a lost connection.
            except Exception:
                self._resting_until = monotonic() + PAUSE
                await self.close()
                raise SecondQuery from None

    async def _ask(self, question: Question) -> Sequence[Any]:
        connection = self._idle.pop() if self._idle else await connect(self._engine, PATIENCE)
        # To cancel a statement would mean to wait for the server's answer to that.
        ending = asyncio.get_running_loop().call_later(PATIENCE, connection.terminate)
        try:
            found: Sequence[Any] = await connection.fetch(question.statement, *question.parameters)
        except BaseException:
            connection.terminate()
            raise
        finally:
            ending.cancel()
        self._idle.append(connection)
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        while self._idle:
            self._idle.pop().terminate()
