"""The context of one call of an operation: caller, rate limits, transactions, audit log.

The credential is resolved and the permission decided inside the transaction that does the
work, so no credential revoked a moment before is accepted.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TypeVar

from app.domain.audit import Ref
from app.domain.credentials import (
    LAST_SEEN_INTERVAL,
    AccessKey,
    Origin,
    ParsedCredential,
    RawAccessKey,
    Session,
    TokenClaims,
    text_fault,
)
from app.domain.errors import (
    CredentialFault,
    DomainError,
    Forbidden,
    MisplacedCredential,
    Unauthenticated,
)
from app.domain.idempotency import IdempotencyKey
from app.domain.outbox import Delivery
from app.domain.policy import Access, Principal
from app.domain.ports.store import Transaction
from app.domain.ports.upstreams import Cached
from app.domain.preconditions import NO_PRECONDITIONS, Preconditions
from app.domain.rate_limits import CHANGES
from app.domain.users import User
from app.operations.framework.audit_log import WriteResult, add_refusal, make_entry
from app.operations.framework.call_limits import CallLimits
from app.operations.framework.services import Services

T = TypeVar("T")
Seen = tuple[T, Principal]
# The stored credential and its owner.
CredentialWithOwner = tuple[Session, User] | tuple[AccessKey, User] | None
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stale:
    """A stale result of an operation, and the seconds since it was fresh."""

    operation: str
    stale_seconds: int


@dataclass(frozen=True, slots=True)
class Deprecation:
    """The day since which an operation is deprecated, and the day of its removal, if decided.

    `instead` is the name of the operation to use.
    """

    since: date
    instead: str
    sunset: date | None = None

    def __str__(self) -> str:
        removal = "" if self.sunset is None else f" It will be removed on {self.sunset}."
        return f"Deprecated since {self.since}: use `{self.instead}`.{removal}"


def _ignore(_: object) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of an operation: the credential as sent, not yet verified, and the origin.

    `find_misplaced` returns where a credential seems to be if there is none.
    `trusted` is set only for the operator at the command line, who needs no credential.
    `idempotency_key` identifies a request that may be repeated. `on_stale` is called with each
    stale response of another service, so that the API can mark its own; `on_cacheable` with the
    time until which the result of a cacheable operation is valid without a commit; `on_deprecated`
    if the operation is deprecated; `on_account` with the account that acts, or that a login is for.
    `is_disconnected` returns whether the client has closed the connection. `preconditions` apply to
    the version of the target.
    """

    credential: str | None = None
    origin: Origin = field(default_factory=Origin)
    trusted: Principal | None = None
    idempotency_key: IdempotencyKey | None = None
    on_stale: Callable[[Stale], None] = _ignore
    on_deprecated: Callable[[Deprecation], None] = _ignore
    on_cacheable: Callable[[datetime], None] = _ignore
    on_account: Callable[[str], None] = _ignore
    is_disconnected: Callable[[], bool] = _never
    preconditions: Preconditions = NO_PRECONDITIONS
    find_misplaced: Callable[[], MisplacedCredential] = MisplacedCredential


