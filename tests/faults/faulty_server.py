"""Clients of a server whose store is at fault, and their responses from both APIs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from threading import Event, Thread
from time import monotonic
from typing import Any

import httpx

from tests.server_process import Server

PASSWORD = "correct horse battery"
KEY = "A1B2C3D4-aaaa-bbbb-cccc-ddddeeee"
# So that as many may sign up, be wrong and ask as a test wants.
SETTINGS = {"GATEHOUSE_RATE_LIMITS": "off", "GATEHOUSE_BOOTSTRAP_ADMIN_KEY": KEY}
# Within which a store that is back is used again.
RECOVERY = 5.0
# In which a refusal has to come, whatever the store does.
REFUSAL = 12.0
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class FaultyServer:
    """A server, a user, and credentials that have ended."""

    server: Server
    client: httpx.Client
    token: str = ""
    dead: dict[str, str] = field(default_factory=dict)

    # -------------------------------------------------------------------------- two APIs

    def rest(self, method: str, path: str, credential: str | None = None, **request: Any) -> str:
        """'ok', or the slug of the refusal, with the headers that go with it."""
        answer = self.client.request(method, path, headers=_with(credential), **request)
        if answer.is_success:
            return "ok"
        slug: str = answer.json()["code"]
        assert (answer.status_code == 503) is (slug == "overloaded"), answer.text
        assert ("retry-after" in answer.headers) is (slug == "overloaded"), answer.headers
        return slug

    def rpc(self, method: str, auth: str | None = None, **params: Any) -> str:
        """The same at JSON-RPC, in both dialects of its errors."""
        call = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
        answer = self.client.post("/rpc?errors=problem", json=call)
        assert answer.status_code == 200, answer.text
        reply = answer.json()
        return "ok" if "result" in reply else str(reply["error"]["data"]["code"])

    # ------------------------------------------------------------------------- what is asked

    def sign_up(self) -> str:
        """A new account's name."""
        name = f"person{next(_NUMBERS)}"
        assert self.rpc("users.create", username=name, password=PASSWORD) == "ok"
        return name

    def log_in(self, name: str) -> str:
        """A token."""
        login = {"username": name, "password": PASSWORD}
        token: str = self.client.post("/users/auth", json=login).json()["token"]
        return token

    def key(self, token: str) -> str:
        """An access key."""
        made = self.client.post("/users/@self/keys", json={"name": "key"}, headers=_with(token))
        key: str = made.json()["key"]
        return key

    def reads(self) -> set[str]:
        """The outcomes of reads, with a credential and without."""
        return {
            self.rest("GET", "/users/@self", self.token),
            self.rpc("users.self", self.token),
            self.rest("GET", "/users/@self/sessions", self.token),
            self.rpc("users.check", username="somebody"),
        }

    def writes(self) -> set[str]:
        """The outcomes of writes; logging in is one."""
        name = f"person{next(_NUMBERS)}"
        return {
            self.rest("PATCH", "/users/@self", self.token, json={"display_name": "Somebody"}),
            self.rpc("users.presence", self.token, presence="DND"),
            self.rest("POST", "/users/@self", json={"username": name, "password": PASSWORD}),
            self.rpc("users.auth", username="nobody", password=PASSWORD),
        } - {"invalid-credentials"}

    def ready(self) -> list[str]:
        """The reasons that keep the server from being ready."""
        answer = self.client.get("/health/ready")
        assert answer.status_code == (503 if "failing" in answer.json() else 200)
        assert self.client.get("/health/live").status_code == 200
        failing: list[str] = answer.json().get("failing", [])
        return failing

    def refusals(self) -> Counter[str]:
        """The outcomes of the ended credentials, each through both APIs; none may be 'ok'."""
        told: Counter[str] = Counter()
        for credential in self.dead.values():
            told[self.rest("GET", "/users/@self", credential)] += 1
            told[self.rpc("users.self", credential)] += 1
        return told

    def recovers(self, began: float) -> float:
        """Wait until everything is as it was; how long that took since `began`.

        Without the time that the same requests take afterwards: much on a busy machine.
        """
        while not self._is_well():
            assert monotonic() < began + 60, self.server.log.so_far[-2000:]
        well = monotonic()
        assert self._is_well(), self.server.log.so_far[-2000:]
        return max(0.0, well - began - (monotonic() - well))

    def _is_well(self) -> bool:
        return {*self.reads(), *self.writes()} == {"ok"} and not self.ready()


@contextmanager
def with_users(server: Server) -> Iterator[FaultyServer]:
    """A server with users, some of whose credentials have ended."""
    with client_of(server) as client:
        faulty_server = FaultyServer(server, client)
        known, stranger, disabled = (faulty_server.sign_up() for _ in range(3))
        ended, revoked = (
            faulty_server.log_in(stranger),
            faulty_server.key(faulty_server.log_in(stranger)),
        )
        assert faulty_server.rest("DELETE", "/users/@self/sessions/@current", ended) == "ok"
        path = f"/users/@self/keys/{revoked[:8]}"
        assert faulty_server.rest("DELETE", path, faulty_server.log_in(stranger)) == "ok"
        token = faulty_server.log_in(disabled)
        key = faulty_server.key(token)
        (uuid,) = client.get("/users", params={"username": disabled}, headers=_with(KEY)).json()
        assert faulty_server.rest("DELETE", f"/users/{uuid}", KEY) == "ok"
        dead = {
            "token of an ended session": ended,
            "revoked key": revoked,
            "token of a disabled account": token,
            "key of a disabled account": key,
        }
        faulty_server = FaultyServer(server, client, faulty_server.log_in(known), dead)
        assert faulty_server.refusals() == {"unauthenticated": 2 * len(dead)}
        yield faulty_server


def client_of(server: Server) -> httpx.Client:
    """A client of this server."""
    return httpx.Client(base_url=server.greeting["url"], timeout=60, trust_env=False)


@dataclass
class Guard:
    """The outcomes of the ended credentials, counted."""

    told: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"dead credentials {self.told.total()} times refused"


@contextmanager
def guarded(faulty_server: FaultyServer) -> Iterator[Guard]:
    """Try the dead credentials over and over: none may be let in, nothing be a fault of ours."""
    guard, enough = Guard(), Event()

    def work() -> None:
        with client_of(faulty_server.server) as client:
            while not enough.wait(0.01):
                guard.told += replace(faulty_server, client=client).refusals()

    threads = [Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield guard
    finally:
        enough.set()
        for thread in threads:
            thread.join(60)
    assert guard.told["unauthenticated"] > 0
    unexpected = guard.told.keys() - {"unauthenticated", "overloaded"}
    log = [
        line
        for line in faulty_server.server.log.so_far.splitlines()
        if '"level":"info"' not in line
    ]
    assert not unexpected, "\n".join([str(guard.told), *log])


def _with(credential: str | None) -> dict[str, str]:
    return {} if credential is None else {"X-Access-Token": credential}
