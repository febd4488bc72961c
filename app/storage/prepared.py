"""Queries of the hottest paths, run past SQLAlchemy's own machinery."""

import json
from collections.abc import Collection, Sequence
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    Column,
    Connection,
    Dialect,
    Select,
    Text,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.engine.interfaces import DBAPICursor


class Prepared:
    """A query that is compiled once and gives its rows as the driver does.

    It costs a tenth of what SQLAlchemy takes to run it. Values go in and come out untouched: it
    is for columns without a type of ours, and for one set of parameters at a time.
    """

    def __init__(self, query: Select[Any], *, by_keys: bool = False) -> None:
        self._query = query
        self._by_keys = by_keys
        self._compiled: dict[str, tuple[str, list[str], dict[str, Any]]] = {}

    def first(self, connection: Connection, **values: Any) -> Any:
        """The first row as a tuple, or None."""
        rows = self.all(connection, **values)
        return rows[0] if rows else None

    def all(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """All rows, as tuples. Raises as SQLAlchemy does."""
        statement, parameters = self._filled(connection.dialect, values)
        if isinstance(connection, Foreseen):
            return connection.rows(statement, parameters, by_keys=self._by_keys)
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


class ByKey:
    """The rows of some keys, in any order: whether of one or of many, one query finds them.

    `key` is the primary key, a text; it is the first column of each row.
    """

    def __init__(self, key: Column[str], *columns: Column[Any]) -> None:
        rows = select(key, *columns)
        among = func.json_each(bindparam("keys")).table_valued("value")
        # Past a function that makes rows, SQLite takes twice as long to find one.
        self._of_one = Prepared(rows.where(key == bindparam("key")))
        self._of_json = Prepared(rows.where(key.in_(select(among.c.value))))
        array = bindparam("keys", type_=ARRAY(Text()))
        self._of_array = Prepared(rows.where(key == any_(array)), by_keys=True)

    def rows(self, connection: Connection, keys: Collection[str]) -> Sequence[Any]:
        """The rows, as tuples. Raises as SQLAlchemy does."""
        if connection.dialect.name == "postgresql":
            return self._of_array.all(connection, keys=[*keys])
        if len(keys) == 1:
            return self._of_one.all(connection, key=next(iter(keys)))
        return self._of_json.all(connection, keys=json.dumps([*keys], ensure_ascii=False))


class Question(Exception):
    """The work needs the rows of a prepared query that nobody has asked for yet.

    `by_keys`: its one parameter is a list of keys, by which the first column of each row says whose
    it is. So several of them can be asked as one.
    """

    def __init__(self, statement: str, parameters: tuple[Any, ...], *, by_keys: bool) -> None:
        super().__init__(statement)
        self.statement = statement
        self.parameters = parameters
        self.by_keys = by_keys


class Foreseen:
    """In the place of a connection: it has the answer to one prepared query, or none.

    Work is a plain function of what it reads. Done once, it raises the Question it would ask;
    done again with the answer, it comes to its end, without any connection of SQLAlchemy's.
    """

    def __init__(self, dialect: Dialect, asked: Question | None = None, rows: Any = ()) -> None:
        self.dialect = dialect
        self._asked = asked
        self._rows = rows

    def rows(self, statement: str, parameters: tuple[Any, ...], *, by_keys: bool) -> Sequence[Any]:
        """The rows. Raises Question where they are not known, SecondQuery at another one."""
        if self._asked is None:
            raise Question(statement, parameters, by_keys=by_keys)
        if (statement, parameters) != (self._asked.statement, self._asked.parameters):
            raise SecondQuery
        return cast("Sequence[Any]", self._rows)

    def __getattr__(self, name: str) -> Any:
        raise SecondQuery


class SecondQuery(Exception):
    """The work takes more than one query, or one of another kind."""
