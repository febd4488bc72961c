"""The whole application in process, on a real SQLite file: both APIs for tests."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.signing_keys import PUBLISHED_AHEAD
from app.main import Application, create_app
from app.operations.framework.services import Services
from app.operations.operator import create_first_admin
from app.runtime.background_tasks import Supervisor
from app.security.rate_limiter import MemoryRateLimiter
from app.security.signing_keys import SigningKeyFile
from app.security.tokens import JoseTokens
from app.settings import Settings
from app.storage.sqlite.engine import sqlite_engine
from app.storage.sqlite.store import SqliteStore
from tests.fakes.ports import FakeClock
from tests.fakes.services import PASSWORD, Overrides, make_services

CLIENT = ("203.0.113.9", 4711)


@dataclass(frozen=True, slots=True)
class Gate:
    """Both APIs of a gateway, wherever it runs."""

    client: httpx.AsyncClient

    async def rest(
        self, method: str, path: str, credential: str | None = None, **request: Any
    ) -> httpx.Response:
        """Ask the REST API; the credential goes into X-Access-Token."""
        headers = dict(request.pop("headers", {}))
        if credential is not None:
            headers["X-Access-Token"] = credential
        return await self.client.request(method, path, headers=headers, **request)

    async def rpc(
        self, method: str, params: Any = None, auth: str | None = None, *, query: str = ""
    ) -> dict[str, Any]:
        """Call one method through JSON-RPC and give the whole reply."""
        response = await self.post_call(method, params, auth, query=query)
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply

    async def post_call(
        self, method: str, params: Any = None, auth: str | None = None, *, query: str = ""
    ) -> httpx.Response:
        """Call one method through JSON-RPC."""
        call = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
        return await self.client.post(f"/rpc{query}", json=call)


@dataclass(frozen=True, slots=True)
class Gateway(Gate):
    """A running application, its first admin's key, and the clock it goes by."""

    app: ASGIApp
    services: Services
    clock: FakeClock
    admin_key: str
    signing: SigningKeyFile

    async def rotate(self) -> str:
        """Rotate the signing key at the command line, and let five minutes pass; the new kid."""
        following = await self.signing.rotate(self.services.store)
        self.clock.turn(PUBLISHED_AHEAD)
        assert await self.signing.ensure(self.services.store) == following.kid
        return following.kid

    @asynccontextmanager
    async def seen_at(self, address: str) -> AsyncIterator["Gateway"]:
        """The same gateway for a client at another address."""
        async with client_of(self.app, address) as client:
            yield replace(self, client=client)

    async def sign_up(self, username: str, password: str = PASSWORD) -> dict[str, Any]:
        """Register through JSON-RPC; the chat User."""
        params = {"username": username, "password": password}
        user: dict[str, Any] = (await self.rpc("users.create", params))["result"]
        return user

    async def log_in(self, username: str, password: str = PASSWORD) -> str:
        """A token of a new session."""
        params = {"username": username, "password": password}
        token: str = (await self.rpc("users.auth", params))["result"]["token"]
        return token

    async def user(self, username: str) -> str:
        """Sign up a user and return a token."""
        await self.sign_up(username)
        return await self.log_in(username)

    async def uuid_of(self, username: str) -> str:
        """The uuid of an account, as an admin finds it."""
        query = {"username": username, "status": "all"}
        users = (await self.rest("GET", "/users", self.admin_key, params=query)).json()
        (uuid,) = users
        return str(uuid)


@dataclass(frozen=True, slots=True)
class FastPathServer:
    """Serves an application as our server does: a request tries the fast path first."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages = deque[Message]()
        if isinstance(self.app, Application) and scope["path"] in _CACHED:
            while True:
                messages.append(await receive())
                if not messages[-1].get("more_body"):
                    break
            body = b"".join(message.get("body", b"") for message in messages)
            # Our server does so for every request.
            scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
            if (answer := self.app.try_fast_path(scope, body)) is not None:
                await _send_raw(send, *answer)
                return

        async def replay() -> Message:
            return messages.popleft() if messages else await receive()

        await self.app(scope, replay, send)


# Also below the base path of tests/rest/test_base_path.py.
_CACHED = {
    base + path
    for base in ("", "/id")
    for path in (
        "/rpc",
        *(
            prefix + path
            for path in ("/users", "/users/@self", "/users/@self/guilds", "/auth/verify")
            for prefix in ("", "/api")
        ),
    )
}


async def _send_raw(send: Send, status: int, raw: bytes) -> None:
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = [line.partition(b": ") for line in head.split(b"\r\n")]
    headers = [(name, value) for name, _, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def client_of(app: ASGIApp, address: str) -> httpx.AsyncClient:
    """A client at an address."""
    transport = httpx.ASGITransport(FastPathServer(app), client=(address, CLIENT[1]))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@asynccontextmanager
async def open_gateway(
    database: Path, settings: Settings | None = None, **overrides: Unpack[Overrides]
) -> AsyncIterator[Gateway]:
    """The application on a migrated `database`: real store, tokens, throttle; a clock to turn."""
    clock = FakeClock()
    store = SqliteStore(sqlite_engine(database), Supervisor())
    signing = SigningKeyFile(database.parent, clock)
    await signing.ensure(store)
    settings = settings or Settings()
    real: Overrides = {
        "store": store,
        "clock": clock,
        "tokens": JoseTokens(signing, store, clock),
        "rules": settings.rules,
        "rate_limiter": MemoryRateLimiter(clock),
    }
    real.update(overrides)
    services = make_services(**real)
    admin_key = services.randomness.new_access_key()
    assert await create_first_admin(services, admin_key)
    app = create_app(settings, services)
    async with client_of(app, CLIENT[0]) as client:
        yield Gateway(client, app, services, clock, admin_key, signing)
    await store.close()
