"""Hot statements: compiled by SQLAlchemy once, run by the driver itself.

SQLAlchemy takes ten times as long to run a statement as the driver does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    Integer,
    Select,
    TextualSelect,
    Update,
    bindparam,
    literal_column,
)

from app.storage.dialect import Rows, dialect_of

_Processor = Callable[[Any], Any] | None


def row_limit(name: str) -> ColumnElement[int]:
    """Return a parameter for LIMIT.

    As an expression: SQLite, which plans for the value of a bare parameter there, would prepare the
    statement again each time it is run.
    """
    return bindparam(name, type_=Integer) + literal_column("0")


class CompiledStatement:
    """A statement with named parameters, for every engine.

    It takes one set of values. These are converted as the types of the columns say. An insert names
    the columns that it sets.
    """

    def __init__(
        self,
        statement: Select[Any] | TextualSelect | Insert | Update | Delete,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Return the number of rows that it touched. Raises as SQLAlchemy does."""
        return self._execute(connection, values)[1]

    def all(self, connection: Connection, values: Mapping[str, Any]) -> Rows:
        """Return the rows. Raises as SQLAlchemy does."""
        return self._execute(connection, values)[0]

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Return the first row, or None. Raises as SQLAlchemy does."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    async def fetch(self, driver: Any, dialect: Dialect, values: Mapping[str, Any]) -> Rows:
        """Return the rows as asyncpg has them, for `convert`. Raises as asyncpg does."""
        compiled = self._for(dialect)
        rows: Rows = await driver.fetch(compiled.text, *compiled.parameters(values))
        return rows

    def convert(self, dialect: Dialect, rows: Rows) -> Rows:
        """Return rows of `fetch` with their values converted."""
        return self._for(dialect).rows(rows)

    def _execute(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Rows, int]:
        compiled = self._for(connection.dialect)
        parameters = compiled.parameters(values)
        # For listeners to what SQLAlchemy executes.
        connection.dispatch.before_cursor_execute(
            connection, None, compiled.text, parameters, None, False
        )
        try:
            rows, touched = dialect_of(connection).execute(
                connection, compiled.text, parameters, is_select=self._statement.is_select
            )
        except UnicodeEncodeError:
            # A value with lone surrogates; SQLAlchemy raises that as it is, too.
            raise
        except BaseException as error:
            # Only SQLAlchemy knows what it means: a lock, a lost connection, a broken constraint.
            # To run the statement again by SQLAlchemy would be too late: the transaction failed.
            connection._handle_dbapi_exception(error, compiled.text, parameters, None, None)
        return compiled.rows(rows), touched

    def _for(self, dialect: Dialect) -> "_Compiled":
        return self._compiled.get(dialect.name) or self._compile(dialect)

    def _compile(self, dialect: Dialect) -> "_Compiled":
        written = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert written.positiontup is not None
        binds = [written.binds[name] for name in written.positiontup]
        select = self._statement if isinstance(self._statement, Select | TextualSelect) else None
        columns = () if select is None else select.selected_columns
        processors = (
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        )
        compiled = self._compiled[dialect.name] = _Compiled(
            str(written),
            [
                (
                    bind.key if bind.required else None,
                    bind.value,
                    bind.type.dialect_impl(dialect).bind_processor(dialect),
                )
                for bind in binds
            ],
            [(place, process) for place, process in enumerate(processors) if process is not None],
        )
        return compiled


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The text for a driver, and how values are converted for it and back."""

    text: str
    binds: Sequence[tuple[str | None, Any, _Processor]]
    # By the place of a column; others are as the driver returns them.
    columns: Sequence[tuple[int, Callable[[Any], Any]]]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values in their order; the statement has the fixed ones itself."""
        parameters = []
        for name, fixed, process in self.binds:
            value = fixed if name is None else values[name]
            parameters.append(value if process is None else process(value))
        return tuple(parameters)

    def rows(self, found: Rows) -> Rows:
        """Return the rows with converted values."""
        if not self.columns:
            return found
        converted = []
        for row in found:
            values = list(row)
            for place, process in self.columns:
                values[place] = process(values[place])
            converted.append(values)
        return converted
