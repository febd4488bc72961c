"""PostgreSQL behind a line that is cut, stalled and lost."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from app.storage.postgresql.store import UNKNOWN
from tests.faults.faulty_server import (
    KEY,
    RECOVERY,
    REFUSAL,
    SETTINGS,
    FaultyServer,
    client_of,
    guarded,
    with_users,
)
from tests.faults.load import IN_FULL, eventually
from tests.faults.own_postgres import own_postgres
from tests.faults.proxy import Commits, Proxy, proxy_before
from tests.postgres import ask_server, new_database
from tests.server_process import serving

# How often everybody's connection is ended in the middle of whatever it does.
ROUNDS = 30
ACCOUNTS = 12


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(database: str) -> Iterator[Proxy]:
    address = make_url(database)
    with proxy_before(address.host or "127.0.0.1", address.port or 5432) as opened:
        yield opened


@pytest.fixture(scope="module")
def faulty_server(
    database: str, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyServer]:
    url = make_url(database).set(host="127.0.0.1", port=proxy.port)
    settings = {"GATEHOUSE_DATABASE_URL": url.render_as_string(hide_password=False), **SETTINGS}
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, **settings) as server, with_users(server) as opened:
        yield opened


def test_a_lost_server_is_reported_and_found_again(
    faulty_server: FaultyServer, proxy: Proxy
) -> None:
    with guarded(faulty_server) as guard:
        proxy.shut()
        began = monotonic()
        assert faulty_server.reads() == faulty_server.writes() == {"overloaded"}
        assert faulty_server.ready() == ["store"]
        refused = monotonic() - began
        proxy.open()
        recovered = faulty_server.recovers(monotonic())
    print(
        f"\nPostgreSQL gone: 11 refusals in {refused:.2f} s, back after {recovered:.2f} s, {guard}"
    )
    assert recovered < RECOVERY


def test_no_client_notices_a_connection_that_is_cut(
    faulty_server: FaultyServer, proxy: Proxy
) -> None:
    with guarded(faulty_server) as guard:
        for _ in range(5):
            proxy.cut()
            assert faulty_server.reads() == {"ok"}
            proxy.cut()
            assert faulty_server.writes() == {"ok"}
    print(f"\nPostgreSQL's line cut 10 times between requests: no refusal, {guard}")


def test_a_stalled_server_delays_no_request_for_long(
    faulty_server: FaultyServer, proxy: Proxy
) -> None:
    with guarded(faulty_server) as guard:
        proxy.stall()
        asked = [
            lambda: faulty_server.rest("GET", "/users/@self", faulty_server.token),
            lambda: faulty_server.rest(
                "PATCH", "/users/@self", faulty_server.token, json={"display_name": "X"}
            ),
            lambda: faulty_server.rpc("users.self", faulty_server.token),
            lambda: faulty_server.rpc("users.presence", faulty_server.token, presence="DND"),
            lambda: "overloaded" if faulty_server.ready() == ["store"] else "ready",
        ]

        def waited(ask: Callable[[], str]) -> float:
            began = monotonic()
            assert ask() == "overloaded"
            return monotonic() - began

        with ThreadPoolExecutor(len(asked)) as threads:
            waits = list(threads.map(waited, asked))
        proxy.go_on()
        recovered = faulty_server.recovers(monotonic())
    print(
        f"\nPostgreSQL stalls: 503 after {max(waits):.1f} s, back after {recovered:.2f} s, {guard}"
    )
    assert max(waits) < REFUSAL
    assert recovered < RECOVERY


@IN_FULL
def test_connections_that_lead_nowhere_are_replaced(
    faulty_server: FaultyServer, proxy: Proxy
) -> None:
    with guarded(faulty_server) as guard:
        proxy.forget()
        recovered = faulty_server.recovers(monotonic())
    assert "Traceback" not in faulty_server.server.log.so_far
    assert "exception" not in faulty_server.server.log.so_far
    print(f"\nPostgreSQL's old connections lead nowhere: back after {recovered:.2f} s, {guard}")
    assert recovered < 30


def test_a_credential_revoked_at_another_server_is_refused_by_one_that_is_cut_off(
    faulty_server: FaultyServer, proxy: Proxy, database: str, tmp_path: Path
) -> None:
    """Its cache is believed for the lease, which the other waits for before it answers."""
    token = faulty_server.log_in(faulty_server.sign_up())
    enough = Event()
    let_in: list[float] = []
    told: Counter[str] = Counter()

    def ask() -> None:
        with client_of(faulty_server.server) as client:
            while not enough.is_set():
                began = monotonic()
                outcome = replace(faulty_server, client=client).rest("GET", "/users/@self", token)
                told[outcome] += 1
                if outcome == "ok":
                    let_in.append(began)

    threads = [Thread(target=ask, daemon=True) for _ in range(4)]
    settings = {"GATEHOUSE_DATABASE_URL": database, **SETTINGS}
    with serving(tmp_path, **settings) as other, client_of(other) as client:
        for thread in threads:
            thread.start()
        eventually(lambda: len(let_in) > 100)
        proxy.stall()
        assert FaultyServer(other, client).rpc("users.logout", token) == "ok"
        revoked_at = monotonic()
        eventually(lambda: told["overloaded"] >= len(threads))
        proxy.go_on()
        eventually(lambda: told["unauthenticated"] > 0)
        enough.set()
    for thread in threads:
        thread.join(30)
    assert [began for began in let_in if began > revoked_at] == []
    print(f"\nrevoked at another gateway while the line stalls: {dict(told)}, 0 let in after that")


# ------------------------------------------------------------------------------ commits


def keys_named(faulty_server: FaultyServer, name: str) -> int:
    headers = {"X-Access-Token": faulty_server.token}
    keys = faulty_server.client.get("/users/@self/keys", headers=headers).json()
    return sum(key["name"] == name for key in keys)


def make_key(faulty_server: FaultyServer, api: str, name: str, token: str = "") -> str:
    """'ok', or the detail of the refusal, which is the same at both APIs."""
    token = token or faulty_server.token
    if api == "rest":
        headers = {"X-Access-Token": token}
        made = faulty_server.client.post("/users/@self/keys", json={"name": name}, headers=headers)
        assert made.status_code in {201, 503}, made.text
        return "ok" if made.is_success else str(made.json()["detail"])
    call = {"jsonrpc": "2.0", "method": "keys.create", "auth": token, "id": 1}
    reply = faulty_server.client.post("/rpc", json={**call, "params": {"name": name}}).json()
    assert "result" in reply or reply["error"]["code"] == -32603, reply
    return "ok" if "result" in reply else str(reply["error"]["data"])


@pytest.mark.parametrize("api", ["rest", "rpc"])
@pytest.mark.parametrize(
    ("commits", "effects"), [(Commits.UNSENT, 0), (Commits.UNANSWERED, 1)], ids=["before", "after"]
)
def test_an_unknown_commit_is_reported_and_not_repeated(
    faulty_server: FaultyServer, proxy: Proxy, api: str, commits: Commits, effects: int
) -> None:
    name = uuid4().hex[:16]
    with proxy.cutting(commits):
        assert make_key(faulty_server, api, name) == UNKNOWN
        assert proxy.cut_commits > 0
    assert keys_named(faulty_server, name) == effects


def test_the_outcome_of_an_unknown_logout_can_be_checked(
    faulty_server: FaultyServer, proxy: Proxy
) -> None:
    token = faulty_server.log_in(faulty_server.sign_up())
    with proxy.cutting(Commits.UNSENT):
        assert faulty_server.rpc("users.logout", token) == "overloaded"
    assert faulty_server.rest("GET", "/users/@self", token) == "ok"
    with proxy.cutting(Commits.UNANSWERED):
        assert faulty_server.rpc("users.logout", token) == "overloaded"
    assert faulty_server.rest("GET", "/users/@self", token) == "unauthenticated"


def test_connections_cut_in_the_middle_of_everything_lose_and_double_nothing(
    faulty_server: FaultyServer, database: str
) -> None:
    name = make_url(database).database
    enough = Event()
    outcomes: dict[str, str] = {}
    # Of each account a part, since none has more than a hundred keys.
    tokens = [faulty_server.log_in(faulty_server.sign_up()) for _ in range(ACCOUNTS)]

    def write(number: int) -> None:
        api = ("rest", "rpc")[number % 2]
        for token in cycle(tokens):
            if enough.is_set():
                return
            key = uuid4().hex[:16]
            outcomes[key] = make_key(faulty_server, api, key, token)

    with guarded(faulty_server) as guard:
        threads = [Thread(target=write, args=[number], daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(ROUNDS):
            enough.wait(0.1)
            ask_server(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608
                f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            )
        enough.set()
        for thread in threads:
            thread.join(60)
        recovered = faulty_server.recovers(monotonic())
    keys = Counter(
        key["name"]
        for token in tokens
        for key in faulty_server.client.get(
            "/users/@self/keys", headers={"X-Access-Token": token}
        ).json()
    )
    told = Counter(outcomes.values())
    assert max(keys.values()) == 1
    assert told["ok"] > 0
    assert [key for key, told in outcomes.items() if told == "ok" and key not in keys] == []
    assert [
        key for key, told in outcomes.items() if told not in {"ok", UNKNOWN} and key in keys
    ] == []
    unknown = sum(told == UNKNOWN and key in keys for key, told in outcomes.items())
    print(
        f"\nPostgreSQL's connections ended {ROUNDS} times amid writes: {told['ok']} "
        f"acknowledged, 0 lost, 0 doubled; {told[UNKNOWN]} unknown, {unknown} of them done; "
        f"{told.total() - told['ok'] - told[UNKNOWN]} refused; "
        f"back after {recovered:.2f} s, {guard}"
    )


# ---------------------------------------------------------------------------- the ends


@IN_FULL
def test_a_server_that_stalls_does_not_hold_up_the_end(database: str, tmp_path: Path) -> None:
    address = make_url(database)
    with proxy_before(address.host or "127.0.0.1", address.port or 5432) as line:
        url = address.set(host="127.0.0.1", port=line.port)
        settings = {"GATEHOUSE_DATABASE_URL": url.render_as_string(hide_password=False)}
        with serving(tmp_path, **settings) as server:
            key = server.admin_key if "admin_key" in server.greeting else KEY
            headers = {"X-Access-Token": key}
            assert server.client.get("/users/@self", headers=headers).status_code == 200
            line.stall()
            server.process.send_signal(signal.SIGTERM)
            began = monotonic()
            late = server.client.get("/users/@self/sessions", headers=headers)
            assert late.status_code == 503
            assert server.process.wait(timeout=15) == 0
            print(f"\nSIGTERM while PostgreSQL stalls: ended after {monotonic() - began:.1f} s")


@IN_FULL
@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_server_that_is_restarted_is_found_again(tmp_path: Path, mode: str) -> None:
    with own_postgres() as postgres:
        settings = {"GATEHOUSE_DATABASE_URL": postgres.url, "GATEHOUSE_WORKERS": "2", **SETTINGS}
        with serving(tmp_path, **settings) as server, with_users(server) as faulty_server:
            with guarded(faulty_server) as guard:
                postgres.stop(mode)
                assert faulty_server.reads() == faulty_server.writes() == {"overloaded"}
                assert faulty_server.ready() == ["store"]
                postgres.start()
                recovered = faulty_server.recovers(monotonic())
            print(f"\nPostgreSQL stopped ({mode}), started: back after {recovered:.2f} s, {guard}")
            assert recovered < RECOVERY
