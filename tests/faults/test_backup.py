"""A backup is whole whatever is written meanwhile; restoring one loses nothing that is there."""

import asyncio
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import httpx
import pysqlite3
import pytest
from alembic import command as alembic

from app import backups as app_backups
from app.container import Container, StartError, open_container, prepare_store
from app.main import create_app
from app.operations import operator
from app.operations.admin_audit import ListAudit
from app.operations.admin_users import AdminCreateUser
from app.operations.credentials import CreateKey
from app.security.ids import lock_data_dir
from app.settings import Settings
from app.storage.errors import StoreError
from app.storage.sqlite import backups
from app.storage.sqlite.store import SqliteFile
from tests.gateway import Gate, client_of
from tests.needs import need
from tests.postgres import new_database
from tests.server_process import command, environment, run, serving

PASSWORD = "correct horse battery"
# How long after the first trace of its work a restore is killed, in milliseconds.
KILLED_AFTER = [0, 40, 80] if "FAULT_KILLS" not in os.environ else range(0, 300, 10)


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    """A migrated store below a directory, with an admin, and a backup of it."""
    (tmp_path / "var").mkdir(mode=0o700)
    shutil.copyfile(migrated, database_of(tmp_path))
    create(at(tmp_path), "boss")
    back_up(tmp_path)
    return tmp_path


def database_of(folder: Path) -> Path:
    return folder / "var" / "gatehouse.sqlite3"


def at(folder: Path, **settings: Any) -> Settings:
    return Settings(data_dir=folder / "var", **settings)


def create(settings: Settings, username: str) -> None:
    async def work() -> None:
        async with open_container(settings) as opened:
            admin = AdminCreateUser(username, None, PASSWORD, admin=True)
            await operator.create_account(opened.services, admin)

    asyncio.run(work())


def back_up(folder: Path, name: str = "backup") -> None:
    app_backups.back_up(at(folder), folder / name)


def restore(
    folder: Path, *, replace: bool = True, keep_credentials: bool = False
) -> app_backups.RestoreResult:
    return app_backups.restore(
        at(folder), folder / "backup", replace=replace, keep_credentials=keep_credentials
    )


def ask(database: Path, query: str) -> list[Any]:
    with closing(pysqlite3.dbapi2.connect(str(database))) as connection:
        rows: list[Any] = connection.execute(query).fetchall()
        return rows


def names_in(database: Path) -> set[str]:
    return {name for (name,) in ask(database, "SELECT username FROM users")}


def is_sound(database: Path) -> bool:
    return ask(database, "PRAGMA integrity_check") == [("ok",)] and not ask(
        database, "PRAGMA foreign_key_check"
    )


def left_beside(file: Path) -> list[str]:
    """The temporary files that a command left in the file's directory."""
    return [path.name for path in file.parent.iterdir() if file.name in path.name and path != file]


# ----------------------------------------------------------------------------- a backup


@contextmanager
def signing_up(url: str) -> Iterator[list[str]]:
    """Accounts that come in through both APIs all the while; those that were acknowledged."""
    acknowledged: list[str] = []
    ended = Event()

    def go_on(api: str) -> None:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            number = 0
            while not ended.is_set():
                number += 1
                account = {"username": f"{api}{number:05}", "password": PASSWORD}
                if api == "rpc":
                    call = {"jsonrpc": "2.0", "method": "users.create", "auth": None}
                    reply = client.post("/rpc", json={**call, "params": account, "id": 1})
                    assert "result" in reply.json(), reply.text
                else:
                    reply = client.post("/users/@self", json=account)
                    assert reply.status_code == 201, reply.text
                acknowledged.append(account["username"])

    threads = [Thread(target=go_on, args=[api]) for api in ("rpc", "rest")]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_backup_under_writes_by_two_workers_has_all_that_was_acknowledged_before(
    folder: Path,
) -> None:
    (folder / "backup").unlink()
    quick = {"GATEHOUSE_RATE_LIMITS": "off", "GATEHOUSE_WORKERS": "2"}
    with serving(folder, **quick) as server:
        with signing_up(server.greeting["url"]) as acknowledged:
            latest = monotonic() + 60
            while len(acknowledged) < 20:
                assert monotonic() < latest
                sleep(0.01)
            known = list(acknowledged)
            done = run(folder, "backup", "backup")
            assert (done.status, done.err) == (0, "")
        assert len(acknowledged) > len(known), "nothing was written meanwhile"
    file = folder / "backup"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert is_sound(file)
    assert set(known) <= names_in(file)
    assert left_beside(file) == []
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    restored = run(elsewhere, "restore", str(file))
    assert (restored.status, restored.err) == (0, "")
    with serving(elsewhere) as server:
        account = {"username": known[0], "password": PASSWORD}
        assert server.client.post("/users/auth", json=account).status_code == 200


