"""PostgreSQL that becomes read-only, and a standby that takes over."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from app.storage.errors import StoreError
from app.storage.postgresql.store import PostgresServer
from tests.faults.faulty_server import RECOVERY, SETTINGS, FaultyServer, guarded, with_users
from tests.faults.load import eventually
from tests.faults.own_postgres import OwnPostgres, own_postgres
from tests.faults.proxy import Proxy, proxy_before
from tests.server_process import run, serving


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(postgres: OwnPostgres) -> Iterator[Proxy]:
    """The way to the primary, such as a name or an address that moves."""
    with proxy_before("127.0.0.1", postgres.port) as opened:
        yield opened


@pytest.fixture(scope="module")
def faulty_server(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    settings = {"GATEHOUSE_DATABASE_URL": at(proxy.port), **SETTINGS}
    with (
        serving(tmp_path_factory.mktemp("server"), **settings) as server,
        with_users(server) as opened,
    ):
        yield opened


def at(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def test_a_server_that_becomes_read_only_is_reported_and_used_again(
    faulty_server: FaultyServer, postgres: OwnPostgres
) -> None:
    with guarded(faulty_server) as guard:
        postgres.set("default_transaction_read_only", "on")
        eventually(lambda: "store" in faulty_server.ready())
        assert "read-only" in faulty_server.client.get("/health/ready").json()["detail"]
        assert faulty_server.writes() == {"overloaded"}
        assert faulty_server.reads() == {"ok"}
        postgres.set("default_transaction_read_only", "off")
        recovered = faulty_server.recovers(monotonic())
    print(f"\nPostgreSQL read-only: writes refused, back after {recovered:.2f} s, {guard}")
    assert recovered < RECOVERY


def test_a_start_on_a_read_only_server_is_refused_with_a_sentence(
    postgres: OwnPostgres, tmp_path: Path
) -> None:
    url = f"{at(postgres.port)}?options=-c%20default_transaction_read_only%3Don"
    done = run(tmp_path, "serve", GATEHOUSE_DATABASE_URL=url)
    assert done.status == 1
    assert "read-only" in done.err
    assert "Traceback" not in done.err


def test_connections_to_the_old_primary_are_replaced_after_a_failover(
    faulty_server: FaultyServer, postgres: OwnPostgres, proxy: Proxy
) -> None:
    """The old primary goes on answering on the connections there are, and accepts no writes."""
    with guarded(faulty_server) as guard, postgres.standby() as standby:
        with pytest.raises(StoreError, match="it is a standby"):
            asyncio.run(opened(at(standby.port)))
        # Of several hosts the one that accepts writes.
        several = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{proxy.port}/postgres"
        asyncio.run(opened(several))
        postgres.set("default_transaction_read_only", "on")
        written = postgres.ask("SELECT pg_current_wal_lsn()::text")
        arrived = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        eventually(lambda: bool(standby.ask(arrived)))
        assert faulty_server.rest("GET", "/users/@self", faulty_server.token) == "ok"
        standby.promote()
        proxy.target = ("127.0.0.1", standby.port)
        # Without a write of this gateway: what is revoked now is not valid on old connections.
        standby.ask("DELETE FROM sessions")
        revoked = eventually(
            lambda: faulty_server.rest("GET", "/users/@self", faulty_server.token) != "ok"
        )
        began = monotonic()
        again = replace(faulty_server, token=faulty_server.log_in(faulty_server.sign_up()))
        recovered = again.recovers(began)
    print(f"\nfailover: refused after {revoked:.2f} s, back after {recovered:.2f} s, {guard}")
    assert revoked < RECOVERY
    assert recovered < RECOVERY


async def opened(url: str) -> None:
    async with PostgresServer(url).open():
        """Nothing but open it."""
