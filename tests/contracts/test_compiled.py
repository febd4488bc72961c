"""Compiled statements fail as SQLAlchemy's own do, and are seen by its listeners."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import column, delete, event, select, table, text
from sqlalchemy.exc import OperationalError

from app.domain.ports.store import Transaction
from app.domain.users import AccountRef, Sort, UserFilter
from app.operations.views.accounts import PANEL_USER
from app.storage.compiled import CompiledStatement
from app.storage.postgresql.store import PostgresStore, postgres_engine
from app.storage.sqlite.engine import driver_of, sqlite_engine
from app.storage.sqlite.library import driver
from app.storage.unit_of_work import SqlTransaction
from tests.fakes.ports import START

READS: dict[str, Callable[[Transaction], Any]] = {
    "a name": lambda tx: tx.name_claims.find_taken(["somebody"], START),
    "a page": lambda tx: tx.users.list_page(UserFilter(), Sort(), None, 10, PANEL_USER),
    "an account": lambda tx: tx.users.find(AccountRef(id=1)),
}


@pytest.mark.parametrize("statement", [select(column("nothing")), delete(table("nowhere"))])
def test_a_statement_that_fails_raises_sqlalchemys_error(database: Path, statement: Any) -> None:
    engine = sqlite_engine(database)
    wrong = CompiledStatement(
        statement.select_from(table("nowhere")) if statement.is_select else statement
    )
    with engine.connect() as connection, pytest.raises(OperationalError, match="nowhere"):
        wrong.run(connection, {})
    engine.dispose()


def test_listeners_see_every_statement(database: Path) -> None:
    engine = sqlite_engine(database)
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _k, text, *_: seen.append(text))
    with engine.connect() as connection:
        assert CompiledStatement(select(text("1"))).first(connection, {}) == (1,)
    assert seen == ["SELECT 1"]
    engine.dispose()


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_sqlite_prepares_a_statement_once(
    database: Path, read: Callable[[Transaction], Any]
) -> None:
    """It would prepare one again for each value of a bare parameter in LIMIT."""
    prepared: list[int] = []

    def authorize(action: int, *_: object) -> int:
        prepared.append(action)
        return driver.SQLITE_OK

    engine = sqlite_engine(database)
    with engine.connect() as connection:
        # SQLite asks while it prepares a statement (sqlite.org/c3ref/set_authorizer.html).
        driver_of(connection).set_authorizer(authorize)
        read(SqlTransaction(connection))
        assert prepared
        prepared.clear()
        read(SqlTransaction(connection))
        assert not prepared
    engine.dispose()


@pytest.mark.anyio
@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_connection_that_the_server_has_ended_is_replaced_unseen(
    postgres: PostgresStore, server_database: str, read: Callable[[Transaction], Any]
) -> None:
    before = await postgres.read(read)
    other = postgres_engine(server_database, for_requests=False)
    async with other.connect() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await other.dispose()
    assert await postgres.read(read) == before
    await postgres.write(lambda tx: tx.signing_keys.retire("nobody", START))
