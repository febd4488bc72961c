"""A database of either engine, looked at beside the application."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, MetaData, column, inspect, select, table

from app.storage.postgresql.store import PostgresServer, postgres_engine
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteFile
from tests.postgres import new_database

T = TypeVar("T")

Database = SqliteFile | PostgresServer
ENGINES = ["sqlite", "postgresql"]
# Tables of the index of texts, which SQLite maintains itself.
TEXT_INDEX = "users_text"
# Every table, index and trigger, with the statement that made it, or each column's own.
_DEFINITIONS = {
    "sqlite": "SELECT name, type, sql FROM sqlite_master",
    "postgresql": (
        "SELECT tablename, 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT conrelid::regclass::text, 'constraint', pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " UNION ALL SELECT table_name, column_name, data_type || is_nullable || "
        "coalesce(collation_name, '') || coalesce(column_default, '')"
        " FROM information_schema.columns WHERE table_schema = 'public'"
        " UNION ALL SELECT tgrelid::regclass::text, 'trigger', pg_get_triggerdef(oid)"
        " FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT proname, 'function', prosrc FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'audit%'"
    ),
}


@contextmanager
def new_store(engine: str, folder: Path) -> Iterator[Database]:
    """A database without anything in it."""
    if engine == "sqlite":
        yield SqliteFile(folder / "gatehouse.sqlite3")
        return
    with new_database() as url:
        yield PostgresServer(url)


def url_of(database: Database) -> str:
    """Its value for GATEHOUSE_DATABASE_URL."""
    return f"sqlite:///{database.path}" if isinstance(database, SqliteFile) else database.url


def within(database: Database, run: Callable[[Connection], T]) -> T:
    """Do `run` in one transaction that sees one moment, and commit."""
    if isinstance(database, SqliteFile):
        engine = sqlite_engine(database.path)
        try:
            with engine.connect() as connection, connection.begin():
                return run(connection)
        finally:
            engine.dispose()

    async def run_there() -> T:
        server = postgres_engine(database.url, for_requests=False)
        of_one_moment = server.execution_options(isolation_level="REPEATABLE READ")
        async with of_one_moment.begin() as connection:
            return await connection.run_sync(run)

    return asyncio.run(run_there())


def ask(database: Database, statement: str) -> list[Any]:
    """Run one statement and commit; its rows as tuples."""

    def run(connection: Connection) -> list[Any]:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []

    return within(database, run)


def definitions(database: Database) -> set[Any]:
    """Everything that the schema is made of."""
    return set(ask(database, _DEFINITIONS[ENGINES[isinstance(database, PostgresServer)]]))


def names(database: Database) -> set[str]:
    """The names of the schema's parts."""
    return {name for name, *_ in definitions(database)}


def tables(connection: Connection) -> MetaData:
    """The tables as they are there, whichever release made them, but for the index of texts."""
    found = MetaData()
    ours = [n for n in inspect(connection).get_table_names() if not n.startswith(TEXT_INDEX)]
    found.reflect(connection, only=ours)
    return found


def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, by the columns that are there."""

    def read(connection: Connection) -> dict[str, list[dict[str, Any]]]:
        # Without constraints and indexes, which take longer to find than the rows.
        found = inspect(connection).get_multi_columns()
        return {
            name: [
                dict(row)
                for row in connection.execute(
                    select(*(column(it["name"], it["type"]) for it in columns)).select_from(
                        table(name)
                    )
                ).mappings()
            ]
            for (_, name), columns in found.items()
            if not name.startswith(TEXT_INDEX)
        }

    return within(database, read)
