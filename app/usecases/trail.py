"""What a write leaves in the audit trail.

Every change passes `Call.write` or `Call.write_for_anyone`, whose work returns a `Done`: without
saying whom it touched and what changed there is no way to end. The entry is added in the same
transaction, so there is never one without the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from app.domain.audit import (
    DONE,
    REFUSALS_EVERY,
    Change,
    Changes,
    Entry,
    EntryFilter,
    Ref,
    RefKind,
)
from app.domain.credentials import Origin
from app.domain.outbox import Message
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.users import User

T = TypeVar("T")
V = TypeVar("V")

# Of an account's members, those whose values the trail keeps, and those of which it only says that
# they changed: secrets, what is personal, and texts in which anything may stand.
_WITH_VALUES = ("username", "admin", "disabled")
_BY_NAME = {"email": "email", "display_name": "display_name", "password_hash": "password"}


# Times are kept to it.
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What came of a write: its result, whom or what it touched, and which members changed.

    Without changes there is nothing to tell, and no entry. `by` is who acts where that is known
    only in the end: somebody who logs in. `messages` are for the outbox.
    """

    result: T
    target: Ref | None = None
    changes: Changes = field(default_factory=dict)
    by: Principal | None = None
    messages: Sequence[Message] = ()

    def showing(self, view: Callable[[T], V]) -> "Done[V]":
        """The same with a view of the result in its place."""
        return Done(view(self.result), self.target, self.changes, self.by, self.messages)


def account(user: User) -> Ref:
    """The account as the trail names it."""
    return Ref(RefKind.USER, user.uuid)


def created(user: User) -> Changes:
    """What is new with an account."""
    return {"username": (None, user.username), **({"admin": (False, True)} if user.admin else {})}


def differences(before: User, after: User) -> Changes:
    """Which members of an account changed."""
    changes: dict[str, Change] = {}
    for name in _WITH_VALUES:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            changes[name] = (old, new)
    for name, shown in _BY_NAME.items():
        if getattr(before, name) != getattr(after, name):
            changes[shown] = None
    return changes


def entry(
    action: str,
    actor: Principal | None,
    origin: Origin,
    at: datetime,
    *,
    outcome: str = DONE,
    target: Ref | None = None,
    changes: Changes | None = None,
) -> Entry:
    """A new entry: `actor`, who came from `origin`, did `action`, or was refused it."""
    return Entry(
        at=at,
        actor=None if actor is None else actor.trail_name,
        action=action,
        outcome=outcome,
        target=target,
        changes=changes or {},
        door=origin.door,
        address=origin.address,
        request_id=origin.request_id,
        credential=None if actor is None else actor.credential,
    )


def add_once_in_a_while(tx: Transaction, entry: Entry) -> None:
    """Add a refusal, but for one that follows too soon on another of the same kind.

    So nobody fills the trail by guessing passwords or knocking at what is not for him.
    """
    lately = EntryFilter(
        actor=entry.actor,
        target=() if entry.target is None else (entry.target.id,),
        outcome=entry.outcome,
        since=entry.at - REFUSALS_EVERY,
        # What is ahead was written before the clock was set back, and may have been long ago.
        until=entry.at + _TICK,
    )
    if not tx.audit.page(lately, None, 1):
        tx.audit.add(entry)
