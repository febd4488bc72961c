"""The outbox: what must happen outside, kept with the change that asks for it until it happened.

At least once, in order, and in the end. Messages of one kind about one account are a line: a later
one is not delivered while an earlier one waits, or while any of the line is under way. A dead one
holds nobody up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

# A delivery may take so long by the monotonic clock of whoever delivers, and is nobody else's for
# longer than that: of two at once, the first has long given up.
DELIVERY_MAX = timedelta(seconds=30)
LEASE = timedelta(seconds=45)
# Pauses double from the first to the longest.
PAUSE_MIN = timedelta(seconds=1)
PAUSE_MAX = timedelta(minutes=5)
# A message that could not be delivered for so long is dead.
TRIED_FOR = timedelta(days=7)
# How long a delivered one can still be looked up.
KEPT_FOR = timedelta(days=30)

Json = Mapping[str, Any]


class State(StrEnum):
    """What became of a message so far."""

    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told or done: its kind, the account it is about, by snowflake, and JSON."""

    kind: str
    subject: int
    payload: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the outbox; the store gives it its number, which stays the same at every try.

    `attempts` counts those that began since it was last put there; `due_at` is when the next one
    may; `outcome` is what came of it in the end, `error` why the last attempt failed.
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
    def of(cls, message: Message, now: datetime) -> Self:
        """The message, to be delivered from now on."""
        return cls(message, created_at=now, due_at=now, deadline=now + TRIED_FOR)

    def done(self, outcome: Json | None, now: datetime) -> Self:
        """Delivered."""
        return replace(self, state=State.DONE, ended_at=now, outcome=outcome, error=None)

    def failed(self, error: str, now: datetime, chance: float) -> Self:
        """To be tried again after a pause, or dead where that would be too late.

        `chance` is a number from 0 to below 1, so that not all come again at once.
        """
        due_at = now + pause(self.attempts, chance)
        if due_at > self.deadline:
            return replace(self, state=State.DEAD, ended_at=now, error=error)
        return replace(self, due_at=due_at, error=error)

    def untried(self) -> Self:
        """As it was before the attempt that was broken off."""
        return replace(self, attempts=self.attempts - 1)

    def again(self, now: datetime) -> Self:
        """To be delivered from now on, whatever became of it before."""
        fresh = type(self).of(self.message, now)
        return replace(fresh, created_at=self.created_at, number=self.number)


def pause(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: at least half of what is due to them."""
    # Beyond so many the longest is reached anyway.
    doublings = min(max(attempts, 1) - 1, 30)
    due: timedelta = min(PAUSE_MIN * 2**doublings, PAUSE_MAX)
    return due * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """Which messages are wanted; every condition that is given must hold."""

    subject: int | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages of a kind wait or are dead, and since when the oldest of them."""

    kind: str
    state: State
    messages: int
    since: datetime