class OperationContext:
    """The services of one operation for one caller.

    `action` is the operation's name, `access` who may call it. `changes`: it may write; `counts`:
    its changes count for the account's limit; `refusal`: the reason if it is unavailable.
    """

    def __init__(
        self,
        services: Services,
        action: str,
        access: Access,
        caller: Caller,
        *,
        changes: bool,
        counts: bool = True,
        refusal: str | None = None,
    ) -> None:
        self.services = services
        self.origin = caller.origin
        self.limits = CallLimits(
            services.rate_limiter,
            services.refusals,
            services.rules,
            caller.origin,
            is_on=services.rules.rate_limits and caller.trusted is None,
        )
        self.is_disconnected = caller.is_disconnected
        self.preconditions = caller.preconditions
        self.has_called_upstream = False
        self._refusal = refusal
        self.action = action
        self.access = access
        self.idempotency_key = caller.idempotency_key
        self._changes = changes
        self._counts = counts
        self._caller = caller
        self._parsed: ParsedCredential | None = None
        self._actor: Principal | None = None
        self._use_due_at = self._changes_at = _NEVER
        self._has_messages = False

    async def _count_change(self, parsed: ParsedCredential | None, now: datetime) -> User | None:
        """Count a change of the acting account, and return that account if it is limited at all.

        Raises the errors of `actor`. The account of a token is counted only once the token is
        known to be valid.
        """
        if not self._counts or not self.limits.is_on:
            return None
        actor = await self._with_refusals_recorded(self._look_up(parsed, now), parsed)
        if refusal := await self.limits.over_account(CHANGES, actor.user):
            raise refusal
        return actor.user

    async def actor(self, *checks: Callable[[Principal], None]) -> Principal:
        """Return the acting principal by one query. Raises Unauthenticated, Forbidden, RateLimited.

        Each of `checks` may raise, too.
        """
        parsed, now = await self._parse_credential(), self.services.clock.now()
        actor = await self._with_refusals_recorded(self._look_up(parsed, now, *checks), parsed)
        self._defer_use(actor, now)
        return actor

    async def read(self, work: Callable[[Transaction, Principal], T]) -> T:
        """Run `work` on one snapshot. Raises the errors of `actor` before it."""
        return await self._view(self.services.store.read, work)

    async def scan(self, work: Callable[[Transaction, Principal], T]) -> T:
        """Like `read`, for `work` that may read many rows."""
        return await self._view(self.services.store.scan, work)

    async def _view(
        self,
        look: Callable[[Callable[[Transaction], Seen[T]]], Awaitable[Seen[T]]],
        work: Callable[[Transaction, Principal], T],
    ) -> T:
        parsed, now = await self._parse_credential(), self.services.clock.now()

        # In quotes: Python would build the type at each call.
        def admitted(tx: Transaction) -> "Seen[T]":
            actor = self._admit_in(tx, parsed, now)
            return work(tx, actor), actor

        result, actor = await self._with_refusals_recorded(look(admitted), parsed)
        self._defer_use(actor, now)
        return result

    def _defer_use(self, actor: Principal, now: datetime) -> None:
        self._use_due_at = _due_at(actor)
        if _is_due(actor, now):
            self.services.store.defer(actor.credential_id, lambda tx: _record_use(tx, actor, now))
            self._use_due_at = now + LAST_SEEN_INTERVAL

    async def write(
        self, work: Callable[[Transaction, Principal], WriteResult[T]], *, is_durable: bool = True
    ) -> T:
        """Run `work` and record it, in one transaction. Raises the errors of `actor`.

        A change that is not durable may be lost if the machine or the database server crashes.
        """
        assert self._changes, "an operation that only reads does not write"
        parsed, now = await self._parse_credential(), self.services.clock.now()
        user = await self._count_change(parsed, now)

        def admitted(tx: Transaction) -> tuple[T, bool]:
            actor = self._admit_in(tx, parsed, now)
            if _is_due(actor, now):
                _record_use(tx, actor, now)
            done = work(tx, actor)
            return self._record(tx, done, actor, now), bool(done.changes)

        is_changed = False
        try:
            result, is_changed = await self._with_refusals_recorded(
                self.services.store.write(admitted, is_durable=is_durable), parsed
            )
        finally:
            if user is not None and not is_changed:
                await self.limits.refund_account(CHANGES, user)
        self._notify_outbox()
        return result

    async def write_for_anyone(
        self, work: Callable[[Transaction], WriteResult[T]], *, is_durable: bool = True
    ) -> T:
        """Like `write`, for operations without a credential, ignoring the caller's."""
        now = self.services.clock.now()
        result = await self.services.store.write(
            lambda tx: self._record(tx, work(tx), None, now), is_durable=is_durable
        )
        self._notify_outbox()
        return result

    async def call_upstream(self, request: Awaitable[Cached[T]]) -> T:
        """Return an upstream service's response; report a stale one. Raises the errors of `actor`.

        No transaction is open meanwhile. As this may take long, the caller is checked afterwards.
        """
        self.has_called_upstream = True
        response = await request
        await self.actor()
        if response.stale_seconds is not None:
            self._caller.on_stale(Stale(self.action, response.stale_seconds))
        return response.value

    def _record(
        self, tx: Transaction, done: WriteResult[T], actor: Principal | None, now: datetime
    ) -> T:
        if done.changes:
            acting = done.actor or actor
            tx.audit.add(
                make_entry(
                    self.action, acting, self.origin, now, target=done.target, changes=done.changes
                )
            )
        for message in done.messages:
            if message.kind in self.services.handlers:
                tx.outbox.add(Delivery.from_message(message, now))
                self._has_messages = True
        return done.result

    def _notify_outbox(self) -> None:
        """Wake the outbox worker after a commit."""
        if self._has_messages:
            self.services.outbox_changed.set()

    def record_refusal(self, refusal: DomainError, *, target: Ref | None = None) -> None:
        """Record in the audit log, as a deferred write, that the caller was refused."""
        refused = make_entry(
            self.action,
            self._actor,
            self.origin,
            self.services.clock.now(),
            outcome=refusal.slug,
            target=target,
        )
        key = f"{refused.outcome} {refused.actor} {target}"
        self.services.store.defer(key, lambda tx: add_refusal(tx, refused))

    def note_account(self, user: User) -> None:
        """Tell the API which account the call is of, for its log line."""
        self._caller.on_account(user.uuid)

    def changes_at(self, time: datetime) -> None:
        """Tell that the result of a read becomes another one at `time`, without a commit."""
        self._changes_at = min(self._changes_at, time)

    @property
    def expires_at(self) -> datetime:
        """After a read: when the result changes, the credential expires, or its use has to be
        recorded again."""
        assert self._actor is not None
        return min([self._use_due_at, self._changes_at, *_ends(self._actor, self._parsed)])

    async def _parse_credential(self) -> ParsedCredential | None:
        credential = self._caller.credential
        if self._parsed is None and credential is not None:
            key = RawAccessKey.parse(credential)
            self.limits.refuse_guesses(key)
            self._parsed = key or await self.services.tokens.verify(credential)
        return self._parsed

    async def _look_up(
        self,
        parsed: ParsedCredential | None,
        now: datetime,
        *checks: Callable[[Principal], None],
    ) -> Principal:
        """Admit the caller by one query, outside a transaction."""
        lookups = self.services.store.lookups
        found: CredentialWithOwner = None
        if self._caller.trusted is None:
            match parsed:
                case TokenClaims(session_id=session_id):
                    found = await lookups.get_session_with_owner(session_id)
                case RawAccessKey(id=key_id):
                    found = await lookups.get_key_with_owner(key_id)
        actor = self._admit(found, parsed, now)
        for check in checks:
            check(actor)
        return actor

    def _admit_in(
        self, tx: Transaction, parsed: ParsedCredential | None, now: datetime
    ) -> Principal:
        """Admit the caller within the transaction that does the work."""
        found: CredentialWithOwner = None
        if self._caller.trusted is None:
            match parsed:
                case TokenClaims(session_id=session_id):
                    found = tx.sessions.get_with_owner(session_id)
                case RawAccessKey(id=key_id):
                    found = tx.keys.get_with_owner(key_id)
        return self._admit(found, parsed, now)

    def _admit(
        self, found: CredentialWithOwner, parsed: ParsedCredential | None, now: datetime
    ) -> Principal:
        actor = self._caller.trusted or _resolve(found, parsed, now, self.origin.address)
        if actor is None:
            raise _unauthenticated(self._caller, parsed, now)
        # Concurrent guesses beyond the limit get the same error, right or wrong.
        self.limits.refuse_guesses(parsed)
        self._actor = actor
        self.note_account(actor.user)
        self.access.require(actor, changes=self._changes)
        if self._refusal is not None:
            raise Forbidden(self._refusal)
        return actor

    async def _with_refusals_recorded(
        self, outcome: Awaitable[T], parsed: ParsedCredential | None
    ) -> T:
        """Await a transaction; record Forbidden in the audit log, and count a wrong access key."""
        try:
            return await outcome
        except Forbidden as refusal:
            self.record_refusal(refusal)
            raise
        except Unauthenticated:
            await self.limits.count_wrong_key(parsed)
            raise


