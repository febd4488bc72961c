"""A model of a directory as clients see it: each response follows from those before.

It has no storage, no time and no process. What only the server can choose (ids, tokens, keys) is
learned from the response that shows it first.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.names import FORMER_NAMES_MAX
from app.domain.policy import Access
from app.operations.catalog import OPERATIONS
from tests.parity.apis import Outcome


@dataclass(eq=False)
class Account:
    """A user: the public profile, the password and the credentials."""

    user_id: str
    username: str
    display_name: str
    password: str | None
    # The panel's two identifiers of the user, which a sign-up does not show.
    uuid: str = ""
    number: int = 0
    email: str | None = None
    admin: bool = False
    disabled: bool = False
    presence: str | None = None
    # Names that are held for the user, the oldest first.
    former: list[str] = field(default_factory=list)
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
        """Return true for a credential that is accepted."""
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
    """The operation fails with the error of this slug."""


Shown = Mapping[str, Any]
Actor = Credential | None
Effect = Callable[..., Any]
_EFFECTS: dict[str, Effect] = {}


def _effect(operation: str) -> Callable[[Effect], Effect]:
    def keep(effect: Effect) -> Effect:
        _EFFECTS[operation] = effect
        return effect

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
        """Return the expected outcome; `shown`, the actual one, has what the server chooses."""
        learned = shown.value if isinstance(shown.value, dict) else {}
        try:
            actor = self._admit(operation, credential)
            return Outcome(None, _EFFECTS[operation](self, actor, learned, **members))
        except Refused as refusal:
            # A command says it in a sentence and with its status.
            return Outcome("status 1" if operation.startswith("gatehouse ") else str(refusal))

    def settle(self, account: Account, uuid: str, number: int) -> None:
        """Record the panel's identifiers of a new user."""
        account.uuid, account.number = uuid, number
        self.accounts[uuid] = account

    def keep_key(self, account: Account, text: str, name: str) -> Credential:
        """A new key of an account."""
        key = self.credentials[text] = Credential(text, account, text[:8], is_token=False)
        account.keys[key.id] = name
        return key

    def carrier(self, username: str) -> Account | None:
        """Return the user who has this name now."""
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

    def _require_free(self, username: str, who: Account | None, *, include_held: bool) -> None:
        owner = self.names.get(username)
        is_carried = owner is not None and owner.username == username
        if owner not in {None, who} and (is_carried or not include_held):
            raise Refused("username-taken")

    def _require_unused(self, email: str | None, who: Account | None) -> None:
        if email and any(a.email == email and a is not who for a in self.accounts.values()):
            raise Refused("email-taken")

    def _rename(self, account: Account, username: str) -> None:
        if username != account.username:
            mine = [name for name in account.former if self.names.get(name) is account]
            former = [name for name in mine if name != username] + [account.username]
            for name in former[:-FORMER_NAMES_MAX]:
                del self.names[name]
            account.former = former[-FORMER_NAMES_MAX:]
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

    @_effect("users.create")
    def _sign_up(self, actor: Actor, shown: Shown, username: str, password: str) -> Any:
        self._require_free(username, None, include_held=False)
        account = Account(str(shown.get("id")), username, username, password)
        self.names[username] = account
        return account.chat

    @_effect("users.auth")
    def _log_in(self, actor: Actor, shown: Shown, username: str, password: str) -> Any:
        account = self.carrier(username)
        if account is None or account.password != password:
            raise Refused("invalid-credentials")
        if account.disabled:
            raise Refused("account-disabled")
        return self._learn_token(account, shown)

    @_effect("users.check")
    def _check(self, actor: Actor, shown: Shown, username: str) -> Any:
        return username in self.names

    @_effect("users.self")
    def _self(self, actor: Credential, shown: Shown) -> Any:
        return actor.owner.chat

    @_effect("users.guilds")
    def _guilds(self, actor: Credential, shown: Shown) -> Any:
        mine = actor.owner
        his = [g for g in self.guilds.values() if mine is g.owner or mine in g.members]
        return [guild.view for guild in sorted(his, key=lambda guild: int(guild.id))]

    @_effect("users.presence")
    def _presence(self, actor: Credential, shown: Shown, presence: str | None = None) -> Any:
        if presence is not None:
            actor.owner.presence = presence
        return actor.owner.presence

    @_effect("users.update")
    def _update(
        self,
        actor: Credential,
        shown: Shown,
        display_name: str | None = None,
        username: str | None = None,
    ) -> Any:
        account = actor.owner
        if username is not None:
            self._require_free(username, account, include_held=account.admin)
            self._rename(account, username)
        if display_name is not None:
            account.display_name = display_name
        return account.chat

    @_effect("users.password")
    def _password(
        self, actor: Credential, shown: Shown, current: str, password: str, revoke_keys: bool
    ) -> Any:
        account = actor.owner
        if current != account.password:
            raise Refused("wrong-password")
        account.password = password
        account.sessions &= {actor.id}
        if revoke_keys:
            account.keys.clear()
        return True

    @_effect("users.logout")
    def _log_out(self, actor: Credential, shown: Shown) -> Any:
        actor.owner.sessions.remove(actor.id)
        return True

    @_effect("users.refresh")
    def _refresh(self, actor: Credential, shown: Shown) -> Any:
        return self._learn_token(actor.owner, shown)

    @_effect("sessions.list")
    def _sessions(self, actor: Credential, shown: Shown) -> Any:
        return {session: session == actor.id for session in actor.owner.sessions}

    @_effect("sessions.revoke")
    def _end_sessions(self, actor: Credential, shown: Shown, id: str | None = None) -> Any:
        return _end(actor.owner, actor.owner.sessions - {actor.id} if id is None else {id})

    @_effect("keys.list")
    def _keys(self, actor: Credential, shown: Shown) -> Any:
        return dict(actor.owner.keys)

    @_effect("keys.create")
    def _make_key(
        self, actor: Credential, shown: Shown, name: str, expires_at: str | None = None
    ) -> Any:
        key = self.keep_key(actor.owner, str(shown.get("key")), name)
        return {"id": key.id, "name": name}

    @_effect("keys.revoke")
    def _revoke_key(self, actor: Credential, shown: Shown, id: str) -> Any:
        return _revoke(actor.owner, id)

    # -------------------------------------------------------------------------- admins'

    @_effect("admin.users.list")
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

    @_effect("admin.users.get")
    def _get(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        account = self.accounts[uuid]
        servers = sorted(uuid for uuid, s in self.servers.items() if s.owner is account)
        return {**account.panel, "servers": servers}

    @_effect("admin.users.create")
    def _create(
        self,
        actor: Actor,
        shown: Shown,
        username: str,
        email: str | None,
        password: str,
        admin: bool = False,
    ) -> Any:
        self._require_free(username, None, include_held=True)
        self._require_unused(email, None)
        uuid, user_id, number = (shown.get(name) for name in ("uuid", "user_id", "id"))
        account = Account(str(user_id), username, username, password)
        account.email, account.admin = email, admin
        self.names[username] = account
        self.settle(account, str(uuid), number or 0)
        return {**account.panel, "uuid": uuid, "user_id": user_id}

    @_effect("admin.users.update")
    def _change(self, actor: Actor, shown: Shown, uuid: str, **changes: Any) -> Any:
        account = self.accounts[uuid]
        username = changes.pop("username", account.username)
        self._require_free(username, account, include_held=True)
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

    @_effect("admin.users.disable")
    def _disable_by_uuid(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        self._disable(self.accounts[uuid])
        return True

    @_effect("admin.sessions.list")
    def _sessions_of(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        return {session: session == actor.id for session in self.accounts[uuid].sessions}

    @_effect("admin.sessions.revoke")
    def _end_sessions_of(
        self, actor: Credential, shown: Shown, uuid: str, id: str | None = None
    ) -> Any:
        account = self.accounts[uuid]
        return _end(account, set(account.sessions) if id is None else {id})

    @_effect("admin.keys.list")
    def _keys_of(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        return dict(self.accounts[uuid].keys)

    @_effect("admin.keys.revoke")
    def _revoke_keys_of(
        self, actor: Credential, shown: Shown, uuid: str, id: str | None = None
    ) -> Any:
        account = self.accounts[uuid]
        if id is not None:
            return _revoke(account, id)
        account.keys.clear()
        return True

    @_effect("admin.servers.list")
    def _servers(self, actor: Credential, shown: Shown) -> Any:
        return {uuid: server.view for uuid, server in self.servers.items()}

    @_effect("admin.servers.put")
    def _put_server(
        self, actor: Credential, shown: Shown, uuid: str, owner: str, name: str, active: bool
    ) -> Any:
        before = self.servers.get(uuid)
        number = shown.get("id", 0) if before is None else before.number
        server = self.servers[uuid] = Server(number, name, self.accounts[owner], active)
        return server.view

    @_effect("admin.servers.delete")
    def _delete_server(self, actor: Credential, shown: Shown, uuid: str) -> Any:
        if self.servers.pop(uuid, None) is None:
            raise Refused("not-found")
        return True

    @_effect("admin.guilds.put")
    def _put_guild(self, actor: Credential, shown: Shown, id: str, name: str, owner_id: str) -> Any:
        before = self.guilds.get(id)
        members = [] if before is None else before.members
        guild = self.guilds[id] = Guild(id, name, self.accounts[owner_id], members)
        return guild.view

    @_effect("admin.guilds.delete")
    def _delete_guild(self, actor: Credential, shown: Shown, id: str) -> Any:
        if self.guilds.pop(id, None) is None:
            raise Refused("not-found")
        return True

    @_effect("admin.guilds.members.put")
    def _join(self, actor: Credential, shown: Shown, id: str, user: str) -> Any:
        guild = self.guilds.get(id)
        if guild is None:
            raise Refused("not-found")
        guild.members.append(self.accounts[user])
        return True

    # ------------------------------------------------------------- at the command line

    @_effect("gatehouse users create")
    def _create_at_line(self, actor: Actor, shown: Shown, username: str, password: str) -> Any:
        self._require_free(username, None, include_held=True)
        self.names[username] = Account(str(shown.get("id")), username, username, password)
        return True

    @_effect("gatehouse users disable")
    def _disable_at_line(self, actor: Actor, shown: Shown, username: str) -> Any:
        self._disable(self._named(username))
        return True

    @_effect("gatehouse users enable")
    def _enable_at_line(self, actor: Actor, shown: Shown, username: str) -> Any:
        self._named(username).disabled = False
        return True

    @_effect("gatehouse users list")
    def _list_at_line(self, actor: Actor, shown: Shown) -> Any:
        return {account.username for account in self.accounts.values() if not account.disabled}

    @_effect("gatehouse keys create")
    def _make_key_at_line(self, actor: Actor, shown: Shown, username: str) -> Any:
        self.keep_key(self._named(username), str(shown.get("key")), "command line")
        return True

    @_effect("gatehouse keys revoke")
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
