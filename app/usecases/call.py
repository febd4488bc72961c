"""One request to do one operation: who asks and from where, checked where it counts.

The credential is resolved and the permission decided inside the very transaction that does the
work, so nothing that was revoked a moment before gets in.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from app.domain.audit import Ref
from app.domain.credentials import SEEN_EVERY, KeyText, Origin, Presented, TokenClaims
from app.domain.errors import DomainError, Forbidden, RateLimited, Unauthenticated
from app.domain.outbox import Delivery
from app.domain.policy import Access, Principal
from app.domain.ports import Told, Transaction
from app.domain.throttling import SAME_WRONG_KEY, WRONG_KEYS, Limit, network_of
from app.usecases.services import Services
from app.usecases.trail import Done, add_once_in_a_while, entry

T = TypeVar("T")
Seen = tuple[T, Principal]
_AT_ONCE = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stale:
    """An answer to an operation that is overdue by some seconds, for want of a newer one."""

    operation: str
    overdue: int


def _nobody_hears(_: Stale) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands at a door: the credential as it was sent, unchecked, and the origin.

    `trusted` is set for the operator at the command line alone, who needs no credential.
    `idempotency_key` is his name for this request, under which it may come again. `is_told` takes
    what the door is to say beside an answer that is stale.
    """

    credential: str | None = None
    origin: Origin = field(default_factory=Origin)
    trusted: Principal | None = None
    idempotency_key: str | None = None
    is_told: Callable[[Stale], None] = _nobody_hears


class Call:
    """The services of one operation for one caller.

    `action` is the operation's name, `access` who may; `changes`: it may write; `refusal`: why
    nobody may here.
    """

    def __init__(
        self,
        services: Services,
        action: str,
        access: Access,
        caller: Caller,
        *,
        changes: bool,
        refusal: str | None = None,
    ) -> None:
        self.services = services
        self.origin = caller.origin
        self.asked_elsewhere = False
        self._refusal = refusal
        self.action = action
        self.access = access
        self.idempotency_key = caller.idempotency_key
        self._changes = changes
        self._caller = caller
        self._presented: Presented | None = None
        self._actor: Principal | None = None
        self._posted = False

    @property
    def network(self) -> str:
        """Whose calls are counted together with this one; '' where that is not known."""
        return network_of(self.origin.address)

    async def pace(self, limit: Limit) -> None:
        """Count a call from this address. Raises RateLimited where it is one too many."""
        if self._is_paced and (wait := await self.services.throttle.count(limit, self.network)):
            raise RateLimited(wait)

    async def pace_each(self, limit: Limit, calls: int) -> tuple[int, RateLimited | None]:
        """Count so many calls: how many of them may go on, and what refuses the others."""
        if not self._is_paced:
            return calls, None
        fit, wait = await self.services.throttle.count_each(limit, self.network, calls)
        return fit, RateLimited(wait) if wait else None

    @property
    def _is_paced(self) -> bool:
        return self.services.rules.rate_limits and self._caller.trusted is None

    async def actor(self) -> Principal:
        """Who acts. Raises Unauthenticated, Forbidden or RateLimited."""
        return await self.read(lambda _tx, actor: actor)

    async def read(self, work: Callable[[Transaction, Principal], T]) -> T:
        """Do `work` in one consistent view. Raises as `actor` does, before it."""
        return await self._view(self.services.store.read, work)

    async def scan(self, work: Callable[[Transaction, Principal], T]) -> T:
        """The same for `work` that may go through many rows."""
        return await self._view(self.services.store.scan, work)

    async def _view(
        self,
        look: Callable[[Callable[[Transaction], Seen[T]]], Awaitable[Seen[T]]],
        work: Callable[[Transaction, Principal], T],
    ) -> T:
        presented, now = await self._present(), self.services.clock.now()

        def admitted(tx: Transaction) -> Seen[T]:
            actor = self._admit(tx, presented, now)
            return work(tx, actor), actor

        result, actor = await self._judged(look(admitted), presented)
        if _is_due(actor, now):
            self.services.store.note(actor.acts_with, lambda tx: _note_use(tx, actor, now))
        return result

    async def write(self, work: Callable[[Transaction, Principal], Done[T]]) -> T:
        """Do `work` and put it on record, all of it or nothing. Raises as `actor` does."""
        assert self._changes, "an operation that only reads does not write"
        presented, now = await self._present(), self.services.clock.now()

        def admitted(tx: Transaction) -> T:
            actor = self._admit(tx, presented, now)
            if _is_due(actor, now):
                _note_use(tx, actor, now)
            return self._record(tx, work(tx, actor), actor, now)

        result = await self._judged(self.services.store.write(admitted), presented)
        self._announce()
        return result

    async def write_for_anyone(self, work: Callable[[Transaction], Done[T]]) -> T:
        """The same for what takes no credential, whatever the caller sent."""
        now = self.services.clock.now()
        result = await self.services.store.write(lambda tx: self._record(tx, work(tx), None, now))
        self._announce()
        return result

    async def ask(self, question: Awaitable[Told[T]]) -> T:
        """What another service answers; the door says where that is stale. Raises as `actor` does.

        Outside any transaction. Since it may take its time, who acts is asked again afterwards.
        """
        self.asked_elsewhere = True
        told = await question
        await self.actor()
        if told.overdue is not None:
            self._caller.is_told(Stale(self.action, told.overdue))
        return told.value

    def _record(self, tx: Transaction, done: Done[T], actor: Principal | None, now: datetime) -> T:
        if done.changes:
            who = done.by or actor
            tx.audit.add(
                entry(self.action, who, self.origin, now, target=done.target, changes=done.changes)
            )
        for message in done.messages:
            if message.kind in self.services.handlers:
                tx.outbox.add(Delivery.of(message, now))
                self._posted = True
        return done.result

    def _announce(self) -> None:
        """After a commit: whoever delivers need not wait to look."""
        if self._posted:
            self.services.posted.set()

    def note_refusal(self, refusal: DomainError, *, target: Ref | None = None) -> None:
        """Put on record, within a second or so, that this was refused to whoever acts."""
        refused = entry(
            self.action,
            self._actor,
            self.origin,
            self.services.clock.now(),
            outcome=refusal.slug,
            target=target,
        )
        about = f"{refused.outcome} {refused.actor} {target}"
        self.services.store.note(about, lambda tx: add_once_in_a_while(tx, refused))

    def tidy(self, about: str, work: Callable[[Transaction], None]) -> None:
        """Do `work` within a second or so: what puts away and may as well be left undone."""
        self.services.store.note(about, work)

    @property
    def stands_until(self) -> datetime:
        """After a read: when time alone ends the credential, or its use is to be noted again."""
        assert self._actor is not None
        return _stands_until(self._actor, self._presented)

    async def _present(self) -> Presented | None:
        credential = self._caller.credential
        if self._presented is None and credential is not None:
            key = KeyText.parse(credential)
            self._refuse_guesses(key)
            self._presented = key or await self.services.tokens.read(credential)
        return self._presented

    def _admit(self, tx: Transaction, presented: Presented | None, now: datetime) -> Principal:
        actor = self._caller.trusted or _resolve(tx, presented, now, self.origin.address)
        # Of guesses that came at once, those beyond the limit tell nothing, right or wrong.
        self._refuse_guesses(presented)
        self._actor = actor
        self.access.require(actor, changes=self._changes)
        if self._refusal is not None:
            raise Forbidden(self._refusal)
        return actor

    async def _judged(self, outcome: Awaitable[T], presented: Presented | None) -> T:
        """The outcome of a transaction; what it forbade is noted, a refused access key counted."""
        try:
            return await outcome
        except Forbidden as refusal:
            self.note_refusal(refusal)
            raise
        except Unauthenticated:
            if isinstance(presented, KeyText) and self._is_paced:
                which = f"{self.network} {presented.id} {presented.secret_hash.hex()}"
                if not await self.services.throttle.count(SAME_WRONG_KEY, which):
                    await self.pace(WRONG_KEYS)
            raise

    def _refuse_guesses(self, presented: Presented | None) -> None:
        """Raise RateLimited for an access key from where too many were wrong.

        A token is not held up: whether it is one of ours is plain from its signature, which nobody
        guesses.
        """
        if isinstance(presented, KeyText) and self._is_paced:
            wait = self.services.throttle.peek(WRONG_KEYS, self.network)
            if wait:
                raise RateLimited(wait)


