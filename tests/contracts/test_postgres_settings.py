"""A database whose settings and collation would break what Gatehouse relies on."""

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text

from app.domain.users import Sort, SortKey, UserFilter
from app.operations.views.accounts import PANEL_USER
from app.runtime.background_tasks import Supervisor
from app.storage.postgresql.connections import CONNECTIONS
from app.storage.postgresql.server_info import PER_WORKER
from app.storage.postgresql.store import PostgresServer, PostgresStore, postgres_engine
from tests.contracts.rows import NOW, add, new_user
from tests.contracts.test_postgres_altered import use
from tests.databases import ask
from tests.postgres import new_database

pytestmark = pytest.mark.anyio

TURKISH = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' TEMPLATE template0"
SETTINGS = {
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "default_transaction_isolation": "'read uncommitted'",
    "default_transaction_deferrable": "on",
    # Milliseconds: enough for the statement that sets another one, even on a busy machine.
    "statement_timeout": "1000",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "client_encoding": "LATIN1",
    "timezone": "'Asia/Kathmandu'",
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "plan_cache_mode": "force_generic_plan",
    "transform_null_equals": "on",
}

REQUIRED = {
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "statement_timeout": "10s",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "10s",
    "client_encoding": "UTF8",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with new_database(options=TURKISH) as url:
        server = PostgresServer(url)
        name = url.rpartition("/")[2]
        for setting, value in SETTINGS.items():
            ask(server, f"ALTER DATABASE {name} SET {setting} = {value}")
        server.migrate()
        yield url


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_engine(url), Supervisor())
    yield store
    await store.close()


async def test_settings_of_the_database_change_nothing(store: PostgresStore) -> None:
    await use(store)
    names = ["iii", "Iii", "a\\b", "a%b", "müller", "zz_z"]
    await add(
        store,
        *(
            new_user(90 + n, username=name, display_name=f"{name} \\ '\" é")
            for n, name in enumerate(names)
        ),
    )

    async def search(part: str) -> int:
        wanted = UserFilter(text=part)
        sort = Sort(SortKey.USERNAME)
        return len(
            await store.scan(lambda tx: tx.users.list_page(wanted, sort, None, 9, PANEL_USER))
        )

    assert [await search(part) for part in ("ii", "a\\b", "a%b", "ü", "_")] == [2, 1, 1, 1, 1]
    assert await store.read(lambda tx: list(tx.name_claims.find_taken(["nobody"], NOW))) == []
    found = await store.read(lambda tx: tx.users.get_by_username("iii"))
    assert found is not None
    assert found.display_name == "iii \\ '\" é"


async def test_a_connection_has_the_settings_of_gatehouse(url: str) -> None:
    engine = postgres_engine(url)
    async with engine.connect() as connection:
        found = {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in REQUIRED
        }
    await engine.dispose()
    assert found == REQUIRED


async def test_a_store_holds_no_more_connections_than_is_documented(
    store: PostgresStore, url: str
) -> None:
    for _ in range(3):
        await use(store)
    async with postgres_engine(url, for_requests=False).connect() as connection:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        held = (await connection.execute(text(asked))).scalar_one() - 1
    assert CONNECTIONS <= held <= PER_WORKER
