"""A PostgreSQL server for the tests that need one: each run makes and drops its own databases."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.postgresql.store import PostgresStore, postgres_engine
from app.storage.tables import metadata
from tests.needs import missing

SERVER = os.environ.get("TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
_HOW = (
    f"There is no PostgreSQL at {SERVER}: start one ('docker run -p 5432:5432 "
    "-e POSTGRES_HOST_AUTH_METHOD=trust postgres'), or name yours in TEST_POSTGRESQL_URL."
)


def ask_server(statement: str) -> None:
    """Run one statement outside any transaction."""

    async def run() -> None:
        engine = postgres_engine(SERVER, for_requests=False)
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with alone.connect() as connection:
            await connection.exec_driver_sql(statement)

    asyncio.run(run())


# TRUNCATE would make a new file for each table and index, which takes a hundred times as long.
_EMPTY = ";".join(
    [
        "SET LOCAL synchronous_commit = off",
        # The audit trail refuses to be emptied by anybody but the owner of its table.
        "ALTER TABLE audit DISABLE TRIGGER USER",
        *(str(table.delete()) for table in reversed(metadata.sorted_tables)),
        "ALTER TABLE audit ENABLE TRIGGER USER",
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)


def serializable(store: PostgresStore) -> AsyncEngine:
    """An engine whose connections see what a write of the store would see."""
    return store._engine.execution_options(isolation_level="SERIALIZABLE")


async def empty(url: str) -> None:
    """Delete every row of a migrated database, and number new ones from 1."""
    connection = await asyncpg.connect(url)
    await connection.execute(_EMPTY)
    await connection.close()


@contextmanager
def new_database(template: str | None = None, options: str = "") -> Iterator[str]:
    """The URL of a database that is dropped afterwards; without a server the test is skipped.

    `options` are those of CREATE DATABASE.
    """
    name = f"gatehouse_test_{uuid4().hex[:12]}"
    of = "" if template is None else f" TEMPLATE {make_url(template).database}"
    try:
        ask_server(f"CREATE DATABASE {name}{of} {options}")
    except OSError:
        missing(_HOW)
    try:
        yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        ask_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
