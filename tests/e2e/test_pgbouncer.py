"""PgBouncer before PostgreSQL, as Debian installs it: in session mode, and in those refused."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.checks.findings import Mark
from app.cli.doctor import examine
from app.settings import Settings
from tests.commands import run_here
from tests.faults.faulty_server import SETTINGS, guarded, with_users
from tests.faults.own_postgres import OwnPostgres, own_postgres
from tests.pgbouncer import own_pgbouncer
from tests.server_process import run, serving


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


def at(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def test_a_gateway_works_through_pgbouncer_in_session_mode(
    postgres: OwnPostgres, tmp_path: Path
) -> None:
    with own_pgbouncer(postgres.port, "session") as port:
        settings = {"GATEHOUSE_DATABASE_URL": at(port), **SETTINGS}
        with serving(tmp_path, **settings) as server, with_users(server) as faulty_server:
            with guarded(faulty_server):
                for _ in range(3):
                    assert faulty_server.reads() == faulty_server.writes() == {"ok"}
            assert faulty_server.ready() == []
            asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gatehouse'"
            assert postgres.ask(asked) > 0
            assert "Traceback" not in server.log.so_far
        done = run_here(tmp_path, "users", "list", **settings)
    assert done.status == 0, done.err


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_start_through_a_pooler_that_mixes_sessions_is_refused(
    postgres: OwnPostgres, tmp_path: Path, mode: str
) -> None:
    with own_pgbouncer(postgres.port, mode) as port:
        done = run(tmp_path, "serve", GATEHOUSE_DATABASE_URL=at(port))
        (tmp_path / "var").mkdir(mode=0o700, exist_ok=True)
        settings = Settings(data_dir=tmp_path / "var", database_url=at(port))
        findings = asyncio.run(examine(settings))
    assert done.status == 1
    assert "pool_mode = session" in done.err
    assert "Traceback" not in done.err
    details = [f.detail for f in findings if f.mark is Mark.BAD and f.subject == "PostgreSQL"]
    assert ["pool_mode = session" in detail for detail in details] == [True]
