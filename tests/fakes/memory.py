"""A store in memory: every port of a transaction, and a write that is all or nothing.

All that is stored is frozen, so a copy of the collections is a snapshot: a write works on a copy,
which takes the place of what was there when the work is done. The lock makes each transaction
the only one; what is done in it cannot wait.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import groupby
from threading import Lock
from time import monotonic
from typing import TypeVar

from pydantic_core import to_json

from app.domain.audit import Entry, EntryFilter
from app.domain.credentials import AccessKey, Session
from app.domain.errors import EmailTaken, Overloaded, UsernameTaken
from app.domain.guilds_and_servers import Guild, Server
from app.domain.idempotency import IdempotencyRecord
from app.domain.json_rows import RowShape
from app.domain.names import email_key
from app.domain.outbox import LEASE, RETRY_DELAY_MAX, Delivery, Depth, OutboxFilter
from app.domain.outbox import State as Fate
from app.domain.ports.repositories import AccountTotals, LiveCredentials
from app.domain.ports.store import Transaction
from app.domain.presence import Presence
from app.domain.rate_limits import FAILURES_BEFORE_LOCK, LoginAttempts, last_lock_end
from app.domain.signing_keys import PublicKey
from app.domain.timestamps import EPOCH
from app.domain.users import (
    AccountRef,
    Position,
    Sort,
    SortKey,
    Status,
    User,
    UserFilter,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Claim:
    """The owner of a name; `held_until` is None for the current name of an account."""

    user_id: int
    held_until: datetime | None = None

    def is_held(self, now: datetime) -> bool:
        return self.held_until is None or now < self.held_until


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server without what follows from its owner."""

    number: int
    owner_id: int
    name: str
    enabled: bool


