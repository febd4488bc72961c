"""The outbox: messages for external services, stored with the change that causes them.

Messages are delivered at least once, and in order within a queue: the messages of one kind about
one account. A message is not delivered while an earlier one of its queue waits, or any of them is
in progress. A dead message blocks no others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from app.domain.backoff import backoff

# The timeout of a delivery by the monotonic clock of its process, and the lease of the message,
# which is longer: before another process takes the message over, the first has timed out.
DELIVERY_MAX = timedelta(seconds=30)
LEASE = timedelta(seconds=45)
# A lease that ends later than any granted now was granted before the clock was set back, and is
# invalid. Clock corrections smaller than this invalidate none.
LEASE_MARGIN = timedelta(minutes=1)
# The delay doubles from the first to the longest.
RETRY_DELAY_MIN = timedelta(seconds=1)
RETRY_DELAY_MAX = timedelta(minutes=5)
# A message that could not be delivered in this time is dead.
GIVE_UP_AFTER = timedelta(days=7)
# The time for which a delivered message can be looked up.
DONE_KEPT_FOR = timedelta(days=30)

Json = Mapping[str, Any]


class State(StrEnum):
    """The state of a message."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its kind, the snowflake of the account it is about, and JSON data."""

    kind: str
    subject: int
    payload: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the outbox; the store assigns its number, which stays the same for every
    attempt.

    `attempts` counts the attempts since the message was queued; `due_at` is the earliest time of
    the next one. `outcome` is the result of the delivery, `error` the reason why the last attempt
    failed.
    """

    message: Message
    created_at: datetime
    due_at: datetime
    deadline: datetime
    state: State = State.WAITING
    attempts: int = 0
    ended_at: datetime | None = None
    outcome: Json | None = None
    error: str | None = None
    number: int = 0

    @classmethod
    def from_message(cls, message: Message, now: datetime) -> Self:
        """Create a delivery that is due now."""
        return cls(message, created_at=now, due_at=now, deadline=now + GIVE_UP_AFTER)

    def delivered(self, outcome: Json | None, now: datetime) -> Self:
        """Return the delivery as done."""
        return replace(self, state=State.DONE, ended_at=now, outcome=outcome, error=None)

    def failed(self, error: str, now: datetime, jitter: float) -> Self:
        """Return the delivery with a later attempt, or as dead if that would be after the deadline.

        `jitter` is a number from 0 to below 1, which spreads the retries.
        """
        due_at = now + retry_delay(self.attempts, jitter)
        if due_at > self.deadline:
            return replace(self, state=State.DEAD, ended_at=now, error=error)
        return replace(self, due_at=due_at, error=error)

    def without_attempt(self) -> Self:
        """Return the delivery as it was before an attempt that was interrupted."""
        return replace(self, attempts=self.attempts - 1)

    def requeued(self, now: datetime) -> Self:
        """Return the delivery as due now, whatever its state."""
        fresh = type(self).from_message(self.message, now)
        return replace(fresh, created_at=self.created_at, number=self.number)


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """Return the delay after so many attempts: at least half of the exponential back-off."""
    return backoff(attempts, RETRY_DELAY_MIN, RETRY_DELAY_MAX, jitter)


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """Conditions on messages; all that are set must hold."""

    subject: int | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """The number of waiting or dead messages of a kind, and the time of the oldest."""

    kind: str
    state: State
    messages: int
    since: datetime
