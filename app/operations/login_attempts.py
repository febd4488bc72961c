"""Password attempts, which are counted before they are verified, and the locks they lead to.

However many arrive at once, no more are verified than the lock permits.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from app.domain.audit import LOCKED
from app.domain.errors import Overloaded, RateLimited
from app.domain.ports.services import PasswordCheck
from app.domain.ports.store import Transaction
from app.domain.rate_limits import (
    FAILURES_BEFORE_LOCK,
    LOCK_MAX,
    LOGINS,
    PLACES_MAX,
    UNFAMILIAR_PLACES,
    LoginAttempts,
    last_lock_end,
    unknown_name_subject,
)
from app.domain.timestamps import format_time
from app.domain.users import User
from app.operations.framework.audit_log import WriteResult, account_ref, make_entry
from app.operations.framework.context import OperationContext
from app.operations.login_queue import AttemptSlot, CountResult

_LOG = logging.getLogger("gatehouse.limits")


class NetworkAttempt:
    """A login that counts for its network, until it is known that the password was not wrong."""

    def __init__(self) -> None:
        self.is_refunded = False


@asynccontextmanager
async def network_attempt(context: OperationContext) -> AsyncIterator[NetworkAttempt]:
    """Count a login from this network; `is_refunded` takes it off the count at the end.

    Beyond the limit it waits while others are in progress, since these may be refunded. Raises
    RateLimited, and Overloaded if too many wait.
    """
    attempt = NetworkAttempt()
    if not context.limits.counts_network:
        yield attempt
        return

    async def count() -> tuple[None, RateLimited | None]:
        return None, await context.limits.try_count(LOGINS)

    async with context.services.login_queue.network_slot(context.limits.network) as slot:
        try:
            await slot.count(count)
        except RateLimited as refusal:
            raise context.limits.report(LOGINS, refusal) from None
        try:
            yield attempt
        except Overloaded:
            # The password was not verified.
            attempt.is_refunded = True
            raise
        finally:
            if attempt.is_refunded:
                await context.limits.refund(LOGINS)


@asynccontextmanager
async def attempt_slot(context: OperationContext, name: str) -> AsyncIterator[AttemptSlot]:
    """Wait for a slot for an attempt at the password of the account with that name, if any.

    Raises Overloaded if too many wait, or the client disconnected while it waited.
    """
    async with context.services.login_queue.slot(
        unknown_name_subject(name), context.limits.network
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
    network = context.limits.network
    places = tx.login_attempts.list_for_subject(subject, network, UNFAMILIAR_PLACES)
    counted = {found.place: found for found in places}
    attempts = counted.get(network)
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


async def record_lock(context: OperationContext, user: User, attempt: LoginAttempts | None) -> None:
    """Log a lock that a wrong password has caused, and record it in the audit log."""
    if attempt is None or attempt.failures < FAILURES_BEFORE_LOCK:
        return
    services, origin, now = context.services, context.origin, context.services.clock.now()
    try:
        # A right password that was verified meanwhile has unlocked the account.
        counted = await services.store.read(
            lambda tx: tx.login_attempts.list_for_subject(attempt.subject, attempt.place)
        )
    except Overloaded:
        counted = [attempt]
    locked_until = max(filter(None, (found.locked_until(now) for found in counted)), default=None)
    if locked_until is None:
        return
    until = format_time(locked_until)
    _LOG.warning(
        "account locked",
        extra={
            "account": user.uuid,
            "locked_until": until,
            "address": origin.address,
            "request_id": origin.request_id,
        },
    )
    locked = make_entry(
        LOCKED,
        None,
        origin,
        now,
        target=account_ref(user),
        changes={"locked_until": (None, until)},
    )
    services.store.defer(f"{LOCKED} {user.uuid} {until}", lambda tx: tx.audit.add(locked))


def record_success(
    tx: Transaction, context: OperationContext, attempt: LoginAttempts | None
) -> None:
    """Delete the failures at the place of the attempt, and make it familiar."""
    if attempt is None:
        return
    now = context.services.clock.now()
    tx.login_attempts.clear(attempt.subject, attempt.place, now)
    if network := context.limits.network:
        tx.login_attempts.save(LoginAttempts.at_familiar_place(attempt.subject, network, now))
        tx.login_attempts.delete_oldest(attempt.subject, max_count=PLACES_MAX, keep=network)


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
