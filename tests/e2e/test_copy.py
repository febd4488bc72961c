"""`gatehouse copy`: everything that one database has is in another one, of either engine."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from sqlalchemy import text

from app.storage import copying
from app.storage.postgresql import connections, copy_sides
from app.storage.postgresql.store import PostgresServer
from app.storage.sqlite.store import SqliteFile
from app.storage.tables import metadata
from tests.commands import run_here
from tests.databases import ENGINES, Database, ask, contents, url_of
from tests.faults.seeds import fill
from tests.postgres import empty, new_database
from tests.server_process import Finished, Server, serving

PASSWORD = "correct horse battery"
# A row with a higher number than any that the seeds have, which is deleted again.
FORMER_SERVER = 1000
SERVER = (
    "INSERT INTO servers (uuid, owner_id, name, enabled) "
    "VALUES ('00000000-0000-4000-8000-000000000099', 4000000000000000001, 'new', true)"
)


@pytest.fixture(scope="module")
def template() -> Iterator[str]:
    """A migrated PostgreSQL database without rows."""
    with new_database() as url:
        PostgresServer(url).migrate()
        yield url


@pytest.fixture(scope="module")
def one_postgresql(template: str) -> Iterator[str]:
    with new_database(template) as url:
        yield url


@pytest.fixture(scope="module")
def other_postgresql() -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Database:
    """A database of the engine that the test names, with rows in every table."""
    database: Database
    if request.param == "sqlite":
        path = tmp_path / "source.sqlite3"
        copyfile(migrated, path)
        database = SqliteFile(path)
    else:
        url = request.getfixturevalue("one_postgresql")
        asyncio.run(empty(url))
        database = PostgresServer(url)
    fill(database)
    ask(database, "UPDATE outbox SET holder = 'a process', leased_until = 2000000000000")
    ask(database, SERVER.replace("(uuid", "(number, uuid").replace("('0", f"({FORMER_SERVER}, '0"))
    if isinstance(database, PostgresServer):
        ask(database, f"SELECT setval('servers_number_seq', {FORMER_SERVER})")
    ask(database, "DELETE FROM servers WHERE name = 'new'")
    return database


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield SqliteFile(tmp_path / "new folder" / "target.sqlite3")
        return
    with new_database() as url:
        yield PostgresServer(url)


def copy(folder: Path, source: Database, to: str, *options: str, **more: Any) -> Finished:
    return run_here(
        folder, "copy", "--to", to, *options, GATEHOUSE_DATABASE_URL=url_of(source), **more
    )


def sorted_rows(database: Database) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in contents(database).items()}


def without_processes(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows as they are where no process runs."""
    released = [{**row, "holder": None, "leased_until": None} for row in rows["outbox"]]
    return {**rows, "outbox": released, "workers": [], "leases": []}


# ------------------------------------------------------------------------ whole copies


