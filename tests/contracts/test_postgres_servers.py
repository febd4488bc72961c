"""Opening and closing a PostgreSQL store, and replacing its connections."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.runtime.background_tasks import Supervisor
from app.storage.errors import StoreError
from app.storage.migrations import SchemaError
from app.storage.postgresql import renewal
from app.storage.postgresql import store as implementation
from app.storage.postgresql.renewal import Renewal
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from tests.contracts.rows import new_user
from tests.contracts.test_cancellation import failure
from tests.databases import ask
from tests.postgres import new_database

pytestmark = pytest.mark.anyio

OTHERS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
        AND pid <> pg_backend_pid()
"""
WAITING = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""
ONLY_SERIALIZABLE = """
    CREATE FUNCTION require_serializable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('transaction_isolation') <> 'serializable' THEN
            RAISE EXCEPTION 'not serializable';
        END IF;
        RETURN new;
    END $$
"""
TRIGGER = """
    CREATE TRIGGER only_serializable BEFORE INSERT ON password_attempts
    FOR EACH ROW EXECUTE FUNCTION require_serializable()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with new_database() as url:
        yield PostgresServer(url)


@pytest.fixture(scope="module")
def migrated_server(server: PostgresServer) -> PostgresServer:
    server.migrate()
    return server


async def test_a_database_without_tables_is_not_opened(server: PostgresServer) -> None:
    with pytest.raises(SchemaError):
        async with server.open():
            pass


def primary_checks(supervisor: Supervisor) -> float:
    labels = (("task", "primary-check"), ("state", "running"))
    return sum(m.value for m in supervisor.measurements() if m.labels == labels)


async def test_the_primary_is_checked_while_the_store_is_open(
    migrated_server: PostgresServer,
) -> None:
    supervisor = Supervisor()
    async with migrated_server.open(supervisor):
        assert primary_checks(supervisor) == 1
    assert primary_checks(supervisor) == 0


@pytest.mark.parametrize("do", ["read", "write"])
async def test_a_store_whose_server_is_not_there_is_overloaded(do: str) -> None:
    store = PostgresStore(postgres_engine("postgresql://127.0.0.1:1/nowhere"), Supervisor())
    with pytest.raises(Overloaded):
        await getattr(store, do)(lambda tx: tx.users.newest_id())
    await store.close()


async def test_a_server_that_is_not_there_or_does_not_answer_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def be_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await silence.wait()
        writer.close()

    silence = asyncio.Event()
    listening = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    monkeypatch.setattr(implementation, "PATIENCE", 0.2)
    with pytest.raises(StoreError, match="no answer within"):
        await PostgresServer(f"postgresql://127.0.0.1:{port}/any").require_writable()
    silence.set()
    listening.close()
    await listening.wait_closed()
    with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
        await PostgresServer(f"postgresql://127.0.0.1:{port}/any").require_writable()


async def test_a_database_in_another_encoding_is_not_opened() -> None:
    options = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    made = new_database(options=options)
    url = await asyncio.to_thread(made.__enter__)
    try:
        with pytest.raises(StoreError, match="LATIN1"):
            async with PostgresServer(url).open():
                pass
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)


async def test_a_closed_store_leaves_no_connection(migrated_server: PostgresServer) -> None:
    async with migrated_server.open() as store:
        for ask_store in (store.read, store.scan, store.write):
            assert await ask_store(lambda tx: tx.users.newest_id()) == 0
        assert await asyncio.to_thread(ask, migrated_server, OTHERS)
    async with asyncio.timeout(10):
        while await asyncio.to_thread(ask, migrated_server, OTHERS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_of_two_that_start_at_once_the_second_waits(migrated_server: PostgresServer) -> None:
    done = []

    async def start(name: str) -> None:
        async with migrated_server.one_at_a_time():
            done.append(f"{name} begins")
            await asyncio.sleep(0.1)
            done.append(f"{name} ends")

    await asyncio.gather(start("one"), start("other"))
    assert [line.split()[1] for line in done] == ["begins", "ends"] * 2


async def test_a_migration_waits_for_the_one_in_progress(migrated_server: PostgresServer) -> None:
    engine = postgres_engine(migrated_server.url, for_requests=False)
    async with engine.connect() as other:
        key = {"key": implementation.MIGRATION_LOCK}
        await other.execute(text("SELECT pg_advisory_lock(:key)"), key)
        migration = asyncio.create_task(asyncio.to_thread(migrated_server.migrate))
        async with asyncio.timeout(20):
            while not (await other.execute(text(WAITING))).all():
                assert not migration.done()
                await asyncio.sleep(0.01)
    await migration


async def test_a_trial_writes_as_a_request_does(migrated_server: PostgresServer) -> None:
    for statement in (ONLY_SERIALIZABLE, TRIGGER):
        await asyncio.to_thread(ask, migrated_server, statement)
    await migrated_server.require_writable()
    await asyncio.to_thread(
        ask, migrated_server, "ALTER TABLE password_attempts ADD CHECK (false) NOT VALID"
    )
    with pytest.raises(StoreError, match="violates check constraint") as refused:
        await migrated_server.require_writable()
    assert "INSERT" not in str(refused.value)


def add_account(tx: Transaction) -> None:
    tx.users.add(new_user(7))


AT_COMMIT = """
    CREATE FUNCTION fail_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF new.display_name = 'lost' THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        IF new.display_name = 'broken' THEN
            RAISE EXCEPTION 'broken';
        END IF;
        RETURN new;
    END $$
