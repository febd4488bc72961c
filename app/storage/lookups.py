"""Single prepared queries on PostgreSQL, past SQLAlchemy's pool and its change of stacks."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.prepared import Question, SecondQuery
from app.storage.snapshots import connect

# Connections beside the pool; who finds none waits for a moment.
CONNECTIONS = 4
# Whoever waits longer goes the usual way, which knows what is to be said.
PATIENCE = 1.0


class Lookups:
    """Asks what one query answers, on connections of its own.

    Whatever goes wrong is no error: the usual way asks again, and knows what it means.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def rows(self, question: Question) -> Sequence[Any]:
        """The rows. Raises SecondQuery where the question has to be asked in the usual way."""
        async with self._free:
            try:
                connection = self._idle.pop() if self._idle else await connect(self._engine)
                try:
                    found: Sequence[Any] = await connection.fetch(
                        question.statement, *question.parameters, timeout=PATIENCE
                    )
                except BaseException:
                    connection.terminate()
                    raise
            # asyncpg has errors of several families for a lost connection.
            except Exception:
                raise SecondQuery from None
            self._idle.append(connection)
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        while self._idle:
            self._idle.pop().terminate()
