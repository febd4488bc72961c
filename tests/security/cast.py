"""Callers of every kind, and the objects that their calls need."""

import json
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode

from app.domain.credentials import AccessKey, RawAccessKey, Session, TokenClaims
from app.domain.guilds_and_servers import Guild
from app.domain.ports.store import Transaction
from app.domain.users import User
from app.rest.operation_route import OperationRoute
from tests.corpora.asking import ask
from tests.fakes.services import PASSWORD, account
from tests.gateway import CLIENT, Gateway
from tests.security.matrix import DONE, FORBIDDEN, NOTHING, UNKNOWN, members_of

SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
GUILD = 71395574100676610
DAY = timedelta(days=1)
_MARKS = {"unauthenticated": UNKNOWN, "forbidden": FORBIDDEN, "not-found": NOTHING}


@dataclass(frozen=True, slots=True)
class Part:
    """The account and credential of a role; `has_token`: a new token for each call."""

    username: str
    credential: str | None = None
    has_token: bool = False


class Cast:
    """A gateway, everybody who calls at it, and what they name."""

    def __init__(self, gateway: Gateway, parts: dict[str, Part], victim: User) -> None:
        self.gateway = gateway
        self.parts = parts
        self._victim = victim
        self._new = count()

    async def scene(self, role: str) -> "Scene":
        """Put everything that a call may name where it is to be."""
        part, services = self.parts[role], self.gateway.services
        own = await account(services, part.username)
        owner = self._victim if role == "another user" else own
        claims = self._claims(own)

        def write(tx: Transaction) -> None:
            tx.users.save(self._victim)
            for user in {self._victim.id: self._victim, own.id: own}.values():
                self._give_session_and_key(tx, user)
            if part.has_token:
                self._open(tx, own, claims.session_id)
            tx.servers.upsert(SERVER, owner_id=self._victim.id, name="Server", enabled=True)
            tx.guilds.upsert(Guild(GUILD, "Guild", own.id, None))
            tx.guilds.add_member(GUILD, self._victim.id)
            tx.guilds.upsert(Guild(GUILD + owner.number, "Guild", owner.id, None))

        await services.store.write(write)
        token = services.tokens.issue(claims) if part.has_token else part.credential
        values = {
            "new": f"new{next(self._new):05}",
            "password": PASSWORD,
            "session": _session_of(owner),
            "key": _key_of(owner),
            "uuid": self._victim.uuid,
            "victims_session": _session_of(self._victim),
            "victims_key": _key_of(self._victim),
            "server": SERVER,
            "guild": str(GUILD),
            "owners_guild": str(GUILD + owner.number),
        }
        return Scene(self.gateway, token, values)

    async def keeps(self) -> tuple[set[str], set[str]]:
        """The victim's credentials that others might end."""

        def read(tx: Transaction) -> tuple[set[str], set[str]]:
            keys = {key.id for key in tx.keys.list_for_user(self._victim.id)}
            return {session.id for session in tx.sessions.list_for_user(self._victim.id)}, keys

        return await self.gateway.services.store.read(read)

    def _give_session_and_key(self, tx: Transaction, user: User) -> None:
        now = self.gateway.clock.now()
        tx.sessions.end_for_user(user.id, only=_session_of(user))
        self._open(tx, user, _session_of(user))
        tx.keys.revoke_for_user(user.id, only=_key_of(user))
        tx.keys.add(AccessKey(_key_of(user), user.id, "key", b"", now, None, None))

    def _open(self, tx: Transaction, user: User, session_id: str) -> None:
        now = self.gateway.clock.now()
        tx.sessions.add(Session(session_id, user.id, now, now + DAY, now, None, None))

    def _claims(self, user: User) -> TokenClaims:
        now, services = self.gateway.clock.now(), self.gateway.services
        ids = services.ids.new_uuid(), services.ids.new_uuid()
        return TokenClaims(user.id, ids[0], now, now + DAY, ids[1])


@dataclass(frozen=True, slots=True)
class Scene:
    """One call, about to be made."""

    gateway: Gateway
    credential: str | None
    values: dict[str, str]

    def members(self, row: str) -> dict[str, Any]:
        """The input of the call."""
        return members_of(row, self.values)

    async def by_chat(self, row: str) -> str:
        """Call the row's method; what came of it."""
        name = row.split()[0]
        call = {
            "jsonrpc": "2.0",
            "method": name,
            "auth": self.credential,
            "params": self.members(row),
            "id": 1,
        }
        answer = await ask(
            self.gateway, "POST", b"/rpc", b"errors=problem", body=json.dumps(call).encode()
        )
        assert answer.status == 200, answer.body
        reply = json.loads(answer.body)
        if "result" in reply:
            return NOTHING if name == "sessions.revoke" and reply["result"] == 0 else DONE
        code: str = reply["error"]["data"]["code"]
        return _MARKS.get(code, code)

    async def by_panel(self, route: OperationRoute, row: str, prefix: str) -> str:
        """Ask at the row's route; what came of it."""
        members, path = self.members(row), route.path
        for name in route.left_out:
            members.pop(name, None)
        for name in route.path_names:
            value = members.pop(name) if name in members else members.pop("username")
            path = path.replace(f"{{{name}}}", value)
        if route.has_body:
            return await self.get(route.method, prefix + path, body=json.dumps(members).encode())
        query = {route.query_names.get(name, name): value for name, value in members.items()}
        return await self.get(route.method, prefix + path, urlencode(query, doseq=True).encode())

    async def get(self, method: str, path: str, query: bytes = b"", body: bytes = b"") -> str:
        """Send a request; what came of it."""
        sent = None if self.credential is None else self.credential.encode()
        headers = [] if sent is None else [(b"x-access-token", sent)]
        answer = await ask(self.gateway, method, path.encode(), query, headers, body)
        if answer.status < 300:
            return DONE
        code: str = json.loads(answer.body)["code"]
        return _MARKS.get(code, code)


