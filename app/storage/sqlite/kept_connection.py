"""A connection that is kept between the transactions of one thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from app.storage.sqlite.engine import driver_of, is_busy


class KeptConnection:
    """Opened at its first use; replaced after an error, since it may be in a transaction.

    One that only met a lock is kept: without a write-ahead log, opening another would wait for it.
    """

    def __init__(
        self, engine: Engine, prepare: Callable[[Connection], None] = lambda _: None
    ) -> None:
        """`prepare` is called with each new connection."""
        self._engine = engine
        self._prepare = prepare
        self._connection: Connection | None = None

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """Provide the connection."""
        connection = self.open()
        try:
            yield connection
        except OperationalError as error:
            if not is_busy(error.orig) or driver_of(connection).in_transaction:
                self.drop()
            raise

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