"""
TRIGGER_AT_COMMIT = """
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail_at_commit()
"""


async def test_only_a_failure_during_the_commit_leaves_the_outcome_unknown(
    migrated_server: PostgresServer,
) -> None:
    for statement in (AT_COMMIT, TRIGGER_AT_COMMIT):
        await asyncio.to_thread(ask, migrated_server, statement)

    def refuse(_: Transaction) -> None:
        raise failure("53300")

    def put(name: str, tx: Transaction) -> None:
        tx.users.add(new_user(8, display_name=name))

    async with migrated_server.open() as store:
        with pytest.raises(Overloaded) as refused:
            await store.write(refuse)
        assert "The outcome is unknown" not in str(refused.value)
        with pytest.raises(DBAPIError, match="broken"):
            await store.write(partial(put, "broken"))
        with pytest.raises(Overloaded, match="The outcome is unknown"):
            await store.write(partial(put, "lost"))


async def test_deferred_writes_are_written_before_the_store_is_closed(
    migrated_server: PostgresServer,
) -> None:
    async with migrated_server.open() as store:
        store.defer("an account", add_account)
    async with migrated_server.open() as store:
        assert await store.read(lambda tx: tx.users.newest_id()) == new_user(7).id


async def test_a_write_that_always_conflicts_is_retried_after_pauses_but_not_forever(
    migrated_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "ATTEMPTS", 3)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    def fail(_: Transaction) -> None:
        tried.append(None)
        raise failure("40001")

    tried: list[None] = []
    async with migrated_server.open() as store:
        monkeypatch.setattr(asyncio, "sleep", pause)
        with pytest.raises(Overloaded):
            await store.write(fail)
        monkeypatch.undo()
    assert len(tried) == len(pauses) == 3
    assert all(
        pause <= longest for pause, longest in zip(pauses, [0.002, 0.004, 0.008], strict=True)
    )


@pytest.mark.parametrize(
    ("error", "times", "raised"),
    [
        (failure("42601"), 1, DBAPIError),
        (failure("53300"), 1, Overloaded),
        (failure("", is_lost=True), 2, Overloaded),
        (failure("40001"), 2, Overloaded),
    ],
)
async def test_a_read_is_tried_again_once_and_only_after_what_passes_at_once(
    migrated_server: PostgresServer, error: DBAPIError, times: int, raised: type[Exception]
) -> None:
    tried: list[None] = []

    def fail(_: Transaction) -> None:
        tried.append(None)
        raise error

    async with migrated_server.open() as store:
        with pytest.raises(raised):
            await store.scan(fail)
    assert len(tried) == times


async def test_connections_are_replaced_once_a_second_and_when_writes_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(renewal, "monotonic", lambda: now[0])
    replaced: list[float] = []
    renewing = Renewal()
    renewing.also(lambda: replaced.append(now[0]))
    renewing.writes_accepted()
    for now[0] in (0.5, 1.0, 1.5, 2.0):
        renewing.writes_refused()
    assert replaced == [1.0, 2.0]
    now[0] = 2.5
    renewing.writes_accepted()
    renewing.writes_accepted()
    assert replaced == [1.0, 2.0, 2.5]
