"""Queries that are run past SQLAlchemy fail as its own do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import column, delete, select, table, text
from sqlalchemy.exc import OperationalError

from app.domain.ports import Transaction
from app.domain.users import AccountRef, Sort, UserFilter
from app.storage.engine import sqlite_engine
from app.storage.postgres import PostgresStore, postgres_engine
from app.storage.prepared import Prepared
from app.storage.statements import Statement
from app.usecases.views import PANEL_USER
from tests.fakes.ports import START

QUESTIONS: dict[str, Callable[[Transaction], Any]] = {
    "a name": lambda tx: tx.names.taken(["somebody"], START),
    "a page": lambda tx: tx.users.page(UserFilter(), Sort(), None, 10, PANEL_USER),
    "an account": lambda tx: tx.users.find(AccountRef(id=1)),
}


def test_a_mistake_is_sqlalchemys_error(database: Path) -> None:
    engine = sqlite_engine(database)
    wrong = Prepared(select(column("nothing")).select_from(table("nowhere")))
    with engine.connect() as connection, pytest.raises(OperationalError, match="nowhere"):
        wrong.first(connection)
    engine.dispose()


def test_a_statement_that_fails_is_sqlalchemys_error(database: Path) -> None:
    engine = sqlite_engine(database)
    wrong = Statement(delete(table("nowhere")))
    with engine.connect() as connection, pytest.raises(OperationalError, match="nowhere"):
        wrong.run(connection, {})
    engine.dispose()


@pytest.mark.anyio
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_a_connection_that_the_server_has_ended_is_replaced_unseen(
    postgres: PostgresStore, server_database: str, question: Callable[[Transaction], Any]
) -> None:
    before = await postgres.read(question)
    other = postgres_engine(server_database, pooled=False)
    async with other.connect() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await other.dispose()
    assert await postgres.read(question) == before
    await postgres.write(lambda tx: tx.signing_keys.retire("nobody", START))
