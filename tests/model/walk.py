"""A random walk through a server, whose responses are compared with the model's."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

from app.domain.signing_keys import PUBLISHED_AHEAD
from app.rest.router import ROUTES
from tests.model.deployments import ADMIN_KEY, CommandLine, Deployment, Place
from tests.model.directory import Account, Credential, Directory, parts_of
from tests.parity.apis import Outcome

T = TypeVar("T")

ACCOUNTS_MAX = 16
PRESENCES = ("ONLINE", "IDLE", "DND", "INVISIBLE", "OFFLINE")
# No two of these letters look alike, nor do two of them together look like a third.
LETTERS = "abdeghkt"
_READS = {
    *("users.self", "users.guilds", "users.check", "sessions.list", "keys.list"),
    *("admin.users.list", "admin.users.get", "admin.sessions.list", "admin.keys.list"),
    "admin.servers.list",
}
# REST says of these that they were done, and shows no more.
_SHOW_NOTHING = {
    route.operation.name
    for route in ROUTES
    if {204} <= {route.built.status_code, *route.built.responses} <= {201, 204}
}
# One step of so many is a command of the operator's, which takes a second.
COMMAND_EVERY = 25
# One of so many waits until a key has expired.
EXPIRY_EVERY = 40
KEY_LIFE = timedelta(seconds=0.8)
# How exactly a server that goes by the database's clock knows that, when the machine is busy.
CLOCKS_APART = timedelta(seconds=0.2)


class Walk:
    """Steps through a server and the model, chosen by a seed."""

    def __init__(self, seed: int, deployment: Deployment, places: list[Place]) -> None:
        self.directory = Directory()
        self.counts: Counter[str] = Counter()
        self._random = Random(seed)
        self._places = places
        self._lines = {
            folder: CommandLine(deployment, folder)
            for folder in (s.folder for s in deployment.served)
        }
        self._lately: deque[str] = deque(maxlen=12)
        self._kids: set[str] = set()
        self._signs_from: dict[str, float] = {}
        self._names = ["".join(self._random.choices(LETTERS, k=7)) for _ in range(3 * ACCOUNTS_MAX)]
        self._emails = [f"{name}@example.com" for name in self._names[:ACCOUNTS_MAX]]

    # ---------------------------------------------------------------------------- going

    async def go(self, steps: int) -> None:
        """Take `steps` steps. Raises AssertionError at the first answer that is not the model's."""
        await self._begin()
        choices, weights = zip(*_STEPS, strict=True)
        for number in range(1, steps + 1):
            if number % COMMAND_EVERY == 0:
                step = self._random.choice(_COMMANDS)
            elif number % EXPIRY_EVERY == 0:
                step = Walk._let_a_key_expire
            else:
                (step,) = self._random.choices(choices, weights)
            await step(self)
            self.counts["steps"] += 1

    async def _begin(self) -> None:
        """The first admin, whom no step changes, and a user to begin with."""
        found = await self._places[0].apis[0]("admin.users.list", ADMIN_KEY)
        ((uuid, view),) = found.value["users"].items()
        reply = await self._places[0].apis[0]("users.self", ADMIN_KEY)
        root = Account(reply.value["id"], view["username"], view["username"], None, admin=True)
        self.directory.names[root.username] = root
        self.directory.settle(root, uuid, view["id"])
        self.directory.keep_key(root, ADMIN_KEY, "bootstrap")
        self._root = root
        self._kids = await self._published(self._places[0])
        for _ in range(3):
            await self._sign_up()
        for _ in range(4):
            await self._log_in()

    async def _ask(
        self,
        operation: str,
        credential: str | None = None,
        place: Place | None = None,
        **members: Any,
    ) -> Outcome:
        """One call through either API of a process, and its answer held to the model's."""
        place = place or self._one_of(self._places)
        number = self._random.randrange(2)
        shown = await place.apis[number](operation, credential, **members)
        where = f"{self._places.index(place)}{'rpc' if number == 0 else 'rest'}"
        self._compare(where, operation, credential, members, shown)
        self.counts["reads" if operation in _READS else "changes"] += 1
        if shown.slug is None and operation in {"users.auth", "users.refresh"}:
            self._look_at_signature(place, shown.value["token"])
        return shown

    async def _command(self, operation: str, **members: Any) -> Outcome:
        shown = await self._one_of(list(self._lines.values()))(operation, **members)
        self._compare("line", operation, None, members, shown)
        self.counts["commands"] += 1
        return shown

    def _compare(
        self, where: str, operation: str, credential: str | None, members: Any, shown: Outcome
    ) -> None:
        known = self.directory.credentials.get(credential or "")
        who = "nobody" if known is None else f"{known.owner.username}'s {known.id}"
        expected = self.directory.perform(operation, credential, members, shown)
        seen = Outcome(shown.slug, _plain(operation, shown.value))
        self._lately.append(f"{where}: {operation} by {who} {members} -> {seen}")
        is_done = expected.slug is None and expected.value is not False
        if is_done and seen == Outcome(None) and operation in _SHOW_NOTHING:
            return
        lately = "\n  ".join(self._lately)
        assert seen == expected, f"expected {expected}; lately:\n  {lately}"

    async def _change(
        self, about: Account, operation: str, credential: str | None, **members: Any
    ) -> Outcome:
        """A change that everybody has to know of at once, after everybody has looked."""
        return await self._watched(about, lambda: self._ask(operation, credential, **members))

    async def _watched(self, about: Account, change: Callable[[], Awaitable[T]]) -> T:
        before = self._alive(about)
        hot = self._random.sample(before, min(2, len(before)))
        await self._look(hot)
        result = await change()
        ended = [credential for credential in before if not credential.is_alive]
        self.counts["ended credentials"] += len(ended)
        await self._look([*hot, *(c for c in ended if c not in hot)])
        return result

    async def _look(self, credentials: Sequence[Credential]) -> None:
        """Ask every process for a user's profile, with each of these."""
        for place in self._random.sample(self._places, len(self._places)):
            for credential in credentials:
                operation = self._random.choice(["users.self", "users.self", "users.guilds"])
                await self._ask(operation, credential.text, place)
                self.counts["asked with a dead credential"] += not credential.is_alive

    # ------------------------------------------------------------------------- choosing

    def _one_of(self, many: Sequence[T]) -> T:
        return self._random.choice(many)

    def _alive(self, account: Account) -> list[Credential]:
        mine = (c for c in self.directory.credentials.values() if c.owner is account)
        return [credential for credential in mine if credential.is_alive]

    def _sessions_of(self, account: Account) -> list[str]:
        """In the order in which they were opened, which a seed repeats; their ids it does not."""
        return [credential.id for credential in self._alive(account) if credential.is_token]

    def _account(self) -> Account:
        """Anybody but the first admin."""
        return self._one_of([a for a in self.directory.accounts.values() if a is not self._root])

    def _credential(self) -> Credential:
        """One that is known; more often one that lives, or ended lately."""
        known = [c for c in self.directory.credentials.values() if c.owner is not self._root]
        alive = [credential for credential in known if credential.is_alive]
        return self._one_of(self._one_of([alive or known, alive or known, known[-20:], known]))

    def _acting(self) -> Credential:
        """One to change something with, which therefore mostly lives."""
        known = [c for c in self.directory.credentials.values() if c.owner is not self._root]
        alive = [credential for credential in known if credential.is_alive]
        return self._one_of(alive if alive and self._random.random() < 0.9 else known)

    def _admin(self) -> str:
        """The first admin's key; now and then another credential, perhaps not of an admin."""
        return ADMIN_KEY if self._random.random() < 0.7 else self._credential().text

    def _uuid(self) -> str:
        return self._account().uuid

    def _maybe_id(self, ids: Sequence[str]) -> dict[str, str]:
        """An id of those, one that never was, or none."""
        fresh = str(UUID(int=self._random.getrandbits(128), version=4))[:36]
        chosen = self._one_of([*ids, fresh, None])
        return {} if chosen is None else {"id": chosen}

    def _password(self) -> str:
        return f"pass phrase {self._random.getrandbits(40)}"

    # ---------------------------------------------------------------------------- reads

    async def _who_am_i(self) -> None:
        await self._ask("users.self", self._credential().text)

    async def _ask_with_nothing(self) -> None:
        await self._ask("users.self")

    async def _guilds(self) -> None:
        await self._ask("users.guilds", self._credential().text)

    async def _presence(self) -> None:
        await self._ask("users.presence", self._credential().text)

    async def _check(self) -> None:
        await self._ask("users.check", username=self._one_of(self._names))

    async def _sessions(self) -> None:
        await self._ask("sessions.list", self._credential().text)

    async def _keys(self) -> None:
        await self._ask("keys.list", self._credential().text)

    async def _of_account(self) -> None:
        operation = self._one_of(
            ["admin.users.get", "admin.users.get", "admin.sessions.list", "admin.keys.list"]
        )
        await self._ask(operation, self._admin(), uuid=self._uuid())

    async def _servers(self) -> None:
        await self._ask("admin.servers.list", self._admin())

    async def _list(self) -> None:
        somebody = self._account()
        filters: dict[str, Any] = {
            "username": self._one_of(self._names),
            "email": self._one_of(self._emails),
            "user_id": somebody.user_id,
            "q": somebody.username[2:6],
            "admin": self._one_of([True, False]),
        }
        chosen = self._random.sample(list(filters), self._one_of([0, 1, 1, 2]))
        members = {name: filters[name] for name in chosen}
        members["status"] = self._one_of(["active", "disabled", "all"])
        members["sort"] = self._one_of(["id", "-id", "username", "-username"])
        if self._random.random() < 0.5:
            members["limit"] = 100
        await self._ask("admin.users.list", self._admin(), **members)

    async def _published(self, place: Place) -> set[str]:
        answer = await place.gate.client.get("/.well-known/jwks.json")
        return {key["kid"] for key in answer.json()["keys"]}

    # ------------------------------------------------------------------- people's changes

    async def _sign_up(self) -> None:
        if len(self.directory.accounts) > ACCOUNTS_MAX:
            return
        username, password = self._one_of(self._names), self._password()
        shown = await self._ask("users.create", username=username, password=password)
        await self._meet(username, shown)

    async def _meet(self, username: str, shown: Outcome) -> None:
        """Ask another process for the panel's identifiers of a new user."""
        if shown.slug is not None:
            return
        place, user_id = self._one_of(self._places), shown.value["id"]
        found = await place.apis[1]("admin.users.list", ADMIN_KEY, user_id=user_id)
        ((uuid, view),) = found.value.items()
        account = self.directory.names[username]
        self.directory.settle(account, uuid, view["id"])
        assert view == account.panel

    async def _log_in(self) -> None:
        account = self._account()
        right = self._random.random() < 0.9 and account.password
        password = right or "not the pass phrase"
        await self._ask("users.auth", username=account.username, password=password)

    async def _refresh(self) -> None:
        await self._ask("users.refresh", self._acting().text)

    async def _set_presence(self) -> None:
        credential = self._acting()
        presence = self._one_of(PRESENCES)
        await self._change(credential.owner, "users.presence", credential.text, presence=presence)

    async def _update(self) -> None:
        credential = self._acting()
        members = {"display_name": f"Person {self._random.randrange(1000)}"}
        if self._random.random() < 0.5:
            members["username"] = self._one_of(self._names)
        await self._change(credential.owner, "users.update", credential.text, **members)

    async def _change_password(self) -> None:
        credential = self._acting()
        members = {
            "current": credential.owner.password,
            "password": self._password(),
            "revoke_keys": self._one_of([True, False]),
        }
        if self._random.random() < 0.2:
            members["current"] = "not the pass phrase"
        await self._change(credential.owner, "users.password", credential.text, **members)

    async def _log_out(self) -> None:
        credential = self._acting()
        await self._change(credential.owner, "users.logout", credential.text)

    async def _end_sessions(self) -> None:
        credential = self._acting()
        chosen = self._maybe_id(self._sessions_of(credential.owner))
        await self._change(credential.owner, "sessions.revoke", credential.text, **chosen)

    async def _make_key(self) -> None:
        name = f"key {self._random.randrange(1000)}"
        await self._ask("keys.create", self._acting().text, name=name)

    async def _revoke_key(self) -> None:
        credential = self._acting()
        key_id = self._maybe_id(list(credential.owner.keys)).get("id", "ABCDEFGH")
        await self._change(credential.owner, "keys.revoke", credential.text, id=key_id)

    # ------------------------------------------------------------------- admins' changes

    async def _create(self) -> None:
        if len(self.directory.accounts) > ACCOUNTS_MAX:
            return
        await self._ask(
            "admin.users.create",
            self._admin(),
            username=self._one_of(self._names),
            email=self._one_of(self._emails),
            password=self._password(),
            admin=self._one_of([True, False]),
        )

    async def _admin_change(self) -> None:
        account = self._account()
        changes: dict[str, Any] = {
            "admin": not account.admin,
            "display_name": f"Somebody {self._random.randrange(1000)}",
            "email": self._one_of([None, *self._emails]),
            "username": self._one_of(self._names),
            "disabled": not account.disabled,
            "password": self._password(),
        }
        # If two may be taken, the server chooses which one the error names.
        changes.pop(self._one_of(["email", "username"]))
        chosen = self._random.sample(list(changes), self._one_of([1, 1, 2]))
        await self._change(
            account,
            "admin.users.update",
            self._admin(),
            uuid=account.uuid,
            **{name: changes[name] for name in chosen},
        )

    async def _disable(self) -> None:
        account = self._account()
        await self._change(account, "admin.users.disable", self._admin(), uuid=account.uuid)

    async def _enable(self) -> None:
        account = self._one_of(
            [a for a in self.directory.accounts.values() if a.disabled] or [self._account()]
        )
        await self._change(
            account, "admin.users.update", self._admin(), uuid=account.uuid, disabled=False
        )

    async def _end_sessions_of(self) -> None:
        account = self._account()
        chosen = self._maybe_id(self._sessions_of(account))
        await self._change(
            account, "admin.sessions.revoke", self._admin(), uuid=account.uuid, **chosen
        )

    async def _revoke_keys_of(self) -> None:
        account = self._account()
        chosen = self._maybe_id(list(account.keys))
        await self._change(account, "admin.keys.revoke", self._admin(), uuid=account.uuid, **chosen)

    async def _change_server(self) -> None:
        uuid = f"7c9e6679-7425-40de-944b-{self._random.randrange(4):012d}"
        if self._random.random() < 0.2:
            await self._ask("admin.servers.delete", self._admin(), uuid=uuid)
            return
        await self._ask(
            "admin.servers.put",
            self._admin(),
            uuid=uuid,
            owner=self._uuid(),
            name="A server",
            active=self._one_of([True, False]),
        )

    async def _change_guild(self) -> None:
        account, guild = self._account(), str(71395574100676610 + self._random.randrange(4))
        ways: list[tuple[str, dict[str, str]]] = [
            ("admin.guilds.put", {"name": "A guild", "owner_id": account.uuid}),
            ("admin.guilds.members.put", {"user": account.uuid}),
            ("admin.guilds.delete", {}),
        ]
        operation, members = self._one_of(ways)
        await self._change(account, operation, self._admin(), **members, id=guild)

    # ------------------------------------------------------------------ the operator's

    async def _create_at_line(self) -> None:
        username = self._one_of(self._names)
        shown = await self._command(
            "gatehouse users create", username=username, password=self._password()
        )
        await self._meet(username, shown)

    async def _disable_at_line(self) -> None:
        account = self._credential().owner
        await self._watched(
            account, lambda: self._command("gatehouse users disable", username=account.username)
        )

    async def _enable_at_line(self) -> None:
        account = self._account()
        await self._watched(
            account, lambda: self._command("gatehouse users enable", username=account.username)
        )

    async def _list_at_line(self) -> None:
        await self._command("gatehouse users list")

    async def _make_key_at_line(self) -> None:
        await self._command("gatehouse keys create", username=self._account().username)

    async def _revoke_key_at_line(self) -> None:
        keys = [c for c in self.directory.credentials.values() if not c.is_token and c.is_alive]
        key = self._one_of([c for c in keys if c.owner is not self._root] or [self._credential()])
        await self._watched(
            key.owner, lambda: self._command("gatehouse keys revoke", id=key.text[:8])
        )

    async def _rotate(self) -> None:
        folder, began = self._one_of(list(self._lines)), monotonic()
        shown = await self._lines[folder]("gatehouse signing-keys rotate")
        self.counts["commands"] += 1
        self._kids.add(shown.value)
        self._signs_from.setdefault(shown.value, began + PUBLISHED_AHEAD.total_seconds())
        for place in self._places:
            assert await self._published(place) == self._kids
        await self._log_in()

    def _look_at_signature(self, place: Place, token: str) -> None:
        kid = parts_of(token)[0]["kid"]
        assert kid in self._kids
        assert monotonic() >= self._signs_from.get(kid, 0.0)

    # ------------------------------------------------------------------------- time's

    async def _let_a_key_expire(self) -> None:
        """Nothing is written when a key's time is over, so nothing but the time tells of it."""
        alive = [c for c in self.directory.credentials.values() if c.is_alive]
        holder = self._one_of(alive)
        ends = datetime.now(UTC) + KEY_LIFE
        ends = ends.replace(microsecond=ends.microsecond // 1000 * 1000)
        shown = await self._ask(
            "keys.create", holder.text, name="soon over", expires_at=ends.isoformat()
        )
        key = self.directory.credentials[shown.value["key"]]
        # Its first use is written down now, so that no commit comes between it and its end.
        await self._places[0].apis[0]("users.update", key.text)
        late: set[int] = set()
        while len(late) < len(self._places):
            for number, place in enumerate(self._places):
                sent = datetime.now(UTC)
                seen = await place.apis[number % 2]("users.self", key.text)
                self.counts["reads"] += 1
                if sent >= ends + CLOCKS_APART:
                    assert seen == Outcome("unauthenticated"), f"an expired key at {number}"
                    late.add(number)
                elif datetime.now(UTC) < ends - CLOCKS_APART:
                    assert seen == Outcome(None, holder.owner.chat)
        self.counts["expired keys"] += 1
        await self._ask("admin.keys.revoke", ADMIN_KEY, uuid=holder.owner.uuid, id=key.id)


def _plain(operation: str, value: Any) -> Any:
    """The parts of a response that the model knows, too."""
    if value is None:
        return None
    match operation:
        case "admin.users.list":
            return list((value["users"] if "next" in value else value).items())
        case "admin.users.get":
            return {**value, "servers": sorted(value["servers"])}
        case "sessions.list" | "admin.sessions.list":
            return {session["id"]: session["current"] for session in value}
        case "keys.list" | "admin.keys.list":
            return {key["id"]: key["name"] for key in value}
        case "keys.create":
            return {"id": value["id"], "name": value["name"]}
        case "users.auth" | "users.refresh":
            return {"user_id": value["user_id"]}
        case "gatehouse users create" | "gatehouse keys create":
            return True
    return value


Step = Callable[[Walk], Awaitable[None]]
_STEPS: list[tuple[Step, float]] = [
    (Walk._who_am_i, 15),
    (Walk._ask_with_nothing, 1),
    (Walk._guilds, 3),
    (Walk._presence, 3),
    (Walk._check, 4),
    (Walk._sessions, 4),
    (Walk._keys, 3),
    (Walk._of_account, 8),
    (Walk._servers, 2),
    (Walk._list, 5),
    (Walk._sign_up, 3),
    (Walk._log_in, 10),
    (Walk._refresh, 3),
    (Walk._set_presence, 6),
    (Walk._update, 6),
    (Walk._change_password, 3),
    (Walk._log_out, 5),
    (Walk._end_sessions, 4),
    (Walk._make_key, 14),
    (Walk._revoke_key, 6),
    (Walk._create, 2),
    (Walk._admin_change, 8),
    (Walk._disable, 3),
    (Walk._enable, 4),
    (Walk._end_sessions_of, 2),
    (Walk._revoke_keys_of, 3),
    (Walk._change_server, 3),
    (Walk._change_guild, 5),
]
_COMMANDS: list[Step] = [
    Walk._create_at_line,
    Walk._disable_at_line,
    Walk._enable_at_line,
    Walk._list_at_line,
    Walk._make_key_at_line,
    Walk._revoke_key_at_line,
    Walk._rotate,
]
