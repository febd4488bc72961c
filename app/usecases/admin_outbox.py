"""What an admin sees of the outbox: how far it got with what is to happen outside."""

from dataclasses import dataclass
from typing import Annotated

from app.domain.errors import Flaw, InvalidInput
from app.domain.outbox import OutboxFilter, State
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.users import PAGE_MAX, Position
from app.usecases.accounts import find_user
from app.usecases.call import Call
from app.usecases.operation import UNSET, Param, Unset
from app.usecases.paging import LIMIT_DEFAULT, cursor_at, position_at, require_limit
from app.usecases.views import OutboxPage, message_view


@dataclass(frozen=True, slots=True)
class ListOutbox:
    """Which messages of the outbox to list, and which part of the list."""

    user: (
        Annotated[
            str,
            Param(
                "Whom it is about: an account, by uuid or snowflake.",
                "0f8fad5b-d9cb-469f-a165-70867728950e",
            ),
        ]
        | Unset
    ) = UNSET
    state: (
        Annotated[
            str, Param("What became of it so far.", State.WAITING.value, choices=tuple(State))
        ]
        | Unset
    ) = UNSET
    limit: Annotated[
        int, Param("Messages on a page.", LIMIT_DEFAULT, minimum=1, maximum=PAGE_MAX)
    ] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Param("Where the page before ended.")] = None


async def list_outbox(call: Call, command: ListOutbox) -> OutboxPage:
    """Returns what is to happen outside and how far it got, the newest first, page by page.

    Admins may. Disabling an account, and enabling it again, leaves a message for the panel that
    keeps the servers; it waits there until it is done, or dead after a week of attempts. What was
    done can be seen for 30 days. A cursor belongs to the filters that it was given with.
    """

    def read(tx: Transaction, _: Principal) -> OutboxPage:
        require_limit(command.limit)
        wanted = _wanted(tx, command)
        after = None if command.cursor is None else position_at(command.cursor, wanted, int).number
        found = tx.outbox.page(wanted, after, command.limit + 1)
        page, more = found[: command.limit], len(found) > command.limit
        return {
            "messages": [message_view(delivery) for delivery in page],
            "next": cursor_at(Position(0, page[-1].number), wanted) if more else None,
        }

    return await call.scan(read)


def _wanted(tx: Transaction, command: ListOutbox) -> OutboxFilter:
    if command.state is not UNSET and command.state not in set(State):
        raise InvalidInput.of(Flaw("state", f"must be one of {', '.join(State)}"))
    return OutboxFilter(
        subject=None if command.user is UNSET else find_user(tx, command.user).id,
        state=None if command.state is UNSET else State(command.state),
    )
