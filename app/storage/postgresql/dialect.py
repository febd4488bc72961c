"""PostgreSQL's part of what differs between the engines."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.util import await_only

from app.domain.ports.services import Clock
from app.storage.dialect import EngineDialect, Rows
from app.storage.inserts import bind_rows
from app.storage.postgresql.driver_errors import recognize
from app.storage.types import without_nul

# Not now(), which is the start of the transaction.
_SERVER_CLOCK = literal_column(
    "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint", BigInteger
)
_ROW_LOCKS = text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
# A transaction that adds an audit entry holds a lock until its commit, whose key ends with a lower
# bound of the entry's number (alembic/versions/0013_audit_order.py).
_LOCKS = 0x6761
_SEQUENCE = "CAST(pg_get_serial_sequence(:table, 'number') AS regclass)"
_LAST_NUMBER = text("SELECT coalesce(pg_sequence_last_value('audit_number_seq'), 0)")
_LOWEST_LOCKED = text(
    f"""
    SELECT min(key & ((1::bigint << 48) - 1))
    FROM (
        SELECT (classid::bigint << 32) | objid::bigint AS key
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS locks
    WHERE key >> 48 = {_LOCKS}
    """  # noqa: S608
)


class PostgresDialect:
    """Writes run side by side, and processes share the server's clock."""

    collation: str | None = "C"

    def execute(
        self, connection: Connection, statement: str, parameters: Sequence[Any], *, is_select: bool
    ) -> tuple[Rows, int]:
        # SQLAlchemy's cursor takes half as long again.
        adapted: Any = connection.connection.dbapi_connection
        driver, rows, status = adapted.driver_connection, (), "SELECT 0"
        try:
            if adapted._transaction is None and not adapted.autocommit:
                # SQLAlchemy begins no sooner than before its cursor's first statement.
                await_only(adapted._start_transaction())
            if is_select:
                rows = await_only(driver.fetch(statement, *parameters))
            else:
                status = await_only(driver.execute(statement, *parameters))
        except Exception as error:
            # Raises it as SQLAlchemy's adapter of the driver does.
            adapted._handle_exception(recognize(error, driver))
        return rows, int(status.rpartition(" ")[2])

    def insert(self, table: Table) -> Any:
        return postgresql.insert(table)

    def json_of(self, column: Column[Any]) -> ColumnElement[str]:
        return func.coalesce(cast(func.to_json(column), String), literal_column("'null'", String()))

    def join(
        self, texts: ColumnElement[str], separator: ColumnElement[str]
    ) -> ColumnElement[str | None]:
        return func.string_agg(texts, separator, type_=String())

    def search_values(
        self,
        parts: Mapping[str, str],
        columns: Mapping[str, str],  # noqa: ARG002
    ) -> Iterator[tuple[str, str]]:
        for name, part in parts.items():
            yield name, f"%{_escaped(without_nul(part))}%"

    def contains(self, column: Column[Any], part: ColumnElement[str]) -> ColumnElement[bool]:
        # Unlike strpos, it uses the index of trigrams.
        return column.like(part, escape="\\")

    def use_row_locks(self, connection: Connection) -> None:
        connection.execute(_ROW_LOCKS)

    def lock_table(self, connection: Connection, table: Table) -> None:
        connection.execute(text(f"LOCK TABLE {table.name} IN EXCLUSIVE MODE"))

    def now(self, connection: Connection, clock: Clock) -> datetime:  # noqa: ARG002
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)

    def lease_clock(self) -> ColumnElement[int]:
        return _SERVER_CLOCK

    def complete_up_to(self, connection: Connection, table: Table) -> int:  # noqa: ARG002
        # In this order: a number that is given after the first has a lock that the second may miss.
        last: int = connection.execute(_LAST_NUMBER).scalar_one()
        lowest: int | None = connection.execute(_LOWEST_LOCKED).scalar_one()
        return last if lowest is None else min(last, lowest)

    def skip_numbers(self, connection: Connection, table: str, count: int) -> None:
        connection.execute(
            text(f"SELECT setval({_SEQUENCE}, nextval({_SEQUENCE}) + :count)"),
            {"table": table, "count": count},
        )

    def last_number(self, connection: Connection, table: str) -> int:
        return (
            connection.scalar(text(f"SELECT pg_sequence_last_value({_SEQUENCE})"), {"table": table})
            or 0
        )

    def set_last_number(self, connection: Connection, table: str, number: int) -> None:
        connection.execute(
            text(f"SELECT setval({_SEQUENCE}, greatest(:number, 1), :number > 0)"),
            {"table": table, "number": number},
        )

    def load_rows(
        self, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]
    ) -> None:
        # By COPY, which SQLAlchemy lacks: inserts take several times as long.
        driver: Any = connection.connection.driver_connection
        columns = [column.name for column in table.columns]
        records = bind_rows(connection, table, rows)
        await_only(driver.copy_records_to_table(table.name, columns=columns, records=records))

    def analyze(self, connection: Connection, tables: Sequence[Table]) -> None:
        connection.execute(text(f"ANALYZE {', '.join(table.name for table in tables)}"))


def _escaped(part: str) -> str:
    """Escape the characters that LIKE would interpret."""
    for special in "\\%_":
        part = part.replace(special, f"\\{special}")
    return part


DIALECT: EngineDialect = PostgresDialect()
