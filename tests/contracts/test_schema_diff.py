"""Differences from the schema that the migrations create are found, on both engines."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.sqlite.store import SqliteFile
from tests.databases import ENGINES, Database, ask, new_store


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with new_store(request.param, tmp_path) as database:
        database.migrate()
        yield database


def differences(store: Database) -> list[str]:
    return asyncio.run(store.schema_differences())


CHANGES = {
    "sqlite": {
        "CREATE TRIGGER evil AFTER INSERT ON access_keys BEGIN DELETE FROM sessions; END": "evil",
        "DROP TRIGGER audit_refuse_update": "audit_refuse_update is missing",
        "CREATE VIEW evil_view AS SELECT * FROM users": "view evil_view",
        "CREATE TABLE evil_table (x)": "table evil_table",
        "CREATE INDEX evil_index ON users (version)": "index evil_index",
        "DROP INDEX ix_audit_at_number": "ix_audit_at_number is missing",
        "ALTER TABLE users ADD COLUMN evil TEXT": "table users",
    },
    "postgresql": {
        "CREATE TRIGGER evil AFTER DELETE ON sessions FOR EACH STATEMENT "
        "EXECUTE FUNCTION audit_refuse()": "evil of sessions",
        "ALTER TABLE audit DISABLE TRIGGER audit_refuse": "audit_refuse of audit is disabled",
        "ALTER TABLE audit ENABLE REPLICA TRIGGER audit_refuse": "audit is disabled",
        "ALTER TABLE users DISABLE TRIGGER ALL": "a foreign key of users is disabled",
        "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$": "function audit_refuse",
        "DROP TRIGGER audit_refuse ON audit": "audit_refuse is missing",
        "CREATE RULE evil AS ON DELETE TO sessions DO INSTEAD NOTHING": "rule evil",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY": "row security",
        "ALTER TABLE users ADD COLUMN evil TEXT": "evil",
        "ALTER TABLE users DROP COLUMN presence": "presence",
        "DROP INDEX ix_audit_at_number": "ix_audit_at_number",
        "ALTER TABLE users ALTER COLUMN version TYPE BIGINT": "version",
    },
}


def test_a_schema_that_migrations_made_has_no_differences(store: Database) -> None:
    assert differences(store) == []


def test_each_change_of_a_schema_is_found(store: Database) -> None:
    engine = ENGINES[not isinstance(store, SqliteFile)]
    for statement, phrase in CHANGES[engine].items():
        ask(store, statement)
        found = differences(store)
        assert any(phrase in difference for difference in found), (statement, found)


def test_a_schema_that_others_wrote_is_not_trusted(store: Database) -> None:
    if isinstance(store, SqliteFile):
        assert ask(store, "PRAGMA trusted_schema") == [(0,)]
