"""PostgreSQL behind a line that is cut, stalled and lost."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from app.storage.postgres import UNKNOWN
from tests.faults.house import (
    KEY,
    RECOVERY,
    REFUSAL,
    SETTINGS,
    House,
    client_of,
    guarded,
    inhabited,
)
from tests.faults.load import IN_FULL, eventually
from tests.faults.own_postgres import own_postgres
from tests.faults.proxy import Commits, Proxy, proxy_before
from tests.postgres import ask_server, new_database
from tests.server import serving

# How often everybody's connection is ended in the middle of whatever it does.
ROUNDS = 30


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
def house(database: str, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url = make_url(database).set(host="127.0.0.1", port=proxy.port)
    settings = {"GATEHOUSE_DATABASE_URL": url.render_as_string(hide_password=False), **SETTINGS}
    folder = tmp_path_factory.mktemp("house")
    with serving(folder, **settings) as server, inhabited(server) as opened:
        yield opened


def test_a_server_that_is_gone_is_said_and_found_again(house: House, proxy: Proxy) -> None:
    with guarded(house) as guard:
        proxy.shut()
        began = monotonic()
        assert house.reads() == house.writes() == {"overloaded"}
        assert house.ready() == ["store"]
        refused = monotonic() - began
        proxy.open()
        recovered = house.recovers(monotonic())
    print(
        f"\nPostgreSQL gone: 11 refusals in {refused:.2f} s, back after {recovered:.2f} s, {guard}"
    )
    assert recovered < RECOVERY


def test_a_line_that_is_cut_is_noticed_by_nobody(house: House, proxy: Proxy) -> None:
    with guarded(house) as guard:
        for _ in range(5):
            proxy.cut()
            assert house.reads() == {"ok"}
            proxy.cut()
            assert house.writes() == {"ok"}
    print(f"\nPostgreSQL's line cut 10 times between requests: no refusal, {guard}")


def test_a_server_that_stalls_holds_nobody_up_for_long(house: House, proxy: Proxy) -> None:
    with guarded(house) as guard:
        proxy.stall()
        asked = [
            lambda: house.rest("GET", "/users/@self", house.token),
            lambda: house.rest("PATCH", "/users/@self", house.token, json={"display_name": "X"}),
            lambda: house.rpc("users.self", house.token),
            lambda: house.rpc("users.presence", house.token, presence="DND"),
            lambda: "overloaded" if house.ready() == ["store"] else "ready",
        ]

        def waited(ask: Callable[[], str]) -> float:
            began = monotonic()
            assert ask() == "overloaded"
            return monotonic() - began

        with ThreadPoolExecutor(len(asked)) as threads:
            waits = list(threads.map(waited, asked))
        proxy.go_on()
        recovered = house.recovers(monotonic())
    print(
        f"\nPostgreSQL stalls: 503 after {max(waits):.1f} s, back after {recovered:.2f} s, {guard}"
    )
    assert max(waits) < REFUSAL
    assert recovered < RECOVERY


@IN_FULL
def test_connections_that_lead_nowhere_are_replaced(house: House, proxy: Proxy) -> None:
    with guarded(house) as guard:
        proxy.forget()
        recovered = house.recovers(monotonic())
    assert "Traceback" not in house.server.log.so_far
    assert "exception" not in house.server.log.so_far
    print(f"\nPostgreSQL's old connections lead nowhere: back after {recovered:.2f} s, {guard}")
    assert recovered < 30


def test_what_another_gateway_revokes_is_refused_by_one_that_cannot_hear_of_it(
    house: House, proxy: Proxy, database: str, tmp_path: Path
) -> None:
    """Its cache is believed for the lease, which the other waits for before it answers."""
    token = house.log_in(house.sign_up())
    enough = Event()
    let_in: list[float] = []
    told: Counter[str] = Counter()

    def ask() -> None:
        with client_of(house.server) as client:
            while not enough.is_set():
                began = monotonic()
                outcome = replace(house, client=client).rest("GET", "/users/@self", token)
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
        assert House(other, client).rpc("users.logout", token) == "ok"
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


def keys_named(house: House, name: str) -> int:
    headers = {"X-Access-Token": house.token}
    keys = house.client.get("/users/@self/keys", headers=headers).json()
    return sum(key["name"] == name for key in keys)


def make_key(house: House, door: str, name: str) -> str:
    """'ok', or the detail of the refusal, which is the same at both doors."""
    if door == "rest":
        headers = {"X-Access-Token": house.token}
        made = house.client.post("/users/@self/keys", json={"name": name}, headers=headers)
        assert made.status_code in {201, 503}, made.text
        return "ok" if made.is_success else str(made.json()["detail"])
    call = {"jsonrpc": "2.0", "method": "keys.create", "auth": house.token, "id": 1}
    reply = house.client.post("/rpc", json={**call, "params": {"name": name}}).json()
    assert "result" in reply or reply["error"]["code"] == -32603, reply
    return "ok" if "result" in reply else str(reply["error"]["data"])


@pytest.mark.parametrize("door", ["rest", "rpc"])
@pytest.mark.parametrize(
    ("commits", "effects"), [(Commits.UNSENT, 0), (Commits.UNANSWERED, 1)], ids=["before", "after"]
)
def test_a_commit_of_which_nobody_knows_is_said_and_not_repeated(
    house: House, proxy: Proxy, door: str, commits: Commits, effects: int
) -> None:
    name = uuid4().hex[:16]
    with proxy.cutting(commits):
        assert make_key(house, door, name) == UNKNOWN
        assert proxy.cut_commits > 0
    assert keys_named(house, name) == effects


def test_a_logout_of_which_nobody_knows_may_be_asked_about(house: House, proxy: Proxy) -> None:
    token = house.log_in(house.sign_up())
    with proxy.cutting(Commits.UNSENT):
        assert house.rpc("users.logout", token) == "overloaded"
    assert house.rest("GET", "/users/@self", token) == "ok"
    with proxy.cutting(Commits.UNANSWERED):
        assert house.rpc("users.logout", token) == "overloaded"
    assert house.rest("GET", "/users/@self", token) == "unauthenticated"


def test_connections_cut_in_the_middle_of_everything_lose_and_double_nothing(
    house: House, database: str
) -> None:
    name = make_url(database).database
    enough = Event()
    outcomes: dict[str, str] = {}

    def write(number: int) -> None:
        door = ("rest", "rpc")[number % 2]
        while not enough.is_set():
            key = uuid4().hex[:16]
            outcomes[key] = make_key(house, door, key)

    with guarded(house) as guard:
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
        recovered = house.recovers(monotonic())
    headers = {"X-Access-Token": house.token}
    keys = Counter(
        key["name"] for key in house.client.get("/users/@self/keys", headers=headers).json()
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
        with serving(tmp_path, **settings) as server, inhabited(server) as house:
            with guarded(house) as guard:
                postgres.stop(mode)
                assert house.reads() == house.writes() == {"overloaded"}
                assert house.ready() == ["store"]
                postgres.start()
                recovered = house.recovers(monotonic())
            print(f"\nPostgreSQL stopped ({mode}), started: back after {recovered:.2f} s, {guard}")
            assert recovered < RECOVERY
