"""Clients of a real server that hang up: after any route and method, half a body, or 0 to 50 ms.

FAULT_CUTS says how many do, FAULT_SEED what a failure names.
"""

import asyncio
import json
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from random import Random, SystemRandom
from threading import Event, Thread
from time import sleep
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.rest.operation_route import OperationRoute
from app.storage.postgresql.connections import CONNECTIONS
from app.storage.postgresql.store import PostgresServer
from tests.databases import ask
from tests.faults.faulty_server import KEY, SETTINGS, FaultyServer, client_of
from tests.faults.load import eventually
from tests.postgres import new_database
from tests.security.cast import GUILD, SERVER
from tests.security.matrix import CHAT_ROWS, members_of, panel_asks
from tests.server_process import Server, serving

CUTS = int(os.environ.get("FAULT_CUTS", "200"))
SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
_SEEDS = count(SEED)
CLIENTS = 8
# More than one piece of the streamed list.
ACCOUNTS = 2500
LONGEST = 0.05
# With RST instead of FIN (socket(7), SO_LINGER).
RESET = struct.pack("ii", 1, 0)
UUID = "00000000-0000-4000-8000-{:012}"
FILL = f"""
INSERT INTO users
    (id, uuid, username, display_name, email_key, admin, disabled, version)
SELECT 4000000000000000000 + n, '00000000-0000-4000-8000-' || lpad(n::text, 12, '0'),
    'account' || n, 'Account ' || n, '', false, false, 1
FROM generate_series(1, {ACCOUNTS}) AS n
"""  # noqa: S608
IN_TRANSACTION = (
    "SELECT query FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
VALUES = {
    "password": "correct horse battery",
    "session": "a session",
    "key": "AAAAAAAA",
    "victims_session": "a session",
    "victims_key": "AAAAAAAA",
    "server": SERVER,
    "guild": str(GUILD),
    "owners_guild": str(GUILD),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes that a client sends before it hangs up."""

    head: bytes
    body: bytes = b""


def requests(random: Random) -> list[Sent]:
    """One of each kind, at both APIs; the streamed list as often as all others together."""
    values = {
        **VALUES,
        "new": f"new{random.randrange(10**9)}",
        "uuid": UUID.format(random.randint(1, ACCOUNTS)),
    }
    chat = [_call([_rpc(row, values)]) for row in CHAT_ROWS]
    chat.append(_call([_rpc(row, values) for row in random.sample(CHAT_ROWS, 10)]))
    panel = [_ask(route, row, values) for route, row in panel_asks()]
    listed = [_request("GET", "/users")] * len(panel)
    return chat + panel + listed


def _rpc(row: str, values: dict[str, str]) -> dict[str, object]:
    params = members_of(row, values)
    return {"jsonrpc": "2.0", "method": row.split()[0], "auth": KEY, "params": params, "id": 1}


def _call(batch: list[dict[str, object]]) -> Sent:
    return _request("POST", "/rpc", json.dumps(batch if len(batch) > 1 else batch[0]))


def _ask(route: OperationRoute, row: str, values: dict[str, str]) -> Sent:
    members, path = members_of(row, values), route.path
    for name in route.path_names:
        path = path.replace(f"{{{name}}}", members.pop(name, values["uuid"]))
    if route.has_body:
        return _request(route.method, path, json.dumps(members))
    return _request(route.method, path)


def _request(method: str, path: str, body: str = "") -> Sent:
    fields = [f"{method} {path} HTTP/1.1", "Host: gateway", f"X-Access-Token: {KEY}"]
    if body:
        fields += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return Sent("\r\n".join([*fields, "", ""]).encode(), body.encode())


def cut(address: tuple[str, int], sent: Sent, random: Random) -> str:
    """Send it, in full or not, wait for a moment, and hang up."""
    is_half = bool(sent.body) and random.random() < 0.2
    body = sent.body[: len(sent.body) // 2] if is_half else sent.body
    with socket.create_connection(address, timeout=30) as client:
        if random.random() < 0.5:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.sendall(sent.head + body)
        # Most are answered in a few milliseconds.
        sleep(LONGEST * random.random() ** 3)
        return "half a body" if is_half else "in full"


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with new_database() as url:
        server = PostgresServer(url)
        server.migrate()
        ask(server, FILL)
        yield server


def test_clients_that_hang_up_leave_nothing_behind(
    database: PostgresServer, tmp_path: Path
) -> None:
    with serving(tmp_path, GATEHOUSE_DATABASE_URL=database.url, **SETTINGS) as server:
        outcomes = hang_up(server, CUTS)
        with client_of(server) as client:
            faulty_server = FaultyServer(server, client)
            require_nothing_left(faulty_server, database)
    assert "Traceback" not in server.log.so_far
    assert "exception" not in server.log.so_far
    print(f"\n{outcomes.total()} requests cut: {dict(outcomes)}; FAULT_SEED={SEED}")


def hang_up(server: Server, cuts: int) -> Counter[str]:
    """So many clients, some of them at a time."""
    clients = min(CLIENTS, cuts)
    url = urlsplit(server.greeting["url"])
    address = (url.hostname or "", url.port or 0)

    def work(seed: int) -> Counter[str]:
        random, outcomes = Random(seed), Counter[str]()
        while outcomes.total() < cuts // clients:
            outcomes[cut(address, random.choice(requests(random)), random)] += 1
        return outcomes

    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(work, islice(_SEEDS, clients)), Counter[str]())


def require_nothing_left(faulty_server: FaultyServer, database: PostgresServer) -> None:
    """A write, and revocations by another process while others go on asking and hanging up."""
    eventually(lambda: not ask(database, IN_TRANSACTION), 5)
    assert faulty_server.ready() == []
    token = faulty_server.log_in(faulty_server.sign_up())
    faulty_server = FaultyServer(faulty_server.server, faulty_server.client, token)
    assert faulty_server.reads() == faulty_server.writes() == {"ok"}
    keys = [faulty_server.key(token) for _ in range(2)]
    enough = Event()

    def go_on() -> None:
        while not enough.is_set():
            hang_up(faulty_server.server, 1)

    noise = Thread(target=go_on)
    noise.start()
    try:
        for key in keys:
            for _ in range(CONNECTIONS):
                assert faulty_server.rest("GET", "/users/@self", key) == "ok"
            asyncio.run(_revoke(database, key))
            # As long as another gateway waits before it answers.
            sleep(0.15)
            with ThreadPoolExecutor(4) as threads:
                told = Counter(
                    threads.map(partial(_who_am_i, faulty_server, key), range(4 * CONNECTIONS))
                )
            # A busy machine may keep the store from answering in time.
            assert told["unauthenticated"] > 0
            assert told.keys() <= {"unauthenticated", "overloaded"}, told
    finally:
        enough.set()
        noise.join()


async def _revoke(database: PostgresServer, key: str) -> None:
    """Revoke it as another process does."""
    connection = await asyncpg.connect(database.url)
    await connection.execute("DELETE FROM access_keys WHERE id = $1", key[:8])
    await connection.close()


def _who_am_i(faulty_server: FaultyServer, key: str, number: int) -> str:
    if number % 2:
        return faulty_server.rest("GET", "/users/@self/sessions", key)
    return faulty_server.rpc("users.self", key)