def _resolve(
    found: CredentialWithOwner, parsed: ParsedCredential | None, now: datetime, address: str | None
) -> Principal | None:
    """Return the owner of a valid credential, or None."""
    if found is None:
        return None
    credential, user = found
    if credential.is_active(now) and not user.disabled:
        match parsed, credential:
            case TokenClaims() as claims, Session() as session:
                if now < claims.expires_at and user.id == claims.user_id:
                    return Principal(user, session=session)
            case RawAccessKey() as text, AccessKey() as key:
                if text.matches(key) and key.can_be_used_from(address):
                    return Principal(user, key=key)
    return None


def _unauthenticated(
    caller: Caller, parsed: ParsedCredential | None, now: datetime
) -> Unauthenticated:
    """Return the error for a caller without a valid credential, with the reason."""
    if caller.credential is None:
        misplaced = caller.find_misplaced()
        return Unauthenticated(misplaced.fault, misplaced.place)
    if isinstance(parsed, TokenClaims) and parsed.expires_at <= now:
        return Unauthenticated(CredentialFault.EXPIRED)
    return Unauthenticated(text_fault(caller.credential))


def _ends(actor: Principal, parsed: ParsedCredential | None) -> Iterator[datetime]:
    """Yield the times at which the token, session or key expires."""
    if isinstance(parsed, TokenClaims):
        yield parsed.expires_at
    for credential in (actor.session, actor.key):
        if credential is not None and credential.expires_at is not None:
            yield credential.expires_at


def _is_due(actor: Principal, now: datetime) -> bool:
    due = _due_at(actor)
    # A later time was recorded before the clock was set back.
    return due <= now or (due is not _NEVER and due - now > LAST_SEEN_INTERVAL)


def _due_at(actor: Principal) -> datetime:
    """Return the time from which a new use is recorded, at most once a minute."""
    if actor.session is not None:
        return actor.session.last_seen_at + LAST_SEEN_INTERVAL
    if actor.key is None:
        return _NEVER
    used = actor.key.last_used_at
    return _LONG_AGO if used is None else used + LAST_SEEN_INTERVAL


def _record_use(tx: Transaction, actor: Principal, now: datetime) -> None:
    if actor.session is not None:
        tx.sessions.set_last_seen(actor.session.id, now)
    if actor.key is not None:
        tx.keys.set_last_used(actor.key.id, now)