@pytest.mark.parametrize("target", ENGINES, indirect=True)
@pytest.mark.parametrize("source", ENGINES, indirect=True)
def test_a_copy_has_every_row_of_every_table_and_assigns_later_numbers(
    source: Database, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH", 2)
    before = contents(source)
    done = copy(tmp_path, source, url_of(target), "--json")
    assert (done.status, done.err) == (0, "")
    assert contents(source) == before
    expected = without_processes(before)
    assert sorted_rows(target) == {name: sorted(map(repr, rows)) for name, rows in expected.items()}
    counted = {table["table"]: table["rows"] for table in json.loads(done.out)["tables"]}
    assert counted == {
        name: len(expected[name])
        for name in metadata.tables
        if expected[name] or name not in copying.LEFT_EMPTY
    }
    assert all(rows for name, rows in counted.items())
    ask(target, SERVER)
    assert ask(target, "SELECT max(number) FROM servers") == [(FORMER_SERVER + 1,)]


def sign_in(server: Server) -> str:
    reply = server.client.post("/users/auth", json={"username": "resident", "password": PASSWORD})
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["token"]
    return token


def sign_up(server: Server, username: str) -> None:
    account = {"username": username, "password": PASSWORD}
    assert server.client.post("/users/@self", json=account).status_code == 201


def read(server: Server, path: str, credential: str) -> Any:
    reply = server.client.get(path, headers={"X-Access-Token": credential})
    assert reply.status_code == 200, reply.text
    return reply.json()


def stop(server: Server) -> None:
    # It releases its worker number, and does not wait for load balancers.
    server.process.send_signal(signal.SIGINT)
    server.process.wait(timeout=20)


def test_servers_serve_a_copy_on_postgresql_and_its_copy_back_on_sqlite(
    tmp_path: Path, other_postgresql: str
) -> None:
    back = f"sqlite:///{tmp_path / 'back.sqlite3'}"
    with serving(tmp_path) as server:
        key = server.admin_key
        sign_up(server, "resident")
        token = sign_in(server)
        users, audit = read(server, "/users", key), read(server, "/audit", key)
        refused = run_here(tmp_path, "copy", "--to", other_postgresql)
        assert (refused.status, "Stop it first" in refused.err) == (1, True)
        stop(server)
    here: dict[str, str] = {}
    for to, next_name in ((other_postgresql, "settler"), (back, "returner")):
        done = run_here(tmp_path, "copy", "--to", "-", stdin=f"{to}\n", **here)
        assert (done.status, done.err) == (0, "")
        here = {"GATEHOUSE_DATABASE_URL": to}
        with serving(tmp_path, **here) as server:
            assert read(server, "/users", key) == users
            assert read(server, "/audit", key) == audit
            assert read(server, "/users/@self", token)["username"] == "resident"
            sign_in(server)
            sign_up(server, next_name)
            users, audit = read(server, "/users", key), read(server, "/audit", key)
            if to != back:
                refused = run_here(tmp_path, "copy", "--to", back, **here)
                assert (refused.status, "A gateway is running" in refused.err) == (1, True)
            stop(server)
    assert [user["id"] for user in users.values()] == [1, 2, 3, 4]


# ---------------------------------------------------------------------------- refusals


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    """A data directory with a database, without rows."""
    (tmp_path / "var").mkdir(mode=0o700)
    copyfile(migrated, tmp_path / "var" / "gatehouse.sqlite3")
    return tmp_path


def test_the_output_says_what_to_set_and_contains_no_password(folder: Path, template: str) -> None:
    with new_database(template) as url:
        # The server of the tests accepts any password.
        to = url.replace("postgres@", "postgres:secret@")
        refusal = run_here(folder, "copy", "--to", f"{to}?sslmode=wrong")
        done = run_here(folder, "copy", "--to", to)
        # Now the target has tables, so copies are refused; the password was visible all the same.
        warned = [done, run_here(folder, "copy", "--to", f"{url}?sslpassword=secret")]
        silent = [
            run_here(folder, "copy", "--to", "-", stdin=f"{to}\n"),
            run_here(folder, "copy", "--to", url),
        ]
    assert (refusal.status, done.status) == (2, 0)
    warning = "The password in --to can be read by other users of this machine"
    assert [warning in one.err for one in [*warned, *silent]] == [True, True, False, False]
    assert "postgres:***@" in done.out
    assert "secret" not in refusal.err + done.out + done.err
    assert "Set GATEHOUSE_DATABASE_URL to the URL of the target" in done.out
    assert str(folder / "var") in done.out
    assert "audit\t0\t" in done.out


def make_foreign(path: Path) -> None:
    ask(SqliteFile(path), "CREATE TABLE users (name text)")


def make_newer(path: Path) -> None:
    SqliteFile(path).migrate()
    ask(SqliteFile(path), "UPDATE alembic_version SET version_num = '9999'")


def make_filled(path: Path) -> None:
    SqliteFile(path).migrate()
    fill(SqliteFile(path))


@pytest.mark.parametrize(
    ("to", "prepare", "status", "sentence"),
    [
        ("mysql://host/name", None, 2, "--to: a database URL has the form sqlite:///PATH"),
        ("-", None, 2, "--to: a database URL has the form sqlite:///PATH"),
        ("postgresql://127.0.0.1:1/name", None, 1, "Connect call failed"),
        ("sqlite:///var/gatehouse.sqlite3", None, 1, "is the configured database: name another"),
        ("sqlite:///target", Path.mkdir, 1, "target is not a file."),
        ("sqlite:///target", lambda path: path.write_text("text" * 999), 1, "not a database"),
        ("sqlite:///target", make_foreign, 1, "has tables of another application: users."),
        ("sqlite:///target", make_newer, 1, "at schema 9999, which this release does not know"),
        ("sqlite:///target", make_filled, 1, "is not empty: its table audit has rows."),
        ("sqlite:///var/signing-key.pem/file", None, 1, "var/signing-key.pem: File exists."),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_with_a_sentence(
    folder: Path, to: str, prepare: Any, status: int, sentence: str
) -> None:
    (folder / "var" / "signing-key.pem").touch()
    if prepare is not None:
        prepare(folder / "target")
    done = run_here(folder, "copy", "--to", to)
    assert (done.status, done.out) == (status, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (None, "There is no database at"),
        ("UPDATE alembic_version SET version_num = '0001'", "run 'gatehouse migrate' first."),
        ("DROP TABLE alembic_version", "The database is empty: run 'gatehouse migrate' first."),
        (
            "INSERT INTO users VALUES (1, 1, '', '', '', '', '', '', 1, 0, 1, 'AWAY')",
            "the table users has a value that Gatehouse did not write: 'AWAY'",
        ),
    ],
)
def test_a_source_that_cannot_be_copied_is_refused_with_a_sentence(
    folder: Path, change: str | None, sentence: str
) -> None:
    path = folder / "var" / "gatehouse.sqlite3"
    path.unlink() if change is None else ask(SqliteFile(path), change)
    done = run_here(folder, "copy", "--to", "sqlite:///target")
    assert (done.status, sentence in done.err) == (1, True), done.err


def test_postgresql_as_both_sides_or_with_rows_is_refused(
    folder: Path, one_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_sides, "_LOCK_TIMEOUT", text("SET lock_timeout = '10ms'"))
    asyncio.run(empty(one_postgresql))
    same = copy(folder, PostgresServer(one_postgresql), one_postgresql)
    assert (same.status, "is the database to be copied, or another copy" in same.err) == (1, True)
    fill(PostgresServer(one_postgresql))
    full = run_here(folder, "copy", "--to", one_postgresql)
    assert (full.status, "is not empty: its table audit has rows." in full.err) == (1, True)


def test_while_postgresql_is_copied_no_command_writes_to_it(
    folder: Path, one_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    asyncio.run(empty(one_postgresql))
    words, url = ("users", "create", "newcomer"), {"GATEHOUSE_DATABASE_URL": one_postgresql}

    async def create_during_copy() -> Finished:
        async with copy_sides.open_source(PostgresServer(one_postgresql)):
            return await asyncio.to_thread(run_here, folder, *words, **url)

    refused = asyncio.run(create_during_copy())
    assert (refused.status, "is busy; try again shortly." in refused.err) == (1, True), refused.err
    assert run_here(folder, *words, **url).status == 0
