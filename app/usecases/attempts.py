"""Attempts at a password: each is counted before it is judged, so that however many come at once,
no more are judged than the lock leaves."""

from app.domain.errors import Overloaded, RateLimited
from app.domain.ports import Transaction, Verdict
from app.domain.throttling import STRANGERS, Attempts
from app.usecases.call import Call
from app.usecases.trail import Done

Counted = Attempts | RateLimited | None


def count_attempt(tx: Transaction, call: Call, subject: int) -> Counted:
    """Count an attempt as one that failed; None where nothing is counted.

    Where the account is locked, the refusal is for `unless_locked` to raise after the transaction,
    which keeps from when the lock counts.
    """
    if not call.services.rules.rate_limits:
        return None
    now = call.services.clock.now()
    counted = {found.place: found for found in tx.attempts.of(subject, call.network, STRANGERS)}
    at_home = counted.get(call.network)
    if at_home is None or not at_home.is_familiar(now):
        at_home = counted.get(STRANGERS, Attempts(subject))
    known = at_home.as_of(now)
    try:
        attempt = known.one_more(now)
    except RateLimited as locked:
        if known != at_home:
            tx.attempts.put(known)
        return locked
    tx.attempts.put(attempt)
    return attempt


def unless_locked(counted: Counted) -> Attempts | None:
    """The attempt. Raises RateLimited where the account was locked."""
    if isinstance(counted, RateLimited):
        raise counted
    return counted


async def judge(
    call: Call, attempt: Attempts | None, password: str | None, hashed: str | None
) -> Verdict:
    """Whether the password is right; what could not be judged is taken off the count again."""
    try:
        return await call.services.hasher.verify(password, hashed)
    except Overloaded:
        await take_back(call, attempt)
        raise


async def take_back(call: Call, attempt: Attempts | None) -> None:
    """Count as if there had not been this attempt; all others count on."""
    if attempt is not None:
        await call.write_for_anyone(lambda tx: _take_back(tx, attempt))


def _take_back(tx: Transaction, attempt: Attempts) -> Done[None]:
    for counted in tx.attempts.of(attempt.subject, attempt.place):
        tx.attempts.put(counted.one_less())
    return Done(None)


def succeed(tx: Transaction, call: Call, attempt: Attempts | None) -> None:
    """The attempt was right: what failed there before is forgotten, and the place is familiar."""
    if attempt is None:
        return
    now = call.services.clock.now()
    tx.attempts.clear(attempt.subject, attempt.place, now)
    if call.network:
        tx.attempts.put(Attempts.familiar(attempt.subject, call.network, now))
