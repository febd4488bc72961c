"""What somebody who stands outside can know of a directory: each answer follows from those before.

There is no storage here, no time and no process. What only the house can choose (ids, tokens, keys)
is learned from the answer that shows it first.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.policy import Access
from app.usecases.registry import OPERATIONS
from tests.parity.doors import Outcome


@dataclass(eq=False)
class Account:
    """A person: what is shown of him, his password, and what lets him in."""

    user_id: str
    username: str
    display_name: str
    password: str | None
    # The panel's two names of him, which a sign-up does not show.
    uuid: str = ""
    number: int = 0
    email: str | None = None
    admin: bool = False
    disabled: bool = False
    presence: str | None = None
    sessions: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def chat(self) -> dict[str, Any]:
        """The chat's view."""
        return {
            "id": self.user_id,
            "username": self.username,
            "display_name": self.display_name,
            "presence": self.presence,
        }

    @property
    def panel(self) -> dict[str, Any]:
        """The panel's view."""
        view = {
            "id": self.number,
            "username": self.username,
            "email": self.email,
            "admin": int(self.admin),
        }
        return {**view, "disabled": 1} if self.disabled else view


@dataclass(eq=False)
class Credential:
    """A token or an access key that was shown once; `id` is its session's or its own."""

    text: str
    owner: Account
    id: str
    is_token: bool

    @property
    def is_alive(self) -> bool:
        """Whether it lets anybody in."""
        living = self.owner.sessions if self.is_token else self.owner.keys
        return self.id in living and not self.owner.disabled


@dataclass
class Guild:
    """A guild, and who was made a member of it."""

    id: str
    name: str
    owner: Account
    members: list[Account] = field(default_factory=list)

    @property
    def view(self) -> dict[str, Any]:
        """As it is shown."""
        return {"id": self.id, "name": self.name, "owner_id": self.owner.user_id, "icon": None}


@dataclass
class Server:
    """A server; it is active while its owner is, too."""

    number: int
    name: str
    owner: Account
    enabled: bool

    @property
    def view(self) -> dict[str, Any]:
        """As it is shown."""
        active = int(self.enabled and not self.owner.disabled)
        owner = self.owner.uuid
        return {"id": self.number, "owner": owner, "name": self.name, "active": active}


class Refused(Exception):
    """The house says no, with this slug."""


Shown = Mapping[str, Any]
Actor = Credential | None
Deed = Callable[..., Any]
_DEEDS: dict[str, Deed] = {}


def _deed(operation: str) -> Callable[[Deed], Deed]:
    def keep(deed: Deed) -> Deed:
        _DEEDS[operation] = deed
        return deed

    return keep


