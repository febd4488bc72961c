"""The whole application in process, on a real SQLite file: both doors for tests to knock at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import httpx
from starlette.types import ASGIApp

from app.config import Settings
from app.main import create_app
from app.security.signing import SigningKeyFile
from app.security.throttle import MemoryThrottle
from app.security.tokens import JoseTokens
from app.storage.engine import sqlite_engine
from app.storage.sqlite import SqliteStore
from app.usecases.operator import make_first_admin
from app.usecases.services import Services
from tests.fakes.ports import FakeClock
from tests.fakes.services import PASSWORD, Overrides, make_services

CLIENT = ("203.0.113.9", 4711)


@dataclass(frozen=True, slots=True)
class Gate:
    """Both doors of a gateway, wherever it runs."""

    client: httpx.AsyncClient

    async def rest(
        self, method: str, path: str, credential: str | None = None, **request: Any
    ) -> httpx.Response:
        """Ask the REST door; the credential goes into X-Access-Token."""
        headers = dict(request.pop("headers", {}))
        if credential is not None:
            headers["X-Access-Token"] = credential
        return await self.client.request(method, path, headers=headers, **request)

    async def rpc(
        self, method: str, params: Any = None, auth: str | None = None, *, query: str = ""
    ) -> dict[str, Any]:
        """Call one method at the chat door and give the whole reply."""
        call = {"jsonrpc": "2.0", "method": method, "auth": auth, "params": params, "id": 1}
        response = await self.client.post(f"/rpc{query}", json=call)
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply


@dataclass(frozen=True, slots=True)
class Gateway(Gate):
    """A running application, its first admin's key, and the clock it goes by."""

    app: ASGIApp
    services: Services
    clock: FakeClock
    admin_key: str

    @asynccontextmanager
    async def seen_at(self, address: str) -> AsyncIterator["Gateway"]:
        """The same gateway for a client at another address."""
        async with client_of(self.app, address) as client:
            yield replace(self, client=client)

    async def sign_up(self, username: str, password: str = PASSWORD) -> dict[str, Any]:
        """Register at the chat door; the chat User."""
        params = {"username": username, "password": password}
        user: dict[str, Any] = (await self.rpc("users.create", params))["result"]
        return user

    async def log_in(self, username: str, password: str = PASSWORD) -> str:
        """A token of a new session."""
        params = {"username": username, "password": password}
        token: str = (await self.rpc("users.auth", params))["result"]["token"]
        return token

    async def user(self, username: str) -> str:
        """Somebody who just signed up: his token."""
        await self.sign_up(username)
        return await self.log_in(username)

    async def uuid_of(self, username: str) -> str:
        """The uuid of an account, as an admin finds it."""
        query = {"username": username, "status": "all"}
        users = (await self.rest("GET", "/users", self.admin_key, params=query)).json()
        (uuid,) = users
        return str(uuid)


def client_of(app: ASGIApp, address: str) -> httpx.AsyncClient:
    """A client at an address."""
    transport = httpx.ASGITransport(app, client=(address, CLIENT[1]))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@asynccontextmanager
async def open_gateway(
    database: Path, settings: Settings | None = None, **overrides: Unpack[Overrides]
) -> AsyncIterator[Gateway]:
    """The application on a migrated `database`: real store, tokens, throttle; a clock to turn."""
    clock = FakeClock()
    store = SqliteStore(sqlite_engine(database))
    signing = SigningKeyFile(database.parent, clock)
    await signing.ensure(store)
    settings = settings or Settings()
    real: Overrides = {
        "store": store,
        "clock": clock,
        "tokens": JoseTokens(signing, store, clock),
        "rules": settings.rules,
        "throttle": MemoryThrottle(clock),
    }
    real.update(overrides)
    services = make_services(**real)
    admin_key = services.randomness.access_key()
    assert await make_first_admin(services, admin_key)
    app = create_app(settings, services)
    async with client_of(app, CLIENT[0]) as client:
        yield Gateway(client, app, services, clock, admin_key)
    await store.close()
