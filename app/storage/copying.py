"""Copy every row of one database into another one, of either engine, and compare them.

The target is marked as unfinished in a transaction of its own; all rows, and the end of the mark,
are one more transaction. A copy that was killed therefore leaves a marked schema without rows:
`serve` refuses it, and the next copy begins again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from sqlalchemy import Connection, Table, func, inspect, literal, null, select
from sqlalchemy.exc import DBAPIError

from app.storage import migrations
from app.storage.dialect import dialect_of
from app.storage.errors import StoreError
from app.storage.tables import LeaseRow, OutboxRow, WorkerRow, metadata

# Rows that are in memory at once.
BATCH = 2000
# Characters of a reason, which may repeat a value.
_REASON_MAX = 200
# Tables about running processes, of which there are none.
LEFT_EMPTY: Mapping[str, str] = {
    WorkerRow.__tablename__: "worker numbers of running processes",
    LeaseRow.__tablename__: "tasks of running processes",
}
# Columns about running processes. A lease is in milliseconds of a clock that the target lacks.
LEFT_NULL: Mapping[str, frozenset[str]] = {
    OutboxRow.__tablename__: frozenset({"holder", "leased_until"})
}
_CHECKSUM_BYTES = 16


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two databases: its name for errors, and a connection to it."""

    name: str
    connection: Connection


@dataclass(frozen=True, slots=True)
class TableSummary:
    """The number of a table's rows, and a checksum that does not depend on their order."""

    table: str
    rows: int
    checksum: str


class Progress(Protocol):
    """Receives how far a copy is. Each row is one step when written, and one when compared."""

    def begin(self, steps: int) -> None:
        """Begin; the copy has so many steps."""

    def advance(self, steps: int) -> None:
        """Add steps that are done."""


def copied_tables() -> list[Table]:
    """Return the tables whose rows are copied, each after those that it refers to."""
    return [table for table in metadata.sorted_tables if table.name not in LEFT_EMPTY]


def copy_all(source: Side, target: Side, progress: Progress) -> list[TableSummary]:
    """Copy all rows and the last assigned numbers, and compare both sides.

    The transaction of the source has begun, and the target has none. Raises StoreError.
    """
    with _named(source):
        migrations.require_current(source.connection)
        progress.begin(2 * sum(_count(source.connection, table) for table in copied_tables()))
    with _named(target), target.connection.begin():
        _require_empty(target)
        migrations.begin_copy(target.connection)
    with _named(target), target.connection.begin():
        for table in copied_tables():
            dialect_of(target.connection).lock_table(target.connection, table)
        _require_empty(target)
        copied = [_copy_table(source, target, table, progress) for table in copied_tables()]
        dialect_of(target.connection).analyze(target.connection, copied_tables())
        for expected, table in zip(copied, copied_tables(), strict=True):
            _compare(source, expected, target, _summarize(target, table, progress))
        migrations.end_copy(target.connection)
    return copied


def require_own_values(side: Side) -> None:
    """Read every row. Raises StoreError for a value that Gatehouse did not write."""
    for table in metadata.sorted_tables:
        for _ in _read(side, table):
            pass


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _require_empty(target: Side) -> None:
    """Raise StoreError if the database has rows, or tables of another application."""
    there = set(inspect(target.connection).get_table_names())
    ours = [table for table in copied_tables() if table.name in there]
    if ours and migrations.REVISION_TABLE.name not in there:
        raise StoreError(
            f"{target.name} has tables of another application: "
            f"{', '.join(table.name for table in ours)}. Use an empty database."
        )
    one = select(literal(1))
    filled = [t.name for t in ours if target.connection.scalar(one.select_from(t).limit(1))]
    if filled:
        raise StoreError(
            f"{target.name} is not empty: its table {filled[0]} has rows. Use an empty database, "
            "or a file that does not exist."
        )


def _copy_table(source: Side, target: Side, table: Table, progress: Progress) -> TableSummary:
    summary = _Summary(table.name)
    dialect = dialect_of(target.connection)
    for rows in _read(source, table, LEFT_NULL.get(table.name, frozenset())):
        summary.add(rows)
        dialect.load_rows(target.connection, table, rows)
        progress.advance(len(rows))
    if table.autoincrement_column is not None:
        with _named(source):
            last = dialect_of(source.connection).last_number(source.connection, table.name)
        dialect.set_last_number(target.connection, table.name, last)
    return summary.result()


def _summarize(side: Side, table: Table, progress: Progress) -> TableSummary:
    summary = _Summary(table.name)
    for rows in _read(side, table):
        summary.add(rows)
        progress.advance(len(rows))
    return summary.result()


def _compare(source: Side, expected: TableSummary, target: Side, found: TableSummary) -> None:
    if found != expected:
        raise StoreError(
            f"The copies of the table {expected.table} differ: {source.name} has {expected.rows} "
            f"rows with the checksum {expected.checksum}, {target.name} has {found.rows} with "
            f"{found.checksum}. Nothing was copied; try again."
        )


def _read(
    side: Side, table: Table, left_null: frozenset[str] = frozenset()
) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield the rows in batches, as the types of the columns convert them."""
    columns = (null().label(c.name) if c.name in left_null else c for c in table.columns)
    query = select(*columns).select_from(table).execution_options(yield_per=BATCH)
    with _named(side):
        try:
            yield from side.connection.execute(query).partitions()
        except (OverflowError, TypeError, ValueError) as error:
            # SQLite stores any value in any column.
            raise StoreError(
                f"{side.name}: the table {table.name} has a value that Gatehouse did not write: "
                f"{str(error)[:_REASON_MAX]}."
            ) from error


class _Summary:
    """The sum of the hashes of rows, which is the same for every order of them."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._rows = self._sum = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows += len(rows)
        for row in rows:
            # Both sides have the same Python values, since the columns have the same types.
            digest = blake2b(repr(tuple(row)).encode(), digest_size=_CHECKSUM_BYTES).digest()
            self._sum += int.from_bytes(digest)

    def result(self) -> TableSummary:
        checksum = self._sum % (1 << 8 * _CHECKSUM_BYTES)
        return TableSummary(self._table, self._rows, f"{checksum:0{2 * _CHECKSUM_BYTES}x}")


@contextmanager
def _named(side: Side) -> Iterator[None]:
    """Turn the errors of a database into sentences with its name."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"{side.name}: {error.orig}.") from error