class Directory:
    """Performs the operations by the book."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.credentials: dict[str, Credential] = {}
        # Whose each name is; one that is not its account's username is held back.
        self.names: dict[str, Account] = {}
        self.guilds: dict[str, Guild] = {}
        self.servers: dict[str, Server] = {}

    def perform(
        self, operation: str, credential: str | None, members: dict[str, Any], shown: Outcome
    ) -> Outcome:
        """What is to come of it; `shown`, what came of it, tells what only the house can choose."""
        learned = shown.value if isinstance(shown.value, dict) else {}
        try:
            actor = self._admit(operation, credential)
            return Outcome(None, _DEEDS[operation](self, actor, learned, **members))
        except Refused as refusal:
            # A command says it in a sentence and with its status.
            return Outcome("status 1" if operation.startswith("gatehouse ") else str(refusal))

    def settle(self, account: Account, uuid: str, number: int) -> None:
        """Let the panel's names of somebody new be known."""
        account.uuid, account.number = uuid, number
        self.accounts[uuid] = account

    def keep_key(self, account: Account, text: str, name: str) -> Credential:
        """A new key of an account."""
        key = self.credentials[text] = Credential(text, account, text[:8], is_token=False)
        account.keys[key.id] = name
        return key

    def carrier(self, username: str) -> Account | None:
        """Who carries this name now."""
        found = self.names.get(username)
        return found if found is not None and found.username == username else None

    def _admit(self, operation: str, text: str | None) -> Actor:
        access = OPERATIONS[operation].access if operation in OPERATIONS else Access.ANYONE
        if access is Access.ANYONE:
            return None
        found = self.credentials.get(text or "")
        if found is None or not found.is_alive:
            raise Refused("unauthenticated")
        if access is Access.TOKEN and not found.is_token:
            raise Refused("forbidden")
        if access is Access.ADMIN and not found.owner.admin:
            raise Refused("forbidden")
        return found

    def _require_free(self, username: str, who: Account | None, *, held_too: bool) -> None:
        owner = self.names.get(username)
        is_carried = owner is not None and owner.username == username
        if owner not in {None, who} and (is_carried or not held_too):
            raise Refused("username-taken")

    def _require_unused(self, email: str | None, who: Account | None) -> None:
        if email and any(a.email == email and a is not who for a in self.accounts.values()):
            raise Refused("email-taken")

    def _rename(self, account: Account, username: str) -> None:
        account.username = username
        self.names[username] = account

    def _disable(self, account: Account) -> None:
        if not account.disabled:
            account.disabled, account.presence = True, None
            account.sessions.clear()
            account.keys.clear()

    def _learn_token(self, account: Account, shown: Shown) -> dict[str, Any]:
        text = str(shown.get("token", "..{}"))
        session = str(parts_of(text)[1].get("sid"))
        account.sessions.add(session)
        self.credentials[text] = Credential(text, account, session, is_token=True)
        return {"user_id": account.user_id}

    # ------------------------------------------------------------------------ one's own

    @_deed("users.create")
    def _sign_up(self, actor: Actor, shown: Shown, username: str, password: str) -> Any:
        self._require_free(username, None, held_too=False)
        account = Account(str(shown.get("id")), username, username, password)
        self.names[username] = account
        return account.chat

    @_deed("users.auth")
    def _log_in(self, actor: Actor, shown: Shown, username: str, password: str) -> Any:
        account = self.carrier(username)
        if account is None or account.password != password:
            raise Refused("invalid-credentials")
        if account.disabled:
            raise Refused("account-disabled")
        return self._learn_token(account, shown)

    @_deed("users.check")
    def _check(self, actor: Actor, shown: Shown, username: str) -> Any:
        return username in self.names

    @_deed("users.self")
    def _self(self, actor: Credential, shown: Shown) -> Any:
        return actor.owner.chat

    @_deed("users.guilds")
    def _guilds(self, actor: Credential, shown: Shown) -> Any:
        mine = actor.owner
        his = [g for g in self.guilds.values() if mine is g.owner or mine in g.members]
        return [guild.view for guild in sorted(his, key=lambda guild: int(guild.id))]

    @_deed("users.presence")
    def _presence(self, actor: Credential, shown: Shown, presence: str | None = None) -> Any:
        if presence is not None:
            actor.owner.presence = presence
        return actor.owner.presence

    @_deed("users.update")
    def _update(
        self,
        actor: Credential,
        shown: Shown,
        display_name: str | None = None,
        username: str | None = None,
    ) -> Any:
        account = actor.owner
        if username is not None:
            self._require_free(username, account, held_too=account.admin)
            self._rename(account, username)
        if display_name is not None:
            account.display_name = display_name
        return account.chat

    @_deed("users.password")
    def _password(
        self, actor: Credential, shown: Shown, current: str, new: str, revoke_keys: bool
    ) -> Any:
        account = actor.owner
        if current != account.password:
            raise Refused("invalid-credentials")
        account.password = new
        account.sessions &= {actor.id}
        if revoke_keys:
            account.keys.clear()
        return True

    @_deed("users.logout")
    def _log_out(self, actor: Credential, shown: Shown) -> Any:
        actor.owner.sessions.remove(actor.id)
        return True

    @_deed("users.refresh")
    def _refresh(self, actor: Credential, shown: Shown) -> Any:
        return self._learn_token(actor.owner, shown)

    @_deed("sessions.list")
    def _sessions(self, actor: Credential, shown: Shown) -> Any:
        return {session: session == actor.id for session in actor.owner.sessions}

    @_deed("sessions.revoke")
    def _end_sessions(self, actor: Credential, shown: Shown, id: str | None = None) -> Any:
        return _end(actor.owner, actor.owner.sessions - {actor.id} if id is None else {id})

    @_deed("keys.list")
    def _keys(self, actor: Credential, shown: Shown) -> Any:
        return dict(actor.owner.keys)

    @_deed("keys.create")
    def _make_key(
        self, actor: Credential, shown: Shown, name: str, expires_at: str | None = None
    ) -> Any:
        key = self.keep_key(actor.owner, str(shown.get("key")), name)
        return {"id": key.id, "name": name}

    @_deed("keys.revoke")
    def _revoke_key(self, actor: Credential, shown: Shown, id: str) -> Any:
        return _revoke(actor.owner, id)

    # -------------------------------------------------------------------------- admins'

    @_deed("admin.users.list")
    def _list(
        self,
        actor: Credential,
        shown: Shown,
        *,
        status: str = "active",
        sort: str = "id",
        limit: int | None = None,
        admin: bool | None = None,
        q: str | None = None,
        **exactly: str,
    ) -> Any:
        found = [
            account
            for account in self.accounts.values()
            if status == "all" or account.disabled is (status == "disabled")
            if admin is None or account.admin is admin
            if q is None or q in account.username or q in (account.email or "")
            if all(getattr(account, name) == value for name, value in exactly.items())
        ]
        key = "username" if sort.endswith("username") else "number"
        found.sort(key=lambda account: getattr(account, key), reverse=sort.startswith("-"))
        return [(account.uuid, account.panel) for account in found]

    @_deed("admin.users.get")
    def _get(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        account = self.accounts[uuid]
        servers = sorted(uuid for uuid, s in self.servers.items() if s.owner is account)
        return {**account.panel, "servers": servers}

    @_deed("admin.users.create")
    def _create(
        self,
        actor: Actor,
        shown: Shown,
        username: str,
        email: str | None,
        password: str,
        admin: bool = False,
    ) -> Any:
        self._require_free(username, None, held_too=True)
        self._require_unused(email, None)
        uuid, user_id, number = (shown.get(name) for name in ("uuid", "user_id", "id"))
        account = Account(str(user_id), username, username, password)
        account.email, account.admin = email, admin
        self.names[username] = account
        self.settle(account, str(uuid), number or 0)
        return {**account.panel, "uuid": uuid, "user_id": user_id}

    @_deed("admin.users.update")
    def _change(self, actor: Actor, shown: Shown, uuid: str, **changes: Any) -> Any:
        account = self.accounts[uuid]
        username = changes.pop("username", account.username)
        self._require_free(username, account, held_too=True)
        self._require_unused(changes.get("email"), account)
        self._rename(account, username)
        if changes.pop("disabled", account.disabled):
            self._disable(account)
        else:
            account.disabled = False
        if "password" in changes:
            account.sessions &= {actor.id} if actor else set()
        for name, value in changes.items():
            setattr(account, name, value)
        return True

    @_deed("admin.users.disable")
    def _disable_by_uuid(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        self._disable(self.accounts[uuid])
        return True

    @_deed("admin.sessions.list")
    def _sessions_of(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        return {session: session == actor.id for session in self.accounts[uuid].sessions}

    @_deed("admin.sessions.revoke")
    def _end_sessions_of(
        self, actor: Credential, shown: Shown, uuid: str, id: str | None = None
    ) -> Any:
        account = self.accounts[uuid]
        return _end(account, set(account.sessions) if id is None else {id})

    @_deed("admin.keys.list")
    def _keys_of(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        return dict(self.accounts[uuid].keys)

    @_deed("admin.keys.revoke")
    def _revoke_keys_of(
        self, actor: Credential, shown: Shown, uuid: str, id: str | None = None
    ) -> Any:
        account = self.accounts[uuid]
        if id is not None:
            return _revoke(account, id)
        account.keys.clear()
        return True

    @_deed("admin.servers.list")
    def _servers(self, actor: Credential, shown: Shown) -> Any:
        return {uuid: server.view for uuid, server in self.servers.items()}

    @_deed("admin.servers.put")
    def _put_server(
        self, actor: Credential, shown: Shown, uuid: str, owner: str, name: str, active: bool
    ) -> Any:
        before = self.servers.get(uuid)
        number = shown.get("id", 0) if before is None else before.number
        server = self.servers[uuid] = Server(number, name, self.accounts[owner], active)
        return server.view

    @_deed("admin.servers.delete")
    def _delete_server(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        if self.servers.pop(uuid, None) is None:
            raise Refused("not-found")
        return True

    @_deed("admin.guilds.put")
    def _put_guild(self, actor: Credential, shown: Shown, id: str, name: str, owner_id: str) -> Any:
        before = self.guilds.get(id)
        members = [] if before is None else before.members
        guild = self.guilds[id] = Guild(id, name, self.accounts[owner_id], members)
        return guild.view

    @_deed("admin.guilds.delete")
    def _delete_guild(self, actor: Credential, shown: Shown, id: str) -> Any:
        if self.guilds.pop(id, None) is None:
            raise Refused("not-found")
        return True

    @_deed("admin.guilds.members.put")
    def _join(self, actor: Credential, shown: Shown, id: str, user: str) -> Any:
        guild = self.guilds.get(id)
        if guild is None:
            raise Refused("not-found")
        guild.members.append(self.accounts[user])
        return True

    # ------------------------------------------------------------- at the command line

    @_deed("gatehouse users create")
    def _create_at_line(self, actor: Actor, shown: Shown, username: str, password: str) -> Any:
        self._require_free(username, None, held_too=True)
        self.names[username] = Account(str(shown.get("id")), username, username, password)
        return True

    @_deed("gatehouse users disable")
    def _disable_at_line(self, actor: Actor, shown: Shown, username: str) -> Any:
        self._disable(self._named(username))
        return True

    @_deed("gatehouse users enable")
    def _enable_at_line(self, actor: Actor, shown: Shown, username: str) -> Any:
        self._named(username).disabled = False
        return True

    @_deed("gatehouse users list")
    def _list_at_line(self, actor: Actor, shown: Shown) -> Any:
        return {account.username for account in self.accounts.values() if not account.disabled}

    @_deed("gatehouse keys create")
    def _make_key_at_line(self, actor: Actor, shown: Shown, username: str) -> Any:
        self.keep_key(self._named(username), str(shown.get("key")), "command line")
        return True

    @_deed("gatehouse keys revoke")
    def _revoke_key_at_line(self, actor: Actor, shown: Shown, id: str) -> Any:
        for account in self.accounts.values():
            if id in account.keys:
                return _revoke(account, id)
        raise Refused("not-found")

    def _named(self, username: str) -> Account:
        found = self.carrier(username)
        if found is None:
            raise Refused("user-not-found")
        return found


def _end(account: Account, sessions: set[str]) -> int:
    ended = account.sessions & sessions
    account.sessions -= ended
    return len(ended)


def _revoke(account: Account, key_id: str) -> bool:
    if account.keys.pop(key_id, None) is None:
        raise Refused("not-found")
    return True


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims, as anybody can read them."""
    header, claims, _ = token.split(".")
    return _decoded(header), _decoded(claims)


def _decoded(part: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)) or "{}")
    return decoded
