"""Clients that write at both APIs, each about accounts of its own, until the server is gone."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import UUID

import httpx

from tests.faults.book import Account, Book, Deed
from tests.gateway import Gate
from tests.model.directory import parts_of
from tests.parity.apis import Api, RestApi, RpcApi

ADMIN_KEY = "ROOTROOT-aaaa-bbbb-cccc-ddddeeee"
SETTINGS = {
    "GATEHOUSE_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY,
    "GATEHOUSE_RATE_LIMITS": "off",
    # So a write is found in the trail by the id that its client gave it.
    "GATEHOUSE_TRUSTED_PROXIES": "127.0.0.1",
}
# No two of these letters look alike, nor do two of them together look like a third.
_LETTERS = "abdeghkt"
# Every so many names are wanted by two writers at once.
_SHARED = 5
_TLS = ssl.create_default_context()
# What a writer has to do with at most, so that each is written again and again.
_OWN_MAX = 8


class Names:
    """Names that no user had before."""

    def __init__(self) -> None:
        self._given = 0
        self._shared: str | None = None

    def new(self) -> str:
        """Another one at each call."""
        self._given += 1
        return "".join(_LETTERS[self._given >> shift & 7] for shift in range(0, 24, 3))

    def wanted(self) -> str:
        """The same; some of them are given to the next who asks, too."""
        if self._shared is not None:
            name, self._shared = self._shared, None
            return name
        name = self.new()
        if self._given % _SHARED == 0:
            self._shared = name
        return name


class ServerGone(Exception):
    """There was no answer, or one that leaves open whether anything was done."""


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with one connection."""
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(
        base_url=url, limits=limits, timeout=30, trust_env=False, verify=_TLS
    ) as client:
        yield client