def test_a_backup_overwrites_nothing(folder: Path) -> None:
    (folder / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        back_up(folder, "mine")
    assert (folder / "mine").read_text() == "mine"
    (folder / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        back_up(folder, "link")
    assert (folder / "link").is_symlink()


def test_a_file_created_at_the_last_moment_is_not_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_theirs(act: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def raced(draft: Path, file: Path) -> None:
            file.write_text("theirs")
            act(draft, file)

        return raced

    for name in ("link", "replace"):
        monkeypatch.setattr(os, name, after_theirs(getattr(os, name)))
    with pytest.raises(FileExistsError):
        back_up(folder, "late")
    assert (folder / "late").read_text() == "theirs"
    assert left_beside(folder / "late") == []


def test_a_backup_gets_its_name_where_a_file_can_have_no_second_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    back_up(folder, "stick")
    assert is_sound(folder / "stick")
    with pytest.raises(FileExistsError):
        back_up(folder, "stick")


def test_a_backup_for_which_there_is_no_room_leaves_nothing(folder: Path) -> None:
    done = subprocess.run(
        command("backup", "another"),
        cwd=folder,
        env=environment(folder, {}),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gatehouse: ")
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("*another*"))


def test_of_a_database_that_is_not_sound_there_is_no_backup(folder: Path) -> None:
    (folder / "backup").unlink()
    with database_of(folder).open("r+b") as file:
        file.seek(4096 * 4)
        file.write(os.urandom(4096 * 20))
    with pytest.raises(StoreError):
        back_up(folder)
    assert not list(folder.glob("*backup*"))


# ------------------------------------------------------------------- dead credentials


@asynccontextmanager
async def apis(folder: Path) -> AsyncIterator[tuple[Gate, Container]]:
    settings = at(folder)
    async with (
        open_container(settings, signs=True) as opened,
        client_of(create_app(settings, opened.services), "127.0.0.1") as client,
    ):
        yield Gate(client), opened


async def log_in(gate: Gate) -> str:
    account = {"username": "boss", "password": PASSWORD}
    token: str = (await gate.rest("POST", "/users/auth", json=account)).json()["token"]
    return token


async def statuses(gate: Gate, credentials: list[str]) -> set[int]:
    return {(await gate.rest("GET", "/users/@self", c)).status_code for c in credentials}


async def trusted(gate: Gate) -> list[str]:
    keys = (await gate.rest("GET", "/.well-known/jwks.json")).json()["keys"]
    return [key["kid"] for key in keys]


class Past:
    """The credentials revoked and issued after a backup."""

    def __init__(self, folder: Path) -> None:
        self.credentials: list[str] = []
        asyncio.run(self._begin(folder))
        (folder / "backup").unlink()
        back_up(folder)
        asyncio.run(self._go_on(folder))
        create(at(folder), "later")
        self.newest_number = ask(database_of(folder), "SELECT max(number) FROM users")[0][0]

    async def _begin(self, folder: Path) -> None:
        async with apis(folder) as (gate, opened):
            made = await operator.create_key_for(opened.services, "boss", CreateKey("key"))
            assert made["key"] is not None
            self.credentials = [made["key"], await log_in(gate), await log_in(gate)]

    async def _go_on(self, folder: Path) -> None:
        async with apis(folder) as (gate, opened):
            for token in self.credentials[1:]:
                assert (await gate.rpc("users.logout", auth=token))["result"] is True
            await operator.revoke_key(opened.services, self.credentials[0][:8])
            recorded = operator.record_rotation(opened.services)
            self.kid = (await opened.signing.rotate(opened.services.store, recorded)).kid
            assert await statuses(gate, self.credentials) == {401}


async def noted(opened: Container) -> dict[str, Any]:
    wanted = ListAudit(action="restored")
    (entry,) = (await operator.list_audit_log(opened.services, wanted))["entries"]
    assert (entry["actor"], entry["door"]) == ("operator", "command line")
    return {name: change and change["after"] for name, change in entry["changes"].items()}


def test_credentials_revoked_after_a_backup_stay_revoked_when_it_is_restored(folder: Path) -> None:
    past = Past(folder)
    done = restore(folder).restored
    assert (done.kept, done.credentials.sessions, done.credentials.keys) == (False, 2, 1)
    create(at(folder), "newest")
    (number,) = ask(database_of(folder), "SELECT number FROM users WHERE username = 'newest'")[0]
    assert number > past.newest_number

    async def look() -> None:
        async with apis(folder) as (gate, opened):
            assert await statuses(gate, past.credentials) == {401}
            assert await trusted(gate) == [past.kid], "the one before it is trusted again"
            assert await statuses(gate, [await log_in(gate)]) == {200}
            assert (await noted(opened))["credentials"] == "ended"

    asyncio.run(look())


def test_restoring_the_same_again_gives_no_number_twice(folder: Path) -> None:
    numbers = []
    for name in ("first", "second"):
        restore(folder)
        create(at(folder), name)
        sleep(1.1)
        numbers += ask(database_of(folder), "SELECT max(number) FROM users")[0]
    assert numbers[0] < numbers[1]


def test_restored_credentials_are_printed_and_in_the_audit_log(folder: Path) -> None:
    past = Past(folder)
    done = restore(folder, keep_credentials=True).restored
    assert (done.kept, done.credentials.sessions, done.credentials.keys) == (True, 2, 1)

    async def look() -> None:
        async with apis(folder) as (gate, opened):
            assert await statuses(gate, past.credentials) == {200}
            told = await noted(opened)
            assert (told["credentials"], told["sessions"], told["keys"]) == ("kept", "2", "1")

    asyncio.run(look())


# ------------------------------------------------------------------------- restoring


def test_while_a_server_runs_nothing_is_restored(folder: Path) -> None:
    before = database_of(folder).stat().st_ino
    with serving(folder, GATEHOUSE_WORKERS="2") as server:
        for arguments in (
            ["restore", "backup", "--replace"],
            ["restored", "--yes"],
            ["end-all-credentials", "--yes"],
        ):
            done = run(folder, *arguments)
            assert (done.status, "Stop it first" in done.err) == (1, True)
        assert server.client.get("/health/ready").status_code == 200
    assert database_of(folder).stat().st_ino == before


def test_while_something_is_restored_no_server_starts(folder: Path) -> None:
    with lock_data_dir(at(folder).data_dir, alone=True):
        done = run(folder, "serve")
    assert (done.status, "Traceback" in done.err) == (1, False)


def test_a_database_that_another_program_has_open_is_not_replaced(folder: Path) -> None:
    with closing(pysqlite3.dbapi2.connect(str(database_of(folder)))) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM users").fetchone()
        with pytest.raises(StoreError, match="is in use"):
            restore(folder)
        assert not list((folder / "var").glob("*restoring*"))
    restore(folder)


def test_a_database_is_replaced_only_on_demand_and_kept(folder: Path) -> None:
    create(at(folder), "later")
    with pytest.raises(StartError, match="--replace"):
        restore(folder, replace=False)
    assert names_in(database_of(folder)) == {"boss", "later"}
    kept = restore(folder).kept_as
    assert names_in(database_of(folder)) == {"boss"}
    assert stat.S_IMODE(database_of(folder).stat().st_mode) == 0o600
    assert kept is not None
    assert names_in(kept) == {"boss", "later"}


def test_accounts_that_regain_access_are_named(folder: Path) -> None:
    create(at(folder), "mallory")
    create(at(folder), "deputy")
    (folder / "backup").unlink()
    back_up(folder)
    change = "UPDATE users SET {} WHERE username = '{}'"
    with closing(pysqlite3.dbapi2.connect(str(database_of(folder)))) as connection:
        connection.execute(change.format("disabled = 1", "mallory"))
        connection.execute(change.format("admin = 0", "deputy"))
        connection.commit()
    regained = restore(folder).regained
    assert (regained.active, regained.admins) == (["mallory"], ["deputy"])
    regained = restore(folder).regained
    assert (regained.active, regained.admins) == ([], [])


def test_a_spoiled_database_makes_room_and_is_kept_as_it_is(folder: Path) -> None:
    for leftover in (folder / "var").glob("gatehouse.sqlite3*"):
        leftover.unlink()
    database_of(folder).write_bytes(b"spoiled" * 1000)
    kept = restore(folder).kept_as
    assert names_in(database_of(folder)) == {"boss"}
    assert kept is not None
    assert kept.read_bytes() == b"spoiled" * 1000


def spoil(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60_000])


def make_strange(file: Path) -> None:
    file.unlink()
    with closing(pysqlite3.dbapi2.connect(str(file))) as connection:
        connection.execute("CREATE TABLE other (number INTEGER)")


def make_newer(file: Path) -> None:
    with closing(pysqlite3.dbapi2.connect(str(file))) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Path.unlink, "No such file"),
        (lambda file: file.write_bytes(b"no database" * 1000), "not a database. Restore another"),
        (spoil, "malformed"),
        (make_strange, "backup is no database of Gatehouse"),
        (make_newer, "written by a newer one"),
    ],
)
def test_an_invalid_backup_replaces_nothing(folder: Path, change: Any, sentence: str) -> None:
    change(folder / "backup")
    with pytest.raises((StoreError, OSError), match=sentence):
        restore(folder)
    assert names_in(database_of(folder)) == {"boss"}
    assert left_beside(database_of(folder)) == []


