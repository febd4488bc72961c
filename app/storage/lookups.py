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

# Whoever asks for few does not wait for the rows of any number of others.
KEYS_MAX = 1000

Rows = Sequence[Any]


class Lookups:
    """Asks what one query answers, on connections of its own.

    Whatever goes wrong is no error: the usual way asks again, and knows what it means.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._resting_until = -1.0
        # One at a time: meanwhile, more come together.
        self._one_of_a_kind = asyncio.Lock()
        self._joint: dict[str, JointQuestion] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def rows(self, question: Question) -> Rows:
        """The rows. Raises SecondQuery where the question has to be asked in the usual way."""
        if question.by_keys:
            found = await self._join(question)
        else:
            async with self._free:
                found = await self._try(question.statement, question.parameters)
        if found is None:
            raise SecondQuery
        return found

    def _join(self, question: Question) -> asyncio.Future[Rows | None]:
        """Ask it together with all others of its kind that wait to be sent, as this one does."""
        statement = question.statement
        joint = self._joint.get(statement)
        if joint is None or len(joint.keys) >= KEYS_MAX:
            joint = self._joint[statement] = JointQuestion()
            # Whoever asks it is none of those who wait: each of them may be cancelled.
            asking = asyncio.get_running_loop().create_task(self._ask_jointly(statement, joint))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        return joint.join(*question.parameters)

    async def _ask_jointly(self, statement: str, joint: "JointQuestion") -> None:
        rows = None
        try:
            async with self._one_of_a_kind:
                # What is asked from here on goes by what holds from here on.
                if self._joint.get(statement) is joint:
                    del self._joint[statement]
                rows = await self._try(statement, (joint.keys,))
        finally:
            joint.answer(rows)

    async def _try(self, statement: str, parameters: tuple[Any, ...]) -> Rows | None:
        """The rows, or None."""
        if monotonic() < self._resting_until:
            return None
        try:
            return await self._ask(statement, parameters)
        # asyncpg has errors of several families for a lost connection.
        except Exception:
            self._resting_until = monotonic() + PAUSE
            self._let_go()
            return None

    async def _ask(self, statement: str, parameters: tuple[Any, ...]) -> Rows:
        connection = self._idle.pop() if self._idle else await connect(self._engine, PATIENCE)
        # To cancel a statement would mean to wait for the server's answer to that.
        ending = asyncio.get_running_loop().call_later(PATIENCE, connection.terminate)
        try:
            found: Rows = await connection.fetch(statement, *parameters)
        except BaseException:
            connection.terminate()
            raise
        finally:
            ending.cancel()
        self._idle.append(connection)
        return found

    async def close(self) -> None:
        """Let go of the connections, after what is being asked."""
        if self._asking:
            await asyncio.wait(self._asking)
        self._let_go()

    def _let_go(self) -> None:
        while self._idle:
            self._idle.pop().terminate()


class JointQuestion:
    """What several ask by keys, as one question: each gets the rows of his own keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._waiting: list[tuple[Sequence[str], asyncio.Future[Rows | None]]] = []

    def join(self, keys: Sequence[str]) -> asyncio.Future[Rows | None]:
        """Ask for the rows of these, too; None where that has to be asked in the usual way."""
        answer: asyncio.Future[Rows | None] = asyncio.get_running_loop().create_future()
        self.keys += keys
        self._waiting.append((keys, answer))
        return answer

    def answer(self, rows: Rows | None) -> None:
        """Tell each who still waits."""
        found = {row[0]: row for row in rows or ()}
        for keys, answer in self._waiting:
            if not answer.done():
                own = [found[key] for key in keys if key in found]
                answer.set_result(None if rows is None else own)
