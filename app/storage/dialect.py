"""Differences between the database engines.

Nothing else asks which engine it runs on. A third engine implements `EngineDialect`, and has a line
in `_MODULES`; without one, it is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from sqlalchemy import Column, ColumnElement, Connection, Table

from app.domain.ports.services import Clock

Rows = Sequence[Sequence[Any]]


class EngineDialect(Protocol):
    """The differences of one engine."""

    # The collation by which strings compare by code points; None if that is the default.
    collation: str | None

    def __hash__(self) -> int: ...

    def execute(
        self, connection: Connection, statement: str, parameters: Sequence[Any], *, is_select: bool
    ) -> tuple[Rows, int]:
        """Run a statement on the driver; return the rows of a query, or how many rows it touched.

        Raises errors that SQLAlchemy knows as the driver's.
        """

    def insert(self, table: Table) -> Any:
        """Return an insert that can state what to do about a conflict."""

    def json_of(self, column: Column[Any]) -> ColumnElement[str]:
        """Return a string, or null, as JSON."""

    def join(
        self, texts: ColumnElement[str], separator: ColumnElement[str]
    ) -> ColumnElement[str | None]:
        """Aggregate strings, in their order, into one; null if there are none."""

    def search_values(
        self, parts: Mapping[str, str], columns: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the parameters of a search for the parts; `columns` has the column of each."""

    def contains(self, column: Column[Any], part: ColumnElement[str]) -> ColumnElement[bool]:
        """Return whether the column contains a part, a parameter made by `search_values`."""

    def use_row_locks(self, connection: Connection) -> None:
        """Let the transaction wait for rows that others change, instead of failing by them."""

    def lock_table(self, connection: Connection, table: Table) -> None:
        """Let no other transaction change the table before this one ends."""

    def now(self, connection: Connection, clock: Clock) -> datetime:
        """Return the time of the clock that all processes share."""

    def lease_clock(self) -> ColumnElement[int]:
        """Return the milliseconds of a clock that all processes share and that never goes back."""

    def complete_up_to(self, connection: Connection, table: Table) -> int:
        """Return the highest number below which no transaction will add a row."""

    def skip_numbers(self, connection: Connection, table: str, count: int) -> None:
        """Leave out the next `count` numbers that the table assigns."""

    def last_number(self, connection: Connection, table: str) -> int:
        """Return the last number that the table has assigned; 0 if it has assigned none."""

    def set_last_number(self, connection: Connection, table: str, number: int) -> None:
        """Let the table assign numbers after `number`, which is that of no later row."""

    def load_rows(
        self, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert many rows, each with the values of all columns in their order."""

    def analyze(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Tell the planner about rows that were loaded."""


_MODULES = {"sqlite": "app.storage.sqlite.dialect", "postgresql": "app.storage.postgresql.dialect"}


@cache
def dialect_named(name: str) -> EngineDialect:
    """Return the dialect of an engine, by SQLAlchemy's name. Raises KeyError for any other."""
    # The other dialect of SQLAlchemy is not imported.
    return cast("EngineDialect", import_module(_MODULES[name]).DIALECT)


def dialect_of(connection: Connection) -> EngineDialect:
    """Return the dialect of a connection's engine."""
    return dialect_named(connection.dialect.name)
