"""`gatehouse doctor` tries what the server does: it writes a row, and counts a call."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from app.cli.checks.findings import Mark
from app.cli.doctor import examine
from app.settings import Settings
from app.storage.postgresql.store import PostgresServer
from app.storage.sqlite.engine import sqlite_engine
from app.storage.tables import metadata
from tests.databases import ask
from tests.e2e.test_doctor import SECRET, found, installation, make_admin, the_bad, with_settings
from tests.postgres import ask_server, new_database
from tests.redis import own_redis

__all__ = ["installation"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("REPLICAOF 127.0.0.1 1", "replica"),
        ("CONFIG SET maxmemory 1", "maxmemory"),
        ("ACL SETUSER default -@scripting", "permissions"),
        ("ACL SETUSER default -@write", "can't run this command"),
        ("CONFIG SET requirepass secret", "authenticated"),
    ],
)
def test_a_redis_that_answers_but_counts_no_call_is_bad(
    installation: Settings, tmp_path: Path, command: str, sentence: str
) -> None:
    with own_redis(tmp_path) as redis:
        redis.command(command)
        finding = the_bad(with_settings(installation, redis_url=redis.url))
    assert finding.subject == "Redis"
    assert sentence in finding.detail


def test_a_redis_that_counts_is_sound_though_nothing_else_is_allowed(
    installation: Settings, tmp_path: Path
) -> None:
    with own_redis(tmp_path) as redis:
        redis.command(f"ACL SETUSER gate on >{SECRET} ~gatehouse* +@scripting +@read +@write")
        url = redis.url.replace("//", f"//gate:{SECRET}@")
        findings = found(with_settings(installation, redis_url=url), Mark.OK)
    assert "unknown" in next(f.detail for f in findings if f.subject == "Redis")


def test_a_redis_is_asked_through_its_socket_in_any_database(
    installation: Settings, tmp_path: Path
) -> None:
    with own_redis(tmp_path) as redis:
        redis.command(f"CONFIG SET requirepass {SECRET}")
        url = f"unix://:{SECRET}@{redis.socket}?db=3"
        findings = asyncio.run(examine(with_settings(installation, redis_url=url)))
    assert [f.mark for f in findings if f.subject == "Redis"] == [Mark.OK]
    assert SECRET not in repr(findings)


def test_a_file_that_cannot_be_written_is_bad(installation: Settings) -> None:
    assert installation.sqlite_path is not None
    other = sqlite_engine(installation.sqlite_path)
    with other.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        finding = the_bad(installation)
    other.dispose()
    assert finding.subject == "writes"
    assert "locked" in finding.detail


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database at the present schema with an admin."""
    with new_database() as url:
        PostgresServer(url).migrate()
        make_admin(Settings(data_dir=tmp_path_factory.mktemp("admin"), database_url=url))
        yield url


@pytest.fixture
def on_server(installation: Settings, prepared: str) -> Settings:
    return with_settings(installation, database_url=prepared)


def test_a_read_only_postgresql_is_bad(on_server: Settings) -> None:
    url = f"{on_server.database_url}?options=-c%20default_transaction_read_only%3Don"
    finding = the_bad(with_settings(on_server, database_url=url))
    assert finding.subject == "writes"
    assert "read-only transaction" in finding.detail


def test_privileges_that_are_missing_are_named(on_server: Settings) -> None:
    assert on_server.database_url is not None
    name = f"gatehouse_reader_{token_hex(4)}"
    database = PostgresServer(on_server.database_url)
    ask_server(f"CREATE ROLE {name} LOGIN")
    try:
        for table in metadata.tables:
            ask(database, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {name}")
        ask(database, f"REVOKE UPDATE ON sessions FROM {name}")
        ask(database, f"GRANT SELECT ON alembic_version TO {name}")
        url = f"{on_server.database_url}?user={name}"
        findings = found(with_settings(on_server, database_url=url), Mark.BAD)
    finally:
        ask(database, f"DROP OWNED BY {name}")
        ask_server(f"DROP ROLE {name}")
    details = [f.detail for f in findings if f.subject == "writes"]
    assert ["UPDATE on sessions" in detail for detail in details] == [True]


def test_workers_that_need_more_connections_than_there_are_is_bad(on_server: Settings) -> None:
    assert the_bad(with_settings(on_server, workers=256)).subject == "connections"
    details = [f.detail for f in found(on_server, Mark.OK) if f.subject == "connections"]
    assert ["up to 13" in detail for detail in details] == [True]
