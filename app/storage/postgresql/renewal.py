"""Replacement of connections that work but are of no use any more."""

import logging
from collections.abc import Callable
from time import monotonic

from asyncpg.exceptions import OutdatedSchemaCacheError
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.constraints import is_outdated

_LOG = logging.getLogger("gatehouse.store")
# Seconds between two replacements while the server accepts no writes.
PAUSE = 1.0


def drop_outdated(engine: AsyncEngine) -> None:
    """Have SQLAlchemy invalidate connections when their prepared statements are outdated.

    The error has rolled the transaction back, so the work may run again on a new connection.
    """

    @event.listens_for(engine.sync_engine, "handle_error")
    def classify(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        cause = context.original_exception.__cause__
        is_known = isinstance(error, DBAPIError) and is_outdated(error)
        if is_known or isinstance(cause, OutdatedSchemaCacheError):
            context.is_disconnect = True


class Renewal:
    """Replace all connections after one of them met a server that accepts no writes.

    After a failover the connections still lead to the old primary, where credentials revoked now
    stay valid. So they are replaced once a second, and once more when a server accepts writes.
    """

    def __init__(self) -> None:
        self._since = monotonic()
        self._is_refusing = False
        self._drops: list[Callable[[], None]] = []

    def also(self, drop: Callable[[], None]) -> None:
        """Call `drop`, which drops connections, at each replacement."""
        self._drops.append(drop)

    def writes_refused(self) -> None:
        """Replace all connections, unless that was done within the last second."""
        self._is_refusing = True
        if monotonic() - self._since >= PAUSE:
            _LOG.warning("The server accepts no writes: all connections are replaced.")
            self._replace()

    def writes_accepted(self) -> None:
        """Replace the connections that were made while the server refused writes."""
        if self._is_refusing:
            _LOG.warning("The server accepts writes again.")
            self._is_refusing = False
            self._replace()

    def _replace(self) -> None:
        self._since = monotonic()
        for drop in self._drops:
            drop()
