"""Single queries outside any transaction, on connections of the driver."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.compiled import CompiledStatement
from app.storage.dialect import Rows
from app.storage.postgresql.connect import Connector
from app.storage.postgresql.driver_errors import DRIVER_ERRORS, recognize, translate
from app.storage.postgresql.renewal import Renewal


class QueryConnections:
    """Runs queries, each on a connection of its own.

    SQLAlchemy would cost several times as much as such a query. A query is not cancelled but by the
    end of the process, which closes its connection.
    """

    def __init__(self, engine: AsyncEngine, renewal: Renewal) -> None:
        self._dialect = engine.dialect
        connect: Connector = engine.get_execution_options()["gatehouse_connect"]
        # The server would plan for the number of keys at each query, which takes longer than it.
        settings = {**connect.settings, "plan_cache_mode": "force_generic_plan"}
        self._connect = replace(connect, settings=settings)
        self._idle: list[Any] = []
        renewal.also(self.drop)

    async def fetch(
        self, statement: CompiledStatement, values: Mapping[str, Any], latest: float
    ) -> Rows:
        """Return the rows, within the loop's time `latest`.

        Raises DBAPIError, OSError, TimeoutError.
        """
        idle, loop = self._idle, asyncio.get_running_loop()
        if loop.time() >= latest:
            raise TimeoutError("no connection in time")
        connection = await self._take(latest - loop.time())
        # To cancel a statement would mean to wait for the server's answer to that.
        ending = loop.call_at(latest, connection.terminate)
        try:
            rows = await statement.fetch(connection, self._dialect, values)
        except Exception as error:
            is_lost, known = connection.is_closed(), recognize(error, connection)
            connection.terminate()
            if isinstance(known, DRIVER_ERRORS):
                self._raise(known, is_lost=is_lost, is_late=loop.time() >= latest)
            raise
        except BaseException:
            connection.terminate()
            raise
        finally:
            ending.cancel()
        if idle is self._idle:
            idle.append(connection)
        else:
            connection.terminate()
        return rows

    async def _take(self, seconds: float) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self._connect(seconds)
        except DRIVER_ERRORS as error:
            self._raise(error, is_lost=True, is_late=False)

    def _raise(self, error: Exception, *, is_lost: bool, is_late: bool) -> NoReturn:
        """Raise the error as SQLAlchemy would, and drop connections that will fail, too."""
        meaning = translate(error, is_lost=is_lost)
        if meaning.connection_invalidated:
            self.drop()
        if is_late:
            raise TimeoutError("no answer in time") from error
        raise meaning from error

    def drop(self) -> None:
        """Close the idle connections now, those in use after their query."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()
