"""Statements of the hot paths, compiled once and run on the driver's own cursor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.engine.interfaces import DBAPICursor

from app.storage import voids

_Processor = Callable[[Any], Any] | None


class Statement:
    """A statement that SQLAlchemy writes, and does not run: that takes it ten times as long.

    Values go in and come out as the columns' types say, one set of them at a time. An insert names
    the columns that it sets.
    """

    def __init__(
        self, query: Select[Any] | Insert | Update | Delete, columns: Sequence[str] | None = None
    ) -> None:
        self._query = query
        self._columns = columns
        self._voids = voids.are_made_by(query)
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Run it; how many rows it touched. Raises as SQLAlchemy does."""
        _, touched = self._execute(connection, values)
        if touched and self._voids:
            voids.note(connection)
        return touched

    def all(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """The rows. Raises as SQLAlchemy does."""
        return self._execute(connection, values)[0]

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, or None. Raises as SQLAlchemy does."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def _execute(
        self, connection: Connection, values: Mapping[str, Any]
    ) -> tuple[Sequence[Sequence[Any]], int]:
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        parameters = compiled.parameters(values)
        cursor: DBAPICursor = connection.connection.cursor()
        # Whoever listens to what SQLAlchemy runs hears of this, too.
        tell = connection.dispatch.before_cursor_execute
        tell(connection, cursor, compiled.text, parameters, None, False)
        try:
            cursor.execute(compiled.text, parameters)
            rows = compiled.rows(cursor) if self._query.is_select else ()
            touched = cursor.rowcount
        except BaseException as error:
            # It alone knows what that means: a lock, a lost connection, a broken constraint. To run
            # the statement again to be told would be a statement after the transaction has failed.
            connection._handle_dbapi_exception(error, compiled.text, parameters, cursor, None)
        cursor.close()
        return rows, touched

    def _compile(self, dialect: Dialect) -> "_Compiled":
        written = self._query.compile(dialect=dialect, column_keys=self._columns)
        assert written.positiontup is not None
        binds = [written.binds[name] for name in written.positiontup]
        columns = self._query.selected_columns if isinstance(self._query, Select) else ()
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
            [
                column.type.dialect_impl(dialect).result_processor(dialect, None)
                for column in columns
            ],
        )
        return compiled


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What a driver is given, and how values become its own and back."""

    text: str
    binds: Sequence[tuple[str | None, Any, _Processor]]
    columns: Sequence[_Processor]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """In their order; what the statement itself says has its value already."""
        parameters = []
        for name, fixed, process in self.binds:
            value = fixed if name is None else values[name]
            parameters.append(value if process is None else process(value))
        return tuple(parameters)

    def rows(self, cursor: DBAPICursor) -> Sequence[Sequence[Any]]:
        return [
            [
                value if process is None else process(value)
                for value, process in zip(row, self.columns, strict=True)
            ]
            for row in cursor.fetchall()
        ]
