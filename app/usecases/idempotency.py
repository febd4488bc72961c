"""A request to create something that may come again: done once, and answered as it was at first.

After draft-ietf-httpapi-idempotency-key-header-07. What was answered is kept in the transaction
that creates, so neither is ever without the other, and of two requests at once one is done.
Refusals are not kept: what failed may be tried again under the same key.
"""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any, Generic, TypeVar

from app.domain.errors import Flaw, InvalidCredentials, InvalidInput, RequestInFlight
from app.domain.idempotency import IdempotencyRecord, hash_of_key
from app.domain.passwords import presented_password
from app.domain.policy import Access
from app.domain.ports import Transaction
from app.domain.times import time_text
from app.domain.users import AccountRef, User
from app.usecases import trail
from app.usecases.attempts import Counted, count_attempt, judge, take_back, unless_locked
from app.usecases.call import Call
from app.usecases.operation import UNSET
from app.usecases.trail import Done
from app.usecases.views import Created

V = TypeVar("V")

HEADER = "Idempotency-Key"
# The one member of a request whose value is in no record, in whatever form.
_LEFT_OUT = "password"


class Once(Generic[V]):
    """One request to create something. Without a key, it is done as if this were not here.

    `account` names the account that an answer shows, for a request that may bring its password;
    `shown_once` is the member of the answer that is not shown again.
    """

    def __init__(
        self,
        call: Call,
        command: Any,
        *,
        account: Callable[[V], AccountRef] | None = None,
        shown_once: str | None = None,
    ) -> None:
        self._call = call
        self._command = command
        self._account = account
        self._shown_once = shown_once
        self._record: IdempotencyRecord | None = None

    async def earlier(self) -> Created[V] | None:
        """What this very request was answered, where it was done before.

        Raises as `Call.actor` does, InvalidInput where the key came with another request,
        RateLimited where the account whose password was sent is locked.
        """
        call, now = self._call, self._call.services.clock.now()
        if call.idempotency_key is None:
            return None
        key = hash_of_key(call.idempotency_key)
        caller, found = await self._find(key)
        fingerprint = _fingerprint(call.action, self._command)
        if found is None or not found.is_kept(now):
            self._record = IdempotencyRecord(caller, key, fingerprint, now)
            call.tidy(f"idempotency {caller}", lambda tx: tx.idempotency.sweep(caller, now))
            return None
        if found.fingerprint != fingerprint:
            raise _another_request()
        answer: V = json.loads(found.answer)
        await self._require_same_password(answer)
        return Created(answer, is_repeated=True)

    def keep(self, tx: Transaction, create: Callable[[], Done[V]]) -> Done[Created[V]]:
        """Do `create`, and keep its answer. Raises RequestInFlight where another was quicker."""
        record = self._record
        if record is None:
            return create().showing(Created)
        # Before anything else, so that of two at once the second waits here and finds the first,
        # and is not told that somebody has the name.
        if not tx.idempotency.claim(record):
            raise RequestInFlight
        done = create()
        answer = json.dumps(self._without_secret(done.result), default=time_text)
        tx.idempotency.complete(replace(record, answer=answer))
        return done.showing(Created)

    async def _find(self, key: bytes) -> tuple[str, IdempotencyRecord | None]:
        """Whose key it is, and what is kept under it."""
        call = self._call
        if call.access is Access.ANYONE:
            network = call.network
            return network, await call.services.store.read(
                lambda tx: tx.idempotency.find(network, key)
            )
        return await call.read(
            lambda tx, actor: (actor.user.uuid, tx.idempotency.find(actor.user.uuid, key))
        )

    async def _require_same_password(self, answer: V) -> None:
        """Raise InvalidInput where the request brings another password than the account has.

        It is an attempt at the password like one at login, counted and put on record like one: who
        guessed a key learns no more here than there. A right one takes back no more than itself.
        """
        call, password = self._call, getattr(self._command, _LEFT_OUT, UNSET)
        if password is UNSET or self._account is None:
            return
        ref = self._account(answer)

        def begin(tx: Transaction) -> Done[tuple[User | None, Counted]]:
            user = tx.users.find(ref)
            return Done((user, None if user is None else count_attempt(tx, call, user.id)))

        user, counted = await call.write_for_anyone(begin)
        attempt = unless_locked(counted)
        hashed = None if user is None else user.password_hash
        if not (await judge(call, attempt, presented_password(password), hashed)).right:
            target = None if user is None else trail.account(user)
            call.note_refusal(InvalidCredentials(), target=target)
            raise _another_request()
        await take_back(call, attempt)

    def _without_secret(self, view: Any) -> Any:
        shown_once = self._shown_once
        return {**view, shown_once: None} if shown_once in view else view


def _another_request() -> InvalidInput:
    reason = "came with another request before; every request has a key of its own"
    return InvalidInput.of(Flaw(HEADER, reason, "header"))


def _fingerprint(action: str, command: Any) -> bytes:
    """What tells this request from others; of a password, only whether there is one."""
    sent = {field.name: getattr(command, field.name) for field in fields(command)}
    members = {name: value for name, value in sent.items() if value is not UNSET}
    if _LEFT_OUT in members:
        members[_LEFT_OUT] = True
    return sha256(json.dumps([action, members]).encode()).digest()