def test_a_log_file_beside_a_backup_is_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = folder / "backup-wal"
    shutil.copyfile(folder / "backup", folder / "copy")
    with closing(pysqlite3.dbapi2.connect(str(folder / "copy"), isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("UPDATE users SET username = 'mallory'")
        log = (folder / "copy-wal").read_bytes()
    beside.write_bytes(log)
    with pytest.raises(StoreError, match="part of no backup"):
        restore(folder)
    monkeypatch.setattr(backups, "_refuse_what_is_beside", lambda _: beside.write_bytes(log))
    restore(folder)
    assert names_in(database_of(folder)) == {"boss"}


def test_a_backup_with_an_older_schema_is_brought_to_the_present_one(folder: Path) -> None:
    SqliteFile(folder / "backup").migrate(lambda config: alembic.downgrade(config, "0005"))
    restore(folder)
    create(at(folder), "later")


@pytest.mark.parametrize("later", KILLED_AFTER)
def test_killed_at_any_moment_restoring_leaves_one_of_the_two_whole(
    folder: Path, later: int
) -> None:
    create(at(folder), "later")
    process = subprocess.Popen(
        command("restore", "backup", "--replace"),
        cwd=folder,
        env=environment(folder, {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    latest = monotonic() + 60
    while not list((folder / "var").glob("*restoring*")) and process.poll() is None:
        assert monotonic() < latest
    sleep(later / 1000)
    process.kill()
    process.wait()
    before, after = {"boss", "later"}, {"boss"}
    assert is_sound(database_of(folder))
    assert names_in(database_of(folder)) in (before, after)
    restore(folder)
    assert names_in(database_of(folder)) == after
    assert not list((folder / "var").glob("*restoring*"))


# ------------------------------------------------------------------------ PostgreSQL


def pg(tool: str, *arguments: str) -> None:
    found = shutil.which(tool) or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{tool}"), reverse=True)), None
    )
    need(found is not None, f"There is no {tool}: install PostgreSQL's client programs.")
    assert found is not None
    subprocess.run([found, *arguments], check=True, timeout=120)


def test_postgresql_is_backed_up_with_its_own_tools(tmp_path: Path) -> None:
    with new_database() as url, new_database() as other:
        here, there = at(tmp_path, database_url=url), at(tmp_path, database_url=other)
        prepare_store(here)
        create(here, "boss")
        for refused in (
            lambda: app_backups.back_up(here, tmp_path / "backup"),
            lambda: app_backups.restore(
                here, tmp_path / "backup", replace=False, keep_credentials=False
            ),
        ):
            with pytest.raises(StartError, match="pg_"):
                refused()
        key = asyncio.run(make_key(here))
        dump = str(tmp_path / "backup")
        pg("pg_dump", "--format=custom", "--exclude-table-data=workers", f"--file={dump}", url)
        options = ["--no-owner", "--single-transaction", "--exit-on-error", f"--dbname={other}"]
        pg("pg_restore", *options, dump)
        assert asyncio.run(list_keys_of(there)) == [key]
        asyncio.run(refused_while_a_gateway_runs(there))
        done = asyncio.run(app_backups.settle_restored(there, keep_credentials=False))
        assert (done.kept, done.credentials.keys) == (False, 1)
        assert asyncio.run(list_keys_of(there)) == []
        create(there, "later")
        assert asyncio.run(numbers_of(there)) > 1_000_000
        asyncio.run(make_key(there))
        assert asyncio.run(app_backups.end_all_credentials(there)).keys == 1
        assert asyncio.run(list_keys_of(there)) == []


async def make_key(settings: Settings) -> str:
    async with open_container(settings) as opened:
        return (await operator.create_key_for(opened.services, "boss", CreateKey("key")))["id"]


async def list_keys_of(settings: Settings) -> list[str]:
    async with open_container(settings) as opened:
        return [key["id"] for key in await operator.list_keys_of(opened.services, "boss")]


async def numbers_of(settings: Settings) -> int:
    async with open_container(settings) as opened:
        user = await opened.services.store.read(lambda tx: tx.users.get_by_username("later"))
        assert user is not None
        return user.number


async def refused_while_a_gateway_runs(settings: Settings) -> None:
    async with open_container(settings):
        with pytest.raises(StartError, match="A gateway is running on"):
            await app_backups.settle_restored(settings, keep_credentials=False)
