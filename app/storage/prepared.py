"""Queries of the hottest paths, run past SQLAlchemy's own machinery."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.engine.interfaces import DBAPICursor


class Prepared:
    """A query that is compiled once and gives its rows as the driver does.

    It costs a tenth of what SQLAlchemy takes to run it. Values go in and come out untouched: it
    is for columns without a type of ours, and for one set of parameters at a time.
    """

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        self._compiled: dict[str, tuple[str, list[str], dict[str, Any]]] = {}

    def first(self, connection: Connection, **values: Any) -> Any:
        """The first row as a tuple, or None."""
        rows = self.all(connection, **values)
        return rows[0] if rows else None

    def all(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """All rows, as tuples. Raises as SQLAlchemy does."""
        statement, parameters = self._filled(connection.dialect, values)
        if isinstance(connection, Foreseen):
            return connection.rows(statement, parameters)
        cursor: DBAPICursor = connection.connection.cursor()
        try:
            cursor.execute(statement, parameters)
            return cursor.fetchall()
        except connection.dialect.loaded_dbapi.Error:
            # Once more by SQLAlchemy, which knows what the error means: a lock, a lost connection.
            return connection.exec_driver_sql(statement, parameters).all()
        finally:
            cursor.close()

    def _filled(self, dialect: Dialect, values: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The statement, and its parameters in their order."""
        statement, names, fixed = self._compiled.get(dialect.name) or self._compile(dialect)
        return statement, tuple(values[name] if name in values else fixed[name] for name in names)

    def _compile(self, dialect: Dialect) -> tuple[str, list[str], dict[str, Any]]:
        compiled = self._query.compile(dialect=dialect)
        # What the dialect adds itself has a value already.
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        prepared = (str(compiled), list(compiled.positiontup or ()), fixed)
        self._compiled[dialect.name] = prepared
        return prepared


class Question(Exception):
    """The work needs the rows of a prepared query that nobody has asked for yet."""

    def __init__(self, statement: str, parameters: tuple[Any, ...]) -> None:
        super().__init__(statement)
        self.statement = statement
        self.parameters = parameters


class Foreseen:
    """In the place of a connection: it has the answer to one prepared query, or none.

    Work is a plain function of what it reads. Done once, it raises the Question it would ask;
    done again with the answer, it comes to its end, without any connection of SQLAlchemy's.
    """

    def __init__(self, dialect: Dialect, asked: Question | None = None, rows: Any = ()) -> None:
        self.dialect = dialect
        self._asked = asked
        self._rows = rows

    def rows(self, statement: str, parameters: tuple[Any, ...]) -> Sequence[Any]:
        """The rows. Raises Question where they are not known, SecondQuery at another one."""
        if self._asked is None:
            raise Question(statement, parameters)
        if (statement, parameters) != (self._asked.statement, self._asked.parameters):
            raise SecondQuery
        return cast("Sequence[Any]", self._rows)

    def __getattr__(self, name: str) -> Any:
        raise SecondQuery


class SecondQuery(Exception):
    """The work takes more than one query, or one of another kind."""
