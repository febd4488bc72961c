"""A connection that is kept between the transactions of one thread."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from app.storage.sqlite.engine import driver_of, is_busy


class KeptConnection:
    """The connection, as a context: opened at its first use, replaced after an error.

    It may be in a transaction then. One that only met a lock is kept: without a write-ahead log,
    opening another would wait for it.
    """

    def __init__(
        self, engine: Engine, prepare: Callable[[Connection], None] = lambda _: None
    ) -> None:
        """`prepare` is called with each new connection."""
        self._engine = engine
        self._prepare = prepare
        self._connection: Connection | None = None

    def __enter__(self) -> Connection:
        return self.open()

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OperationalError) and not self._is_usable_after(error):
            self.drop()

    def _is_usable_after(self, error: OperationalError) -> bool:
        connection = self._connection
        return (
            connection is not None
            and is_busy(error.orig)
            and not driver_of(connection).in_transaction
        )

    def open(self) -> Connection:
        """Return the connection. Raises OperationalError."""
        if self._connection is None:
            self._connection = self._engine.connect()
            self._prepare(self._connection)
        return self._connection

    def drop(self) -> None:
        """Close the connection without a rollback, which would fail, too."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
