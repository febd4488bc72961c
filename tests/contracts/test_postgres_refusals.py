"""Changes by a database administrator cause `overloaded` for a while."""

from collections.abc import AsyncIterator, Iterator
from secrets import token_hex
from time import monotonic

import anyio
import pytest
from sqlalchemy.exc import DBAPIError

from app.domain.errors import Overloaded
from app.runtime.background_tasks import Supervisor
from app.storage.constraints import is_passing, is_read_only
from app.storage.postgresql import renewal
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from tests.contracts.rows import NOW, add, new_user, save
from tests.contracts.test_postgres_altered import use
from tests.postgres import ask_server, new_database

pytestmark = pytest.mark.anyio

OVERLOADED = {
    "08006": "connection lost",
    "08P01": "a pooler has no room",
    "25006": "read-only",
    "28000": "the role may not log in",
    "28P01": "another password",
    "3D000": "no such database",
    "40P01": "deadlock",
    "42501": "a privilege is missing",
    "53100": "the disk is full",
    "53300": "too many connections",
    "55000": "the database takes no connections",
    "55P03": "a lock is not to be had",
    "57014": "cancelled",
    "57P01": "the server ends",
    "57P03": "the server starts",
    "58030": "a disk fails",
}


@pytest.mark.parametrize("state", [*OVERLOADED, *(s[:2] + "ZZZ" for s in ("28P01", "3D000"))])
def test_temporary_errors_are_recognized_by_their_sqlstate(state: str) -> None:
    error = RuntimeError()
    error.sqlstate = state  # type: ignore[attr-defined]
    assert is_passing(DBAPIError("", None, error))
    assert is_read_only(DBAPIError("", None, error)) == (state == "25006")


@pytest.mark.parametrize("state", ["22001", "23505", "42P01", "42601", "XX000", ""])
def test_a_mistake_of_ours_does_not_pass(state: str) -> None:
    error = RuntimeError()
    error.sqlstate = state  # type: ignore[attr-defined]
    assert not is_passing(DBAPIError("", None, error))


@pytest.fixture(scope="module")
def owned() -> Iterator[tuple[str, str, str]]:
    """A database and the role that owns it, and their URL."""
    role = f"gatehouse_owner_{token_hex(4)}"
    ask_server(f"CREATE ROLE {role} LOGIN")
    try:
        with new_database(options=f"OWNER {role}") as url:
            url = f"{url}?user={role}"
            PostgresServer(url).migrate()
            yield url.rpartition("/")[2].partition("?")[0], role, url
    finally:
        ask_server(f"DROP ROLE {role}")


@pytest.fixture
async def store(owned: tuple[str, str, str]) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_engine(owned[2]), Supervisor())
    yield store
    await store.close()


CHANGES = {
    "renamed": (
        [
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            "END",
            "ALTER DATABASE {name} RENAME TO {name}_away",
        ],
        [
            "ALTER DATABASE {name}_away RENAME TO {name}",
            "ALTER DATABASE {name} ALLOW_CONNECTIONS true",
        ],
    ),
    "login": (["ALTER ROLE {role} NOLOGIN", "END"], ["ALTER ROLE {role} LOGIN"]),
    "limit": (
        ["ALTER ROLE {role} CONNECTION LIMIT 0", "END"],
        ["ALTER ROLE {role} CONNECTION LIMIT -1"],
    ),
}
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"


@pytest.mark.parametrize(("change", "undo"), CHANGES.values(), ids=CHANGES)
async def test_changes_by_an_operator_cause_overloaded_until_undone(
    store: PostgresStore, owned: tuple[str, str, str], change: list[str], undo: list[str]
) -> None:
    await use(store)
    await order(owned, change)
    try:
        for ask in (store.read, store.scan, store.write):
            with pytest.raises(Overloaded):
                await ask(lambda tx: tx.name_claims.find_taken(["nobody"], NOW))
    finally:
        await order(owned, undo)
    await recover(store)


async def test_a_write_that_meets_a_read_only_session_has_it_replaced(
    store: PostgresStore, owned: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other question tells the store so."""
    monkeypatch.setattr(renewal, "PAUSE", 0.0)
    setting = "ALTER DATABASE {name} %s default_transaction_read_only"
    await order(owned, [f"{setting % 'SET'} = on"])
    try:
        with pytest.raises(Overloaded):
            await store.write(lambda tx: tx.signing_keys.retire("unknown", NOW))
    finally:
        await order(owned, [setting % "RESET"])
    await store.write(lambda tx: tx.signing_keys.retire("unknown", NOW))


async def test_the_check_for_writes_replaces_read_only_sessions(
    store: PostgresStore,
    owned: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(renewal, "PAUSE", 0.0)
    setting = "ALTER DATABASE {name} %s default_transaction_read_only"
    await order(owned, [f"{setting % 'SET'} = on"])
    try:
        assert not await store.accepts_writes()
        assert "accepts writes again" not in caplog.text
    finally:
        await order(owned, [setting % "RESET"])
    assert await store.accepts_writes()
    assert "accepts writes again" in caplog.text


async def test_a_write_that_is_accepted_again_is_noticed(
    store: PostgresStore,
    owned: tuple[str, str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    setting = "ALTER DATABASE {name} %s default_transaction_read_only"
    (user,) = await add(store, new_user(5000))
    await order(owned, [f"{setting % 'SET'} = on", "END"])
    try:
        with pytest.raises(Overloaded):
            await save(store, user, admin=True)
    finally:
        await order(owned, [setting % "RESET", "END"])
    await save(store, user, admin=True)
    assert "accepts writes again" in caplog.text


async def test_sessions_that_began_read_only_are_replaced(
    store: PostgresStore, owned: tuple[str, str, str]
) -> None:
    """A setting of the database holds for a session from its beginning to its end."""
    setting = "ALTER DATABASE {name} %s default_transaction_read_only"
    await use(store)
    await order(owned, [f"{setting % 'SET'} = on", "END"])
    try:
        with pytest.raises(Overloaded):
            await use(store)
        assert not await store.accepts_writes()
        assert list(await store.scan(lambda tx: tx.signing_keys.list_all())) == []
    finally:
        await order(owned, [setting % "RESET"])
    await recover(store)
    assert await store.accepts_writes()


async def order(owned: tuple[str, str, str], statements: list[str]) -> None:
    """Have the server do them."""
    name, role, _ = owned
    for statement in statements:
        filled = (END if statement == "END" else statement).format(name=name, role=role)
        await anyio.to_thread.run_sync(ask_server, filled)


async def recover(store: PostgresStore) -> None:
    """Use the store as soon as it can be used, within 5 seconds."""
    undone = monotonic()
    while True:
        try:
            await use(store)
            break
        except Overloaded:
            assert monotonic() < undone + 5
            await anyio.sleep(0.05)