def _resolve(
    tx: Transaction, presented: Presented | None, now: datetime, address: str | None
) -> Principal:
    match presented:
        case TokenClaims(user_id=user_id, session_id=session_id, expires_at=expires_at):
            found = tx.sessions.with_owner(session_id)
            if found is not None and now < expires_at:
                session, user = found
                if user.id == user_id and session.is_live(now) and not user.disabled:
                    return Principal(user, session=session)
        case KeyText(id=key_id):
            row = tx.keys.with_owner(key_id)
            if row is not None and presented.opens(row[0]):
                key, user = row
                if key.is_live(now) and key.is_used_from(address) and not user.disabled:
                    return Principal(user, key=key)
        case None:
            pass
    raise Unauthenticated


def _stands_until(actor: Principal, presented: Presented | None) -> datetime:
    ends = [_due_at(actor)]
    if isinstance(presented, TokenClaims):
        ends.append(presented.expires_at)
    for credential in (actor.session, actor.key):
        if credential is not None and credential.expires_at is not None:
            ends.append(credential.expires_at)
    return min(ends)


def _is_due(actor: Principal, now: datetime) -> bool:
    due = _due_at(actor)
    # One that is further off was noted before the clock was set back.
    return due <= now or (due is not _NEVER and due - now > SEEN_EVERY)


def _due_at(actor: Principal) -> datetime:
    """When the last use on record is old enough to be written again (at most once a minute)."""
    if actor.session is not None:
        return actor.session.last_seen_at + SEEN_EVERY
    if actor.key is None:
        return _NEVER
    used = actor.key.last_used_at
    return _AT_ONCE if used is None else used + SEEN_EVERY


def _note_use(tx: Transaction, actor: Principal, now: datetime) -> None:
    if actor.session is not None:
        tx.sessions.seen(actor.session.id, now)
    if actor.key is not None:
        tx.keys.used(actor.key.id, now)
