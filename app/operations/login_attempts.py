"""Password attempts, which are counted before they are verified, and the locks they lead to.

However many arrive at once, no more are verified than the lock permits.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from app.domain.errors import Overloaded, RateLimited
from app.domain.ports import PasswordCheck, Transaction
from app.domain.rate_limits import (
    LOCK_MAX,
    PLACES_MAX,
    UNFAMILIAR_PLACES,
    LoginAttempts,
    last_lock_end,
    unknown_name_subject,
)
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.login_queue import AttemptSlot, CountResult


@asynccontextmanager
async def attempt_slot(context: OperationContext, name: str) -> AsyncIterator[AttemptSlot]:
    """Wait for a slot for an attempt at the password of the account with that name, if any.

    Raises Overloaded if too many wait, or the client disconnected while it waited.
    """
    async with context.services.login_queue.slot(
        unknown_name_subject(name), context.network
    ) as slot:
        if slot.waited and context.is_disconnected():
            raise Overloaded
        yield slot


def count_attempt(tx: Transaction, context: OperationContext, subject: int) -> CountResult:
    """Count an attempt as failed; None without rate limits.

    For a locked account the error is returned, for `AttemptSlot.count` to raise after the
    transaction, which must be committed.
    """
    if not context.services.rules.rate_limits:
        return None
    now = context.services.clock.now()
    counted = {
        found.place: found
        for found in tx.login_attempts.list_for_subject(subject, context.network, UNFAMILIAR_PLACES)
    }
    attempts = counted.get(context.network)
    if attempts is None or not attempts.is_familiar(now):
        attempts = counted.get(UNFAMILIAR_PLACES, LoginAttempts(subject))
    clamped = attempts.clamped_to(now)
    try:
        attempt = clamped.add_failure(now)
    except RateLimited as locked:
        if clamped != attempts:
            tx.login_attempts.save(clamped)
        return locked
    tx.login_attempts.save(attempt)
    return attempt


async def verify_attempt(
    context: OperationContext,
    attempt: LoginAttempts | None,
    password: str | None,
    hashed: str | None,
) -> PasswordCheck:
    """Verify the password; an attempt that could not be verified is removed from the count."""
    try:
        return await context.services.hasher.verify(password, hashed)
    except Overloaded:
        await discard_attempt(context, attempt)
        raise


async def discard_attempt(context: OperationContext, attempt: LoginAttempts | None) -> None:
    """Remove the attempt from the count."""
    if attempt is not None:
        await context.write_for_anyone(lambda tx: _take_back(tx, attempt))


def _take_back(tx: Transaction, attempt: LoginAttempts) -> WriteResult[None]:
    for counted in tx.login_attempts.list_for_subject(attempt.subject, attempt.place):
        tx.login_attempts.save(counted.remove_failure())
    return WriteResult(None)


def record_success(
    tx: Transaction, context: OperationContext, attempt: LoginAttempts | None
) -> None:
    """Delete the failures at the place of the attempt, and make it familiar."""
    if attempt is None:
        return
    now = context.services.clock.now()
    tx.login_attempts.clear(attempt.subject, attempt.place, now)
    if context.network:
        tx.login_attempts.save(
            LoginAttempts.at_familiar_place(attempt.subject, context.network, now)
        )
        tx.login_attempts.delete_oldest(attempt.subject, max_count=PLACES_MAX, keep=context.network)


def find_locks(
    context: OperationContext, tx: Transaction, uuids: Iterable[str]
) -> Mapping[str, datetime]:
    """Return when the locks of those accounts end that are locked."""
    if not context.services.rules.rate_limits:
        return {}
    now = context.services.clock.now()
    attempts = tx.login_attempts.list_locking(uuids, now - LOCK_MAX)
    ends = ((uuid, last_lock_end(found, now)) for uuid, found in attempts.items())
    locks = {uuid: end for uuid, end in ends if end is not None}
    if locks:
        context.changes_at(min(locks.values()))
    return locks