def _session_of(user: User) -> str:
    return f"session-{user.number}"


def _key_of(user: User) -> str:
    return f"KEY{user.number:05}"


async def make_key(gateway: Gateway, auth: str, **bounds: Any) -> str:
    """A new key of the account of `auth`."""
    made = await gateway.rpc("keys.create", {"name": "test", **bounds}, auth)
    return str(made["result"]["key"])


async def change(gateway: Gateway, username: str, **members: Any) -> None:
    """Change an account as the first admin."""
    path = f"/users/{await gateway.uuid_of(username)}"
    answer = await gateway.rest("PUT", path, gateway.admin_key, json=members)
    assert answer.status_code == 204


async def make_admin(gateway: Gateway, username: str) -> str:
    """Sign up a user, make the user an admin, and return a token."""
    token = await gateway.user(username)
    await change(gateway, username, admin=1)
    return token


async def cast_of(gateway: Gateway) -> Cast:
    """Everybody there is a role for."""
    await gateway.sign_up("victim")
    user, boss = await gateway.user("alice"), await make_admin(gateway, "boss")
    risen, fallen = await gateway.user("risen"), await make_admin(gateway, "fallen")
    gone, gone_boss = await gateway.user("gone"), await make_admin(gateway, "goneboss")
    back = await gateway.user("back1")
    await gateway.sign_up("mallory")
    here, there = [f"{CLIENT[0]}/32"], ["198.51.100.0/24", "2001:db8::/32"]
    soon = (gateway.clock.now() + timedelta(seconds=1)).isoformat()
    boss_self = await make_key(gateway, boss, scope="self")
    users_key, bosss_key = await make_key(gateway, user), await make_key(gateway, boss)
    parts = {
        "nobody": Part("alice"),
        "an empty credential": Part("alice", ""),
        "nonsense": Part("alice", "nonsense"),
        "an expired token": Part("alice", await gateway.log_in("alice")),
        "a token of a session that ended": Part("boss", await gateway.log_in("boss")),
        "a disabled user": Part("gone", gone),
        "a disabled user's key": Part("gone", await make_key(gateway, gone)),
        "a disabled admin": Part("goneboss", gone_boss),
        "a disabled admin's key": Part("goneboss", await make_key(gateway, gone_boss)),
        "a token from before the user was disabled and enabled": Part("back1", back),
        "a key from before the user was disabled and enabled": Part(
            "back1", await make_key(gateway, back)
        ),
        "an expired key": Part("boss", await make_key(gateway, boss, expires_at=soon)),
        "a revoked key": Part("boss", await make_key(gateway, boss)),
        "a key with another secret": Part("boss", _other_secret(bosss_key)),
        "a user's key outside its networks": Part(
            "alice", await make_key(gateway, user, networks=there)
        ),
        "an admin's key outside its networks": Part(
            "boss", await make_key(gateway, boss, networks=there)
        ),
        "another user": Part("mallory", has_token=True),
        "a user": Part("alice", has_token=True),
        "a user's key": Part("alice", users_key),
        "a user's self key": Part("alice", await make_key(gateway, user, scope="self")),
        "a user's read key": Part("alice", await make_key(gateway, user, scope="read")),
        "a demoted admin": Part("fallen", has_token=True),
        "a demoted admin's key": Part("fallen", await make_key(gateway, fallen)),
        "a demoted admin's self key": Part("fallen", await make_key(gateway, fallen, scope="self")),
        "a demoted admin's read key": Part("fallen", await make_key(gateway, fallen, scope="read")),
        "an admin": Part("boss", has_token=True),
        "an admin's key": Part("boss", bosss_key),
        "an admin's self key": Part("boss", boss_self),
        "an admin's read key": Part("boss", await make_key(gateway, boss, scope="read")),
        "an admin's key inside its networks": Part(
            "boss", await make_key(gateway, boss, networks=here)
        ),
        "a key made with an admin's self key": Part("boss", await make_key(gateway, boss_self)),
        "a self key of a user who became an admin": Part(
            "risen", await make_key(gateway, risen, scope="self")
        ),
    }
    await gateway.rpc("users.logout", auth=parts["a token of a session that ended"].credential)
    await gateway.rpc("keys.revoke", [str(parts["a revoked key"].credential)[:8]], boss)
    await change(gateway, "risen", admin=1)
    await change(gateway, "fallen", admin=0)
    for username in ("gone", "goneboss", "back1"):
        await change(gateway, username, disabled=1)
    await change(gateway, "back1", disabled=0)
    gateway.clock.turn(timedelta(days=7))
    await _note_use(gateway, parts)
    return Cast(gateway, parts, await account(gateway.services, "victim"))


def _other_secret(key: str) -> str:
    return key[:-1] + ("0" if key[-1] != "0" else "1")


async def _note_use(gateway: Gateway, parts: dict[str, Part]) -> None:
    """With the use of every key on record, none is noted in the middle of a call."""
    texts = [RawAccessKey.parse(part.credential or "") for part in parts.values()]
    now = gateway.clock.now()

    def write(tx: Transaction) -> None:
        for key in filter(None, texts):
            tx.keys.set_last_used(key.id, now)

    await gateway.services.store.write(write)