class Writer:
    """One client, which records its requests and responses in the book."""

    def __init__(
        self, client: httpx.AsyncClient, book: Book, names: Names, own: Sequence[Account], seed: int
    ) -> None:
        self._client = client
        gate = Gate(client)
        self.apis: tuple[Api, Api] = (RpcApi(gate), RestApi(gate))
        self._book = book
        self._names = names
        self._own = list(own)
        self._random = Random(seed)

    async def go(self, is_over: asyncio.Event) -> None:
        """Write until it is over, or the server is gone."""
        steps, weights = zip(*_STEPS, strict=True)
        try:
            while not is_over.is_set():
                (step,) = self._random.choices(steps, weights)
                await step(self)
        except ServerGone:
            pass

    async def welcome(self) -> None:
        """A new user with an access key."""
        await self._sign_up()
        await self.log_in(self._own[-1])
        await self._make_key_of(self._own[-1])

    async def write(
        self,
        operation: str,
        credential: str | None,
        effect: Callable[[str, str | None], Account],
        **members: Any,
    ) -> None:
        """One write. Raises ServerGone, AssertionError where it is refused."""
        deed = Deed(f"fault-{UUID(int=self._random.getrandbits(128))}", operation, effect)
        self._client.headers["X-Request-ID"] = deed.request_id
        api = self._random.choice(self.apis)
        self._book.send(deed)
        try:
            outcome = await api(operation, credential, **members)
        except httpx.TransportError as error:
            raise ServerGone from error
        if outcome.slug == "overloaded":
            raise ServerGone
        if outcome.slug is None:
            self._book.acknowledge(deed, *_shown(operation, outcome.value))
        else:
            # Another client wanted that name, too.
            assert outcome.slug == "username-taken", f"{operation} {members}: {outcome}"
            self._book.refuse(deed)

    # ------------------------------------------------------------------------- the steps

    def _one(self, fits: Callable[[Account], object]) -> Account | None:
        fitting = [account for account in self._own if fits(account)]
        return self._random.choice(fitting) if fitting else None

    def _keep(self, account: Account) -> Account:
        self._book.accounts[account.id] = account
        self._own = [*self._own[-_OWN_MAX:], account]
        return account

    def _password(self) -> str:
        return f"correct horse {self._random.getrandbits(48):012x}"

    async def _sign_up(self) -> None:
        name, password = self._names.wanted(), self._password()
        await self.write(
            "users.create",
            None,
            lambda id, _: self._keep(Account(id, name, name, password)),
            username=name,
            password=password,
        )

    async def _create(self) -> None:
        name, password = self._names.wanted(), self._password()
        email = f"{self._names.new()}@example.com"
        await self.write(
            "admin.users.create",
            ADMIN_KEY,
            lambda id, _: self._keep(Account(id, name, name, password, email)),
            username=name,
            email=email,
            password=password,
        )

    async def _log_in(self) -> None:
        account = self._one(lambda a: not a.disabled)
        if account is not None:
            await self.log_in(account)

    async def log_in(self, account: Account) -> None:
        """A session more."""

        def effect(id: str, token: str | None) -> Account:
            account.sessions[id] = token
            return account

        members = {"username": account.username, "password": account.password}
        await self.write("users.auth", None, effect, **members)

    async def _rename(self) -> None:
        account = self._one(lambda a: a.credentials)
        if account is None:
            return
        name = self._names.new()

        def effect(*_: object) -> Account:
            account.rename(name)
            return account

        credential = self._random.choice(account.credentials)
        await self.write("users.update", credential, effect, username=name)

    async def _display(self) -> None:
        account = self._one(lambda a: a.credentials)
        if account is not None:
            credential = self._random.choice(account.credentials)
            await self._set(account, "users.update", credential, display_name=self._names.new())

    async def _admin_change(self) -> None:
        account = self._one(lambda a: a.uuid)
        if account is None:
            return
        changes: dict[str, Any] = {"email": f"{self._names.new()}@example.com"}
        if self._random.random() < 0.5:
            changes["admin"] = not account.admin
        if self._random.random() < 0.5:
            changes["display_name"] = self._names.new()
        await self._set(account, "admin.users.update", ADMIN_KEY, uuid=account.uuid, **changes)

    async def _set(self, account: Account, operation: str, credential: str, **members: Any) -> None:
        def effect(*_: object) -> Account:
            for name, value in members.items():
                setattr(account, name, value)
            return account

        await self.write(operation, credential, effect, **members)

    async def _change_password(self) -> None:
        account = self._one(lambda a: a.credentials)
        if account is None:
            return
        new, ends_keys = self._password(), self._random.random() < 0.5
        credential = self._random.choice(account.credentials)
        session = next((id for id, token in account.sessions.items() if token == credential), None)

        def effect(*_: object) -> Account:
            account.set_password(new, keep=session)
            if ends_keys:
                account.end_keys(*account.keys)
            return account

        members = {"current": account.password, "password": new, "revoke_keys": ends_keys}
        await self.write("users.password", credential, effect, **members)

    async def _set_password(self) -> None:
        account = self._one(lambda a: a.uuid)
        if account is None:
            return
        new = self._password()

        def effect(*_: object) -> Account:
            account.set_password(new)
            return account

        await self.write("admin.users.update", ADMIN_KEY, effect, uuid=account.uuid, password=new)

    async def _disable(self) -> None:
        account = self._one(lambda a: a.uuid and not a.disabled)
        if account is None:
            return

        def effect(*_: object) -> Account:
            account.disable()
            return account

        if self._random.random() < 0.5:
            await self.write("admin.users.disable", ADMIN_KEY, effect, uuid=account.uuid)
        else:
            members = {"uuid": account.uuid, "disabled": True}
            await self.write("admin.users.update", ADMIN_KEY, effect, **members)

    async def _enable(self) -> None:
        account = self._one(lambda a: a.disabled)
        if account is not None:
            members = {"uuid": account.uuid, "disabled": False}
            await self._set(account, "admin.users.update", ADMIN_KEY, **members)

    async def _log_out(self) -> None:
        account = self._one(lambda a: any(a.sessions.values()))
        if account is None:
            return
        id, token = self._random.choice([known for known in account.sessions.items() if known[1]])
        await self._end(account, "users.logout", token, sessions=[id])

    async def _end_sessions(self) -> None:
        account = self._one(lambda a: a.sessions and a.uuid)
        if account is None:
            return
        some = self._random.choice([list(account.sessions), [next(iter(account.sessions))]])
        only = {} if len(some) == len(account.sessions) else {"id": some[0]}
        await self._end(
            account, "admin.sessions.revoke", ADMIN_KEY, sessions=some, uuid=account.uuid, **only
        )

    async def _end_own_session(self) -> None:
        account = self._one(lambda a: a.keys and a.sessions and any(a.keys.values()))
        if account is None:
            return
        key = self._random.choice([text for text in account.keys.values() if text])
        id = self._random.choice(list(account.sessions))
        await self._end(account, "sessions.revoke", key, sessions=[id], id=id)

    async def _make_key(self) -> None:
        account = self._one(lambda a: a.credentials)
        if account is not None:
            await self._make_key_of(account)

    async def _make_key_of(self, account: Account) -> None:
        def effect(id: str, key: str | None) -> Account:
            account.keys[id] = key
            return account

        credential = self._random.choice(account.credentials)
        await self.write("keys.create", credential, effect, name="a key")

    async def _revoke_key(self) -> None:
        account = self._one(lambda a: a.keys and a.credentials)
        if account is None:
            return
        id = self._random.choice(list(account.keys))
        credential = self._random.choice(account.credentials)
        await self._end(account, "keys.revoke", credential, keys=[id], id=id)

    async def _revoke_keys_of(self) -> None:
        account = self._one(lambda a: a.keys and a.uuid)
        if account is None:
            return
        some = self._random.choice([list(account.keys), [next(iter(account.keys))]])
        only = {} if len(some) == len(account.keys) else {"id": some[0]}
        await self._end(
            account, "admin.keys.revoke", ADMIN_KEY, keys=some, uuid=account.uuid, **only
        )

    async def _end(
        self,
        account: Account,
        operation: str,
        credential: str | None,
        sessions: Sequence[str] = (),
        keys: Sequence[str] = (),
        **members: Any,
    ) -> None:
        def effect(*_: object) -> Account:
            account.end_sessions(*sessions)
            account.end_keys(*keys)
            return account

        await self.write(operation, credential, effect, **members)

    async def _put_server(self) -> None:
        account = self._one(lambda a: True)
        if account is None:
            return
        server = str(UUID(int=self._random.getrandbits(128), version=4))
        if account.servers and self._random.random() < 0.5:
            server = self._random.choice(list(account.servers))
        name, runs = self._names.new(), self._random.random() < 0.7

        def effect(*_: object) -> Account:
            account.servers[server] = (name, runs)
            return account

        members = {"uuid": server, "owner": account.id, "name": name, "active": runs}
        await self.write("admin.servers.put", ADMIN_KEY, effect, **members)

    async def _delete_server(self) -> None:
        account = self._one(lambda a: a.servers)
        if account is None:
            return
        server = self._random.choice(list(account.servers))

        def effect(*_: object) -> Account:
            del account.servers[server]
            return account

        await self.write("admin.servers.delete", ADMIN_KEY, effect, uuid=server)


def _shown(operation: str, value: Any) -> tuple[str, str | None]:
    """The id and the secret that an answer tells."""
    match operation:
        case "users.create":
            return value["id"], None
        case "admin.users.create":
            return value["user_id"], None
        case "users.auth":
            return str(parts_of(value["token"])[1]["sid"]), value["token"]
        case "keys.create":
            return value["id"], value["key"]
    return "", None


Step = Callable[[Writer], Awaitable[None]]
# A password's hash takes as long as twenty other writes.
_STEPS: list[tuple[Step, float]] = [
    (Writer._sign_up, 0.5),
    (Writer._create, 0.5),
    (Writer._log_in, 1.5),
    (Writer._change_password, 1),
    (Writer._set_password, 1),
    (Writer._rename, 8),
    (Writer._display, 8),
    (Writer._admin_change, 8),
    (Writer._disable, 2),
    (Writer._enable, 6),
    (Writer._log_out, 2),
    (Writer._end_sessions, 1),
    (Writer._end_own_session, 2),
    (Writer._make_key, 16),
    (Writer._revoke_key, 5),
    (Writer._revoke_keys_of, 1),
    (Writer._put_server, 8),
    (Writer._delete_server, 4),
]
