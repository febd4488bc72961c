"""The state of outbox messages, for admins."""

from dataclasses import dataclass
from typing import Annotated

from app.domain.errors import FieldError, InvalidInput
from app.domain.outbox import OutboxFilter, State
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.users import Position
from app.operations.accounts import find_user
from app.operations.formats import AccountId, Cursor, PageLimit
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.pagination import (
    LIMIT_DEFAULT,
    make_cursor,
    parse_cursor,
    require_limit,
)
from app.operations.views.outbox import OutboxPage, message_view


@dataclass(frozen=True, slots=True)
class ListOutbox:
    """Filters of the outbox, and the page to return."""

    user: (
        Annotated[
            AccountId,
            Param(
                "The account that messages are about, by uuid or snowflake.",
                "0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
        ]
        | Unset
    ) = UNSET
    state: (
        Annotated[str, Param("The state of messages.", State.WAITING.value, shown=State)] | Unset
    ) = UNSET
    limit: Annotated[PageLimit, Param("The number of messages on a page.", LIMIT_DEFAULT)] = (
        LIMIT_DEFAULT
    )
    cursor: Annotated[Cursor | None, Param("The `next` of the previous page.")] = None


async def list_outbox(context: OperationContext, command: ListOutbox) -> OutboxPage:
    """Returns the messages for external services and their state, the newest first, page by page.

    Admins may. Disabling or enabling an account creates a message for the panel that manages the
    servers. The message waits until it is delivered, or is dead after a week of attempts. Delivered
    messages are kept for 30 days. A cursor is only valid with the filters it was issued for.
    """

    def read(tx: Transaction, _: Principal) -> OutboxPage:
        require_limit(command.limit)
        wanted = _wanted(tx, command)
        after = None if command.cursor is None else parse_cursor(command.cursor, wanted, int).number
        found = tx.outbox.list_page(wanted, after, command.limit + 1)
        page, more = found[: command.limit], len(found) > command.limit
        return {
            "messages": [message_view(delivery) for delivery in page],
            "next": make_cursor(Position(0, page[-1].number), wanted) if more else None,
        }

    return await context.scan(read)


def _wanted(tx: Transaction, command: ListOutbox) -> OutboxFilter:
    if command.state is not UNSET and command.state not in set(State):
        raise InvalidInput.for_fields(FieldError("state", f"must be one of {', '.join(State)}"))
    return OutboxFilter(
        subject=None if command.user is UNSET else find_user(tx, command.user).id,
        state=None if command.state is UNSET else State(command.state),
    )
