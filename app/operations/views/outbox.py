"""Views of the outbox."""

from typing import Annotated, Any

from typing_extensions import TypeAliasType, TypedDict

from app.domain.outbox import Delivery, State
from app.domain.users import PAGE_MAX
from app.operations.formats import (
    Count,
    Cursor,
    Identifier,
    Keywords,
    Number,
    Snowflake,
    Text,
    Timestamp,
)

Json = TypeAliasType("Json", dict[str, Any])


class OutboxMessage(TypedDict):
    """A message for an external service.

    `due_at` is the earliest time of the next attempt, null if there is none; `error` is the reason
    why the last attempt failed; `outcome` is the result of the delivery, if it has one.
    """

    id: Number
    kind: Identifier
    user_id: Snowflake
    payload: Json
    state: State
    created_at: Timestamp
    attempts: Count
    due_at: Timestamp | None
    ended_at: Timestamp | None
    outcome: Json | None
    error: Text | None


OutboxMessages = TypeAliasType(
    "OutboxMessages", Annotated[list[OutboxMessage], Keywords(maxItems=PAGE_MAX)]
)


class OutboxPage(TypedDict):
    """A page of the outbox; `next` is the cursor of the next page, null on the last."""

    messages: OutboxMessages
    next: Cursor | None


def message_view(delivery: Delivery) -> OutboxMessage:
    """Return the view of an outbox message."""
    return {
        "id": delivery.number,
        "kind": delivery.message.kind,
        "user_id": str(delivery.message.subject),
        "payload": dict(delivery.message.payload),
        "state": delivery.state,
        "created_at": delivery.created_at,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at if delivery.state is State.WAITING else None,
        "ended_at": delivery.ended_at,
        "outcome": None if delivery.outcome is None else dict(delivery.outcome),
        "error": delivery.error,
    }
