"""Idempotency: a repeated request to create something is performed once.

After draft-ietf-httpapi-idempotency-key-header-07. The response is stored in the transaction that
creates the object, so of two concurrent requests one is performed. Errors are not stored: a failed
request can be retried with the same key.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any, Generic, TypeVar

from app.domain.errors import FieldError, InvalidCredentials, InvalidInput, RequestInFlight
from app.domain.idempotency import IdempotencyKey, IdempotencyRecord
from app.domain.passwords import normalize_password
from app.domain.policy import Access
from app.domain.ports.store import Transaction
from app.domain.timestamps import format_time
from app.domain.users import AccountRef, User
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import UNSET
from app.operations.login_attempts import (
    attempt_slot,
    count_attempt,
    discard_attempt,
    verify_attempt,
)
from app.operations.login_queue import CountResult
from app.operations.views.results import Created

V = TypeVar("V")

HEADER = "Idempotency-Key"
# The only member of a request whose value is not recorded, not even as a hash.
_OMITTED_MEMBER = "password"
# The same, of any operation in a batch.
_SECRETS = frozenset({_OMITTED_MEMBER, "current"})


class IdempotentRequest(Generic[V]):
    """A request to create something. Without a key, it is performed unconditionally.

    `account` returns the account in a response, for requests that contain its password;
    `shown_once` is the member of the response that is not returned again.
    """

    def __init__(
        self,
        context: OperationContext,
        command: Any,
        *,
        account: Callable[[V], AccountRef] | None = None,
        shown_once: str | None = None,
    ) -> None:
        self._context = context
        self._command = command
        self._account = account
        self._shown_once = shown_once
        self._record: IdempotencyRecord | None = None
        self._batch: IdempotencyRecord | None = None

    async def find_previous(self) -> Created[V] | None:
        """Return the response of an earlier identical request.

        Raises the errors of `OperationContext.actor`, InvalidInput if the key was used for another
        request, RateLimited if the account whose password was sent is locked.
        """
        context, now = self._context, self._context.services.clock.now()
        key = context.idempotency_key
        if key is None:
            return None
        caller, found, batch = await self._find(key)
        if key.batch:
            if batch is not None and batch.is_kept(now) and batch.fingerprint != key.batch:
                raise _another_request()
            self._batch = IdempotencyRecord(caller, key.of_request, key.batch, now)
        fingerprint = _fingerprint(context.action, self._command)
        if found is None or not found.is_kept(now):
            self._record = IdempotencyRecord(caller, key.of_call, fingerprint, now)
            return None
        if found.fingerprint != fingerprint:
            raise _another_request()
        answer: V = json.loads(found.answer)
        await self._require_same_password(answer)
        return Created(answer, is_repeated=True)

    def run(self, tx: Transaction, create: Callable[[], WriteResult[V]]) -> WriteResult[Created[V]]:
        """Call `create` and store its response. Raises RequestInFlight if another request was
        faster."""
        record = self._record
        if record is None:
            return create().with_view(Created)
        # Before anything else, so that a concurrent request waits here and finds this one, instead
        # of failing because the name is taken.
        if not (self._claim_batch(tx) and tx.idempotency.claim(record)):
            raise RequestInFlight
        done = create()
        answer = json.dumps(self._without_secret(done.result), default=format_time)
        tx.idempotency.complete(replace(record, answer=answer))
        return done.with_view(Created)

    def _claim_batch(self, tx: Transaction) -> bool:
        """Store the record of the batch, if there is one and no earlier call has stored it.

        Returns False if another request with the key was faster.
        """
        record = self._batch
        if record is None or tx.idempotency.claim(record):
            return True
        found = tx.idempotency.find(record.caller, record.key)
        return found is not None and found.fingerprint == record.fingerprint

    async def _find(
        self, key: IdempotencyKey
    ) -> tuple[str, IdempotencyRecord | None, IdempotencyRecord | None]:
        """Return the caller that the key belongs to, and the records of the call and its batch."""
        context = self._context

        def find(
            tx: Transaction, caller: str
        ) -> tuple[str, IdempotencyRecord | None, IdempotencyRecord | None]:
            found = tx.idempotency.find(caller, key.of_call)
            batch = tx.idempotency.find(caller, key.of_request) if key.batch else None
            return caller, found, batch

        if context.access is Access.ANYONE:
            return await context.services.store.read(lambda tx: find(tx, context.limits.network))
        return await context.read(lambda tx, actor: find(tx, actor.user.uuid))

    async def _require_same_password(self, answer: V) -> None:
        """Raise InvalidInput if the password of the request is not that of the account.

        This is a password attempt, counted and recorded like one at login, so that a guessed key
        reveals no more. A correct one only removes its own count.
        """
        context, password = self._context, getattr(self._command, _OMITTED_MEMBER, UNSET)
        if password is UNSET or self._account is None:
            return
        ref = self._account(answer)

        def begin(tx: Transaction) -> WriteResult[tuple[User | None, CountResult]]:
            user = tx.users.find(ref)
            return WriteResult(
                (user, None if user is None else count_attempt(tx, context, user.id))
            )

        async with attempt_slot(context, str(getattr(self._command, "username", ""))) as slot:
            user, attempt = await slot.count(lambda: context.write_for_anyone(begin))
            hashed = None if user is None else user.password_hash
            if not (
                await verify_attempt(context, attempt, normalize_password(password), hashed)
            ).is_correct:
                target = None if user is None else audit_log.account_ref(user)
                context.record_refusal(InvalidCredentials(), target=target)
                raise _another_request()
            await discard_attempt(context, attempt)

    def _without_secret(self, view: Any) -> Any:
        shown_once = self._shown_once
        return {**view, shown_once: None} if shown_once in view else view


def _another_request() -> InvalidInput:
    reason = "was used for another request; use a new key for each request"
    return InvalidInput.for_fields(FieldError(HEADER, reason, "header"))


def hash_batch(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Hash the names and inputs of the calls of a batch; of passwords, only their presence."""
    shown = [
        [name, {member: member in _SECRETS or value for member, value in members.items()}]
        for name, members in calls
    ]
    return sha256(json.dumps(shown, sort_keys=True).encode()).digest()


def _fingerprint(action: str, command: Any) -> bytes:
    """Hash the action and input; of a password, only its presence."""
    sent = {field.name: getattr(command, field.name) for field in fields(command)}
    members = {name: value for name, value in sent.items() if value is not UNSET}
    if _OMITTED_MEMBER in members:
        members[_OMITTED_MEMBER] = True
    return sha256(json.dumps([action, members]).encode()).digest()
