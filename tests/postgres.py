"""A PostgreSQL server for the tests that need one: each run makes and drops its own databases."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import make_url

from app.storage.postgres import postgres_engine
from tests.needs import missing

SERVER = os.environ.get("TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
_HOW = (
    f"There is no PostgreSQL at {SERVER}: start one ('docker run -p 5432:5432 "
    "-e POSTGRES_HOST_AUTH_METHOD=trust postgres'), or name yours in TEST_POSTGRESQL_URL."
)


def ask_server(statement: str) -> None:
    """Run one statement outside any transaction."""

    async def run() -> None:
        engine = postgres_engine(SERVER, pooled=False)
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with alone.connect() as connection:
            await connection.exec_driver_sql(statement)

    asyncio.run(run())


@contextmanager
def new_database(template: str | None = None) -> Iterator[str]:
    """The URL of a database that is dropped afterwards; without a server the test is skipped."""
    name = f"gatehouse_test_{uuid4().hex[:12]}"
    of = "" if template is None else f" TEMPLATE {make_url(template).database}"
    try:
        ask_server(f"CREATE DATABASE {name}{of}")
    except OSError:
        missing(_HOW)
    try:
        yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    finally:
        ask_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
