"""SQLite's part of what differs between the engines."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import sqlite

from app.domain.ports.services import Clock
from app.runtime.boot_clock import boottime
from app.storage.dialect import EngineDialect, Rows
from app.storage.inserts import bind_rows

# The full-text index contains pieces of three characters and more.
_INDEXED_LENGTH = 3


class SqliteDialect:
    """Every write is the only one, and all processes are on one machine."""

    collation: str | None = None

    def execute(
        self, connection: Connection, statement: str, parameters: Sequence[Any], *, is_select: bool
    ) -> tuple[Rows, int]:
        cursor = connection.connection.cursor()
        try:
            cursor.execute(statement, parameters)
            return (cursor.fetchall(), 0) if is_select else ((), cursor.rowcount)
        finally:
            cursor.close()

    def insert(self, table: Table) -> Any:
        return sqlite.insert(table)

    def json_of(self, column: Column[Any]) -> ColumnElement[str]:
        return func.json_quote(column, type_=String())

    def join(
        self, texts: ColumnElement[str], separator: ColumnElement[str]
    ) -> ColumnElement[str | None]:
        return func.group_concat(texts, separator, type_=String())

    def search_values(
        self, parts: Mapping[str, str], columns: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        yield from parts.items()
        if all(len(part) >= _INDEXED_LENGTH and part.isprintable() for part in parts.values()):
            quoted = {name: part.replace('"', '""') for name, part in parts.items()}
            phrases = [f'{columns[name]} : "{part}"' for name, part in quoted.items()]
            yield "phrase", " OR ".join(phrases)

    def contains(self, column: Column[Any], part: ColumnElement[str]) -> ColumnElement[bool]:
        return func.instr(column, part) > 0

    def use_row_locks(self, connection: Connection) -> None:
        """Nothing: every write is alone."""

    def lock_table(self, connection: Connection, table: Table) -> None:
        """Nothing: every write is alone."""

    def now(self, connection: Connection, clock: Clock) -> datetime:  # noqa: ARG002
        return clock.now()

    def lease_clock(self) -> ColumnElement[int]:
        return literal(int(boottime() * 1000), BigInteger)

    def complete_up_to(self, connection: Connection, table: Table) -> int:
        return connection.execute(select(func.max(table.c.number))).scalar_one() or 0

    def skip_numbers(self, connection: Connection, table: str, count: int) -> None:
        which = {"table": table, "count": count}
        skipped = connection.execute(
            text("UPDATE sqlite_sequence SET seq = seq + :count WHERE name = :table"), which
        )
        # A table that never had a row has no row there.
        if not skipped.rowcount:
            connection.execute(text("INSERT INTO sqlite_sequence VALUES (:table, :count)"), which)

    def last_number(self, connection: Connection, table: str) -> int:
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        return connection.scalar(query, {"table": table}) or 0

    def set_last_number(self, connection: Connection, table: str, number: int) -> None:
        which = {"table": table, "number": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), which)
        connection.execute(text("INSERT INTO sqlite_sequence VALUES (:table, :number)"), which)

    def load_rows(
        self, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        # SQLAlchemy's own processing of the values would take most of the time.
        insert = str(table.insert().compile(dialect=connection.dialect))
        connection.exec_driver_sql(insert, bind_rows(connection, table, rows))

    def analyze(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Nothing: Gatehouse's queries are planned without statistics."""


DIALECT: EngineDialect = SqliteDialect()
