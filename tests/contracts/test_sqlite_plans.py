"""Lists go by an index: no filter, search or order reads or sorts the whole table."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.audit import EntryFilter
from app.domain.outbox import OutboxFilter
from app.domain.users import Position, Sort, SortKey, Status, UserFilter
from app.operations.views.accounts import PANEL_USER
from app.storage.sqlite.engine import sqlite_engine
from app.storage.unit_of_work import SqlTransaction
from tests.fakes.ports import START

FILTERS = {
    "everybody": UserFilter(status=Status.ALL),
    "the active": UserFilter(),
    "the disabled": UserFilter(status=Status.DISABLED),
    "admins": UserFilter(admin=True),
    "a name": UserFilter(username="demo"),
    "an address": UserFilter(email_key="demo@example.com"),
    "a snowflake": UserFilter(id=1),
    "a part": UserFilter(text="dem"),
}
SORTS = [Sort(key, descending) for key in SortKey for descending in (False, True)]


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    opened = sqlite_engine(database)
    yield opened
    opened.dispose()


NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENTRIES = {
    "all": EntryFilter(),
    "an actor": EntryFilter(actor="operator"),
    "a target": EntryFilter(target=("5",)),
    "a time": EntryFilter(since=NOW, until=NOW),
    "an actor and a time": EntryFilter(actor="operator", since=NOW),
}


def explained(engine: Engine, table: str, work: Callable[[SqlTransaction], object]) -> list[str]:
    """Return SQLite's plan of the one query of `work` on `table`."""
    asked: list[str] = []
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        # It tells each statement with its values in their places.
        raw.set_trace_callback(asked.append)
        work(SqlTransaction(connection))
        raw.set_trace_callback(None)
        # The text index's own statements are reported, too.
        (page,) = (sql for sql in asked if f"\nFROM {table} " in sql)
        rows = raw.execute(f"EXPLAIN QUERY PLAN {page}").fetchall()
    # Of what is found this way, one text is made.
    around = ("CO-ROUTINE", "SCAN anon_")
    return [row[-1] for row in rows if not row[-1].startswith(around)]


def plan(engine: Engine, wanted: UserFilter, sort: Sort, after: Position | None) -> list[str]:
    """Return SQLite's plan for a page of accounts."""
    return explained(
        engine, "users", lambda tx: tx.users.list_page(wanted, sort, after, 100, PANEL_USER)
    )


def test_locked_accounts_are_looked_for_in_the_index_of_failures(engine: Engine) -> None:
    found = explained(
        engine, "password_attempts", lambda tx: tx.login_attempts.list_locking(["none"], START)
    )
    assert found == [
        "SEARCH password_attempts USING INDEX ix_password_attempts_locking (failed_at>?)"
    ]


@pytest.mark.parametrize("after", [None, Position(1, 1)], ids=["first", "later"])
@pytest.mark.parametrize("wanted", ENTRIES.values(), ids=ENTRIES.keys())
def test_a_page_of_the_trail_is_read_from_an_index_in_its_order(
    engine: Engine, wanted: EntryFilter, after: Position | None
) -> None:
    (step,) = explained(engine, "audit", lambda tx: tx.audit.list_page(wanted, after, 100))
    assert "USING INDEX ix_audit" in step


@pytest.mark.parametrize("wanted", FILTERS.values(), ids=FILTERS.keys())
def test_a_filter_finds_its_accounts_by_an_index(engine: Engine, wanted: UserFilter) -> None:
    steps = plan(engine, wanted, Sort(), Position(1, 1))
    assert not [step for step in steps if step == "SCAN users"]
    assert not [step for step in steps if "TEMP B-TREE" in step]


@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_a_page_in_any_order_begins_where_the_last_one_ended(engine: Engine, sort: Sort) -> None:
    after = Position(1 if sort.key is SortKey.ID else "demo", 1)
    (step,) = plan(engine, UserFilter(), sort, after)
    assert step.startswith("SEARCH users USING")


def test_a_part_of_a_name_is_looked_up_in_the_text_index(engine: Engine) -> None:
    steps = plan(engine, UserFilter(text="dem"), Sort(), None)
    assert any("users_text VIRTUAL TABLE INDEX" in step for step in steps)


OUTBOX: dict[str, tuple[str, Callable[[SqlTransaction], object]]] = {
    "what is due": ("ix_outbox_due", lambda tx: tx.outbox.has_due(["servers"], NOW)),
    "how much there is": ("ix_outbox_open", lambda tx: tx.outbox.depth()),
    "an account's": (
        "ix_outbox_subject_number",
        lambda tx: tx.outbox.list_page(OutboxFilter(subject=5), 7, 100),
    ),
}


@pytest.mark.parametrize(("index", "work"), OUTBOX.values(), ids=OUTBOX.keys())
def test_old_messages_do_not_slow_down_queries_of_the_outbox(
    engine: Engine, index: str, work: Callable[[SqlTransaction], object]
) -> None:
    steps = explained(engine, "outbox", work)
    assert index in steps[0]
    assert not [step for step in steps if step.endswith("SCAN outbox") or "TEMP B-TREE" in step]