@dataclass
class State:
    """All that is stored."""

    numbers: int = 0
    server_numbers: int = 0
    audit_numbers: int = 0
    users: dict[int, User] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    renames: dict[int, Sequence[datetime]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    keys: dict[str, AccessKey] = field(default_factory=dict)
    attempts: dict[tuple[int, str], LoginAttempts] = field(default_factory=dict)
    idempotency: dict[tuple[str, bytes], IdempotencyRecord] = field(default_factory=dict)
    signing_keys: dict[str, PublicKey] = field(default_factory=dict)
    guilds: dict[int, Guild] = field(default_factory=dict)
    members: set[tuple[int, int]] = field(default_factory=set)
    servers: dict[str, ServerRow] = field(default_factory=dict)
    audit: list[Entry] = field(default_factory=list)
    messages: int = 0
    outbox: dict[int, Delivery] = field(default_factory=dict)
    held: dict[int, tuple[str, float]] = field(default_factory=dict)
    stopped: set[tuple[int, str]] = field(default_factory=set)

    def snapshot(self) -> "State":
        return State(**{f.name: copy(getattr(self, f.name)) for f in fields(self)})


class MemoryStore:
    """The `Store` of tests that do not care which."""

    def __init__(self) -> None:
        self._state = State()
        self._commits = 0
        self._lock = Lock()

    @property
    def lookups(self) -> "MemoryLookups":
        return MemoryLookups(self)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        with self._lock:
            return work(MemoryTransaction(self._state.snapshot()))

    async def write(self, work: Callable[[Transaction], T], *, is_durable: bool = True) -> T:
        with self._lock:
            state = self._state.snapshot()
            result = work(MemoryTransaction(state))
            self._state = state
            self._commits += 1
            return result

    async def scan(self, work: Callable[[Transaction], T]) -> T:
        return await self.read(work)

    async def accepts_writes(self) -> bool:
        return True

    def version(self) -> object | None:
        return self._commits

    def defer(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Return at once: this store never waits."""
        with self._lock, suppress(Overloaded):
            work(MemoryTransaction(self._state))
            self._commits += 1


class MemoryLookups:
    """Each is a read of its own."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def get_session_with_owner(self, session_id: str) -> tuple[Session, User] | None:
        return await self._store.read(lambda tx: tx.sessions.get_with_owner(session_id))

    async def get_key_with_owner(self, key_id: str) -> tuple[AccessKey, User] | None:
        return await self._store.read(lambda tx: tx.keys.get_with_owner(key_id))

    async def find_taken_names(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        return await self._store.read(lambda tx: tx.name_claims.find_taken(skeletons, now))


class MemoryTransaction:
    """The ports on one snapshot."""

    def __init__(self, state: State) -> None:
        self.users = MemoryUsers(state)
        self.name_claims = MemoryNames(state)
        self.sessions = MemorySessions(state)
        self.keys = MemoryKeys(state)
        self.login_attempts = MemoryAttempts(state)
        self.idempotency = MemoryIdempotency(state)
        self.signing_keys = MemorySigningKeys(state)
        self.guilds = MemoryGuilds(state)
        self.servers = MemoryServers(state)
        self.audit = MemoryAudit(state)
        self.totals = MemoryTotals(state)
        self.restored_database = MemoryRestoredDatabase(state)
        self.outbox = MemoryOutbox(state)
        self.stopped_servers = MemoryStoppedServers(state)


class MemoryUsers:
    """Accounts by snowflake."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._users = state.users

    def find(self, ref: AccountRef) -> User | None:
        name, key = ref.key
        if name == "id":
            return None if ref.id is None else self._users.get(ref.id)
        return next((user for user in self._users.values() if getattr(user, name) == key), None)

    def find_many(self, refs: Collection[AccountRef]) -> Mapping[AccountRef, User]:
        found = {ref: self.find(ref) for ref in refs}
        return {ref: user for ref, user in found.items() if user is not None}

    def get_by_username(self, username: str) -> User | None:
        return next((user for user in self._users.values() if user.username == username), None)

    def get_by_email_key(self, email_key: str) -> User | None:
        return next((u for u in self._users.values() if _email_key(u) == email_key), None)

    def add(self, user: User) -> User:
        added = replace(user, number=self._state.numbers + 1)
        self.save(added)
        self._state.numbers += 1
        return added

    def save(self, user: User) -> None:
        for other in self._users.values():
            if other.id == user.id:
                continue
            if other.username == user.username:
                raise UsernameTaken(user.username)
            if user.email and _email_key(other) == _email_key(user):
                raise EmailTaken(user.email)
        self._users[user.id] = user

    def set_presence(self, user_id: int, presence: Presence) -> None:
        self._users[user_id] = replace(self._users[user_id], presence=presence)

    def newest_id(self) -> int:
        return max(self._users, default=0)

    def has_other_active_admin(self, user_id: int) -> bool:
        return any(u.is_active_admin and u.id != user_id for u in self._users.values())

    def list_page(
        self, wanted: UserFilter, sort: Sort, after: Position | None, limit: int, shape: RowShape
    ) -> Sequence[str]:
        def place(user: User) -> tuple[str, int]:
            return _sort_value(user, sort.key), user.number

        users = [user for user in self._users.values() if _matches(user, wanted)]
        if after is not None:
            start = ("" if sort.key is SortKey.ID else str(after.value), after.number)
            users = [
                u for u in users if (place(u) < start if sort.descending else place(u) > start)
            ]
        page = sorted(users, key=place, reverse=sort.descending)[:limit]
        return [to_json({user.uuid: shape.render(user)}).decode()[1:-1] for user in page]

    def count(self, wanted: UserFilter) -> int:
        return sum(_matches(user, wanted) for user in self._users.values())


def _email_key(user: User) -> str:
    return email_key(user.email or "")


def _sort_value(user: User, key: SortKey) -> str:
    match key:
        case SortKey.ID:
            return ""
        case SortKey.USERNAME:
            return user.username
        case SortKey.EMAIL:
            return _email_key(user)


def _matches(user: User, wanted: UserFilter) -> bool:
    return (
        (wanted.status is Status.ALL or user.disabled is (wanted.status is Status.DISABLED))
        and wanted.username in {None, user.username}
        and wanted.email_key in {None, _email_key(user)}
        and wanted.id in {None, user.id}
        and wanted.admin in {None, user.admin}
        and (
            wanted.username_part in user.username
            or any(part in _email_key(user) for part in wanted.email_parts)
        )
    )


class MemoryNames:
    """Claims by skeleton."""

    def __init__(self, state: State) -> None:
        self._claims = state.claims
        self._renames = state.renames

    def claim(self, skeleton: str, user_id: int, *, now: datetime, include_held: bool) -> bool:
        found = self._claims.get(skeleton)
        if found is not None and found.user_id != user_id and found.is_held(now):
            may_override = include_held and found.held_until is not None
            if not may_override:
                return False
        self._claims[skeleton] = Claim(user_id)
        return True

    def find_current_owner(self, skeleton: str) -> int | None:
        claim = self._claims.get(skeleton)
        return None if claim is None or claim.held_until is not None else claim.user_id

    def hold_current(self, user_id: int, held_until: datetime) -> None:
        for skeleton, claim in list(self._claims.items()):
            if claim == Claim(user_id):
                self._claims[skeleton] = Claim(user_id, held_until)

    def release_oldest_held(self, user_id: int, max_count: int) -> None:
        held = [
            (-claim.held_until.timestamp(), skeleton)
            for skeleton, claim in self._claims.items()
            if claim.user_id == user_id and claim.held_until is not None
        ]
        for _, skeleton in sorted(held)[max_count:]:
            del self._claims[skeleton]

    def list_renames(self, user_id: int) -> Sequence[datetime]:
        return self._renames.get(user_id, ())

    def save_renames(self, user_id: int, times: Sequence[datetime]) -> None:
        self._renames[user_id] = times

    def find_taken(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        claimed = self._claims.keys() & skeletons
        return {skeleton for skeleton in claimed if self._claims[skeleton].is_held(now)}


class MemorySessions:
    """Sessions by id."""

    def __init__(self, state: State) -> None:
        self._sessions = state.sessions
        self._users = state.users

    def add(self, session: Session) -> None:
        self._sessions[session.id] = session

    def get_with_owner(self, session_id: str) -> tuple[Session, User] | None:
        session = self._sessions.get(session_id)
        return None if session is None else (session, self._users[session.user_id])

    def list_for_user(self, user_id: int) -> Sequence[Session]:
        own = [session for session in self._sessions.values() if session.user_id == user_id]
        return sorted(own, key=lambda session: (session.created_at, session.id))

    def save_expiry(self, session: Session) -> None:
        if (stored := self._sessions.get(session.id)) is not None:
            self._sessions[session.id] = replace(stored, expires_at=session.expires_at)

    def set_last_seen(self, session_id: str, at: datetime) -> None:
        if (stored := self._sessions.get(session_id)) is not None:
            self._sessions[session_id] = replace(stored, last_seen_at=at)

    def end_for_user(
        self, user_id: int, *, only: str | None = None, keep: str | None = None
    ) -> int:
        ended = [s.id for s in self.list_for_user(user_id) if only in {None, s.id} and s.id != keep]
        for session_id in ended:
            del self._sessions[session_id]
        return len(ended)

    def end_expired(self, user_id: int, now: datetime) -> None:
        for session in self.list_for_user(user_id):
            if not session.is_active(now):
                del self._sessions[session.id]

    def end_oldest(self, user_id: int, *, max_count: int, keep: str) -> Sequence[str]:
        others = [
            session.id for session in reversed(self.list_for_user(user_id)) if session.id != keep
        ]
        for session_id in (ended := others[max_count - 1 :]):
            del self._sessions[session_id]
        return ended


class MemoryKeys:
    """Access keys by public id."""

    def __init__(self, state: State) -> None:
        self._keys = state.keys
        self._users = state.users

    def add(self, key: AccessKey) -> None:
        self._keys[key.id] = key

    def get_with_owner(self, key_id: str) -> tuple[AccessKey, User] | None:
        key = self._keys.get(key_id)
        return None if key is None else (key, self._users[key.user_id])

    def list_for_user(self, user_id: int) -> Sequence[AccessKey]:
        own = [key for key in self._keys.values() if key.user_id == user_id]
        return sorted(own, key=lambda key: (key.created_at, key.id))

    def count_for_user(self, user_id: int) -> int:
        return len(self.list_for_user(user_id))

    def set_last_used(self, key_id: str, at: datetime) -> None:
        if (stored := self._keys.get(key_id)) is not None:
            self._keys[key_id] = replace(stored, last_used_at=at)

    def revoke_for_user(self, user_id: int, *, only: str | None = None) -> int:
        revoked = [key.id for key in self.list_for_user(user_id) if only in {None, key.id}]
        for key_id in revoked:
            del self._keys[key_id]
        return len(revoked)


class MemoryAttempts:
    """Attempts by subject and place."""

    def __init__(self, state: State) -> None:
        self._attempts = state.attempts
        self._users = state.users

    def list_failed(self, subject: int) -> Sequence[LoginAttempts]:
        failed = [
            found
            for found in self._attempts.values()
            if found.subject == subject and found.failures
        ]
        failed.sort(key=lambda found: found.place)
        return sorted(failed, key=lambda found: found.failed_at or EPOCH, reverse=True)

    def list_locking(
        self, uuids: Iterable[str], since: datetime
    ) -> Mapping[str, Sequence[LoginAttempts]]:
        wanted = set(uuids)
        locking = [
            found
            for found in self._attempts.values()
            if found.failures >= FAILURES_BEFORE_LOCK
            and found.failed_at is not None
            and found.failed_at > since
        ]
        return {
            user.uuid: [found for found in locking if found.subject == user.id]
            for user in self._users.values()
            if user.uuid in wanted
        }

    def list_for_subject(self, subject: int, *places: str) -> Sequence[LoginAttempts]:
        keys = [(subject, place) for place in dict.fromkeys(places)]
        return [self._attempts[key] for key in keys if key in self._attempts]

    def save(self, attempts: LoginAttempts) -> None:
        self._attempts[attempts.subject, attempts.place] = attempts

    def clear(self, subject: int, place: str, now: datetime) -> None:
        for key, found in list(self._attempts.items()):
            is_over = found.familiar_until is not None and found.familiar_until <= now
            if found.subject == subject and (found.place == place or is_over):
                del self._attempts[key]

    def delete_oldest(self, subject: int, *, max_count: int, keep: str) -> None:
        others = [
            (-found.familiar_until.timestamp(), place)
            for (of, place), found in self._attempts.items()
            if of == subject and place != keep and found.familiar_until is not None
        ]
        for _, place in sorted(others)[max_count - 1 :]:
            del self._attempts[subject, place]

    def reset(self, subject: int) -> bool:
        counted = [
            (key, found)
            for key, found in self._attempts.items()
            if found.subject == subject and found.failures
        ]
        for key, found in counted:
            self._attempts[key] = replace(found, failures=0, failed_at=None)
        return bool(counted)


class MemoryIdempotency:
    """Records by caller and key."""

    def __init__(self, state: State) -> None:
        self._records = state.idempotency

    def find(self, caller: str, key: bytes) -> IdempotencyRecord | None:
        return self._records.get((caller, key))

    def claim(self, record: IdempotencyRecord) -> bool:
        found = self._records.get((record.caller, record.key))
        if found is not None and found.is_kept(record.made_at):
            return False
        self._records[record.caller, record.key] = record
        return True

    def complete(self, record: IdempotencyRecord) -> None:
        self._records[record.caller, record.key] = record


class MemorySigningKeys:
    """Public keys by thumbprint."""

    def __init__(self, state: State) -> None:
        self._keys = state.signing_keys

    def publish(self, key: PublicKey) -> None:
        self._keys[key.kid] = key

    def find(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid)

    def list_all(self) -> Sequence[PublicKey]:
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.kid))

    def retire(self, kid: str, at: datetime) -> None:
        if (stored := self._keys.get(kid)) is not None:
            self._keys[kid] = replace(stored, retired_at=at)

    def renew(self, key: PublicKey) -> None:
        if (stored := self._keys.get(key.kid)) is not None:
            self._keys[key.kid] = replace(
                stored, signs_from=key.signs_from, renewed_at=key.renewed_at
            )


class MemoryGuilds:
    """Guilds by snowflake, and pairs of guild and member."""

    def __init__(self, state: State) -> None:
        self._users = state.users
        self._guilds = state.guilds
        self._members = state.members

    def find(self, guild_id: int) -> Guild | None:
        return self._guilds.get(guild_id)

    def upsert(self, guild: Guild) -> bool:
        is_new = guild.id not in self._guilds
        self._guilds[guild.id] = guild
        return is_new

    def delete(self, guild_id: int) -> bool:
        self._members -= {pair for pair in self._members if pair[0] == guild_id}
        return self._guilds.pop(guild_id, None) is not None

    def list_all(self) -> Sequence[Guild]:
        return [self._guilds[guild_id] for guild_id in sorted(self._guilds)]

    def list_for_user(self, user_id: int) -> Sequence[Guild]:
        return [
            guild
            for guild in self.list_all()
            if guild.owner_id == user_id or (guild.id, user_id) in self._members
        ]

    def add_member(self, guild_id: int, user_id: int) -> bool:
        is_new = (guild_id, user_id) not in self._members
        self._members.add((guild_id, user_id))
        return is_new

    def remove_member(self, guild_id: int, user_id: int) -> bool:
        was_there = (guild_id, user_id) in self._members
        self._members.discard((guild_id, user_id))
        return was_there

    def belongs_to(self, guild: Guild, user_id: int) -> bool:
        return user_id == guild.owner_id or (guild.id, user_id) in self._members

    def list_members(self, guild: Guild, after: int, limit: int) -> Sequence[User]:
        return [
            user
            for user_id, user in sorted(self._users.items())
            if user_id > after and not user.disabled and self.belongs_to(guild, user_id)
        ][:limit]


class MemoryServers:
    """Servers by uuid."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._servers = state.servers

    def find(self, uuid: str) -> Server | None:
        row = self._servers.get(uuid)
        if row is None:
            return None
        owner = self._state.users[row.owner_id]
        return Server(
            number=row.number,
            uuid=uuid,
            owner_id=owner.id,
            owner_uuid=owner.uuid,
            name=row.name,
            enabled=row.enabled,
            active=row.enabled and not owner.disabled,
        )

    def upsert(self, uuid: str, *, owner_id: int, name: str, enabled: bool) -> bool:
        before = self._servers.get(uuid)
        if before is None:
            self._state.server_numbers += 1
        number = self._state.server_numbers if before is None else before.number
        self._servers[uuid] = ServerRow(number, owner_id, name, enabled)
        return before is None

    def delete(self, uuid: str) -> bool:
        return self._servers.pop(uuid, None) is not None

    def list_all(self) -> Sequence[Server]:
        servers = [self.find(uuid) for uuid in self._servers]
        return sorted((s for s in servers if s is not None), key=lambda server: server.number)

    def list_uuids_for_user(self, user_id: int) -> Sequence[str]:
        return [server.uuid for server in self.list_all() if server.owner_id == user_id]


class MemoryAudit:
    """Entries in the order in which they were added."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._entries = state.audit

    def add(self, entry: Entry) -> None:
        self._state.audit_numbers += 1
        self._entries.append(replace(entry, number=self._state.audit_numbers))

    def list_page(self, wanted: EntryFilter, after: Position | None, limit: int) -> Sequence[Entry]:
        def place(entry: Entry) -> tuple[int, int]:
            return int(entry.position.value), entry.number

        found = [
            entry
            for entry in sorted(self._entries, key=place, reverse=True)
            if after is None or place(entry) < (int(after.value), after.number)
        ]
        return [entry for entry in found if _is_wanted(entry, wanted)][:limit]

    def get_complete_up_to(self) -> int:
        return self._state.audit_numbers

    def list_after(
        self, wanted: EntryFilter, after: int, up_to: int, limit: int
    ) -> Sequence[Entry]:
        found = [entry for entry in self._entries if after < entry.number <= up_to]
        return [entry for entry in found if _is_wanted(entry, wanted)][:limit]


def _is_wanted(entry: Entry, wanted: EntryFilter) -> bool:
    target = None if entry.target is None else entry.target.id
    return (
        wanted.actor in {None, entry.actor}
        and (not wanted.target or target in wanted.target)
        and wanted.action in {None, entry.action}
        and wanted.outcome in {None, entry.outcome}
        and (wanted.since is None or wanted.since <= entry.at)
        and (wanted.until is None or entry.at < wanted.until)
    )


class MemoryTotals:
    """Numbers of accounts and credentials."""

    def __init__(self, state: State) -> None:
        self._state = state

    def count_accounts(self, now: datetime) -> AccountTotals:
        users, attempts = self._state.users.values(), self._state.attempts.values()
        disabled = sum(user.disabled for user in users)
        locked = {found.subject for found in attempts if last_lock_end([found], now)}
        return AccountTotals(
            active=len(users) - disabled,
            disabled=disabled,
            admins=sum(user.is_active_admin for user in users),
            locked=sum(subject >= 0 for subject in locked),
        )

    def count_credentials(self, now: datetime) -> LiveCredentials:
        state = self._state
        return LiveCredentials(
            sum(session.is_active(now) for session in state.sessions.values()),
            sum(key.is_active(now) for key in state.keys.values()),
        )


class MemoryRestoredDatabase:
    """All credentials and all numbers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def end_credentials(self, kid: str | None) -> None:
        self._state.sessions.clear()
        self._state.keys.clear()
        for other in self._state.signing_keys.keys() - {kid}:
            del self._state.signing_keys[other]

    def skip_numbers(self, count: int) -> None:
        self._state.numbers += count
        self._state.server_numbers += count
        self._state.audit_numbers += count


class MemoryOutbox:
    """Messages by number, and who holds each until when."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._outbox, self._held = state.outbox, state.held

    def add(self, delivery: Delivery) -> None:
        self._state.messages += 1
        number = self._state.messages
        self._outbox[number] = replace(delivery, number=number)

    def has_due(self, kinds: Collection[str], now: datetime) -> bool:
        return bool(self._claimable(kinds, now))

    def claim(
        self, kinds: Collection[str], now: datetime, holder: str, max_count: int
    ) -> Sequence[Delivery]:
        claimed = sorted(self._claimable(kinds, now)[:max_count], key=lambda found: found.number)
        for found in claimed:
            self._held[found.number] = (holder, monotonic() + LEASE.total_seconds())
            self._outbox[found.number] = replace(found, attempts=found.attempts + 1)
        return [self._outbox[found.number] for found in claimed]

    def release(self, delivery: Delivery, holder: str) -> bool:
        if self._held.get(delivery.number, ("", 0))[0] != holder:
            return False
        del self._held[delivery.number]
        self.save(delivery)
        return True

    def find(self, number: int) -> Delivery | None:
        return self._outbox.get(number)

    def save(self, delivery: Delivery) -> None:
        self._outbox[delivery.number] = delivery

    def delete(self, number: int) -> bool:
        return not self._is_held(number) and self._outbox.pop(number, None) is not None

    def list_page(self, wanted: OutboxFilter, after: int | None, limit: int) -> Sequence[Delivery]:
        return [
            found
            for number, found in sorted(self._outbox.items(), reverse=True)
            if wanted.subject in {None, found.message.subject}
            and wanted.state in {None, found.state}
            and (after is None or number < after)
        ][:limit]

    def depth(self) -> Sequence[Depth]:
        def kind(found: Delivery) -> tuple[str, Fate]:
            return found.message.kind, found.state

        still = sorted((f for f in self._outbox.values() if f.state is not Fate.DONE), key=kind)
        groups = [(key, list(group)) for key, group in groupby(still, kind)]
        return [Depth(*key, len(all_), min(f.created_at for f in all_)) for key, all_ in groups]

    def _is_held(self, number: int) -> bool:
        return monotonic() < self._held.get(number, ("", 0))[1]

    def _claimable(self, kinds: Collection[str], now: datetime) -> list[Delivery]:
        waiting = [found for found in self._outbox.values() if found.state is Fate.WAITING]
        due = [
            found
            for found in waiting
            if found.message.kind in kinds
            and (found.due_at <= now or found.due_at > now + RETRY_DELAY_MAX)
            and not self._is_held(found.number)
            and not any(self._keeps_back(other, found) for other in waiting)
        ]
        return sorted(due, key=lambda found: (found.due_at, found.number))

    def _keeps_back(self, other: Delivery, found: Delivery) -> bool:
        mine, its = found.message, other.message
        is_in_line = (mine.kind, mine.subject) == (its.kind, its.subject)
        is_first = other.number < found.number or self._is_held(other.number)
        return is_in_line and other.number != found.number and is_first


class MemoryStoppedServers:
    """Pairs of owner and server."""

    def __init__(self, state: State) -> None:
        self._stopped = state.stopped

    def list_for_user(self, user_id: int) -> Sequence[str]:
        return sorted(server for owner, server in self._stopped if owner == user_id)

    def replace_for_user(self, user_id: int, servers: Collection[str]) -> None:
        self._stopped -= {pair for pair in self._stopped if pair[0] == user_id}
        self._stopped |= {(user_id, server) for server in servers}
