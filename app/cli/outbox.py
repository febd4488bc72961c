"""`gatehouse outbox`: messages to other services."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AsJson, CursorOption
from app.cli.output import Cell, pluralize, print_json, print_next, print_table
from app.container import Container
from app.domain.outbox import State
from app.operations import operator
from app.operations.admin_outbox import ListOutbox
from app.operations.framework.operation import UNSET
from app.operations.framework.pagination import LIMIT_DEFAULT
from app.operations.framework.services import Services
from app.operations.views.outbox import OutboxMessage

app = typer.Typer(help="Messages to other services.", no_args_is_help=True)

Numbers = Annotated[list[int], typer.Argument(help="The numbers of the messages.")]


@app.command("list")
def list_messages(
    user: Annotated[
        str | None,
        typer.Option(
            "--user", "--account", help="The account: username, uuid, snowflake or e-mail address."
        ),
    ] = None,
    state: Annotated[State | None, typer.Option(help="The state of the messages.")] = None,
    limit: Annotated[int, typer.Option(help="The maximum number of messages.")] = LIMIT_DEFAULT,
    cursor: CursorOption = None,
    as_json: AsJson = False,
) -> None:
    """List the outbox, newest first: id, kind, account, state, created, attempts, due, error."""
    command = ListOutbox(state=UNSET if state is None else state, limit=limit, cursor=cursor)
    page = run_in_container(lambda it: operator.list_outbox(it.services, command, user))
    if as_json:
        print_json(page)
    else:
        columns = ("id", "kind", "user", "state", "created", "attempts", "due", "error")
        print_table(columns, map(_row, page["messages"]))
        print_next(page["next"])


def _row(message: OutboxMessage) -> list[Cell]:
    return [
        message["id"],
        message["kind"],
        message["user_id"],
        message["state"],
        message["created_at"],
        message["attempts"],
        message["due_at"],
        message["error"],
    ]


@app.command("retry")
def retry_messages(numbers: Numbers, as_json: AsJson = False) -> None:
    """Deliver waiting or dead messages as soon as possible."""
    _for_each(numbers, operator.retry_message)
    if as_json:
        print_json({"retried": numbers})
    else:
        print(f"{pluralize(len(numbers), 'message')} retried.")


@app.command("drop")
def drop_messages(numbers: Numbers, as_json: AsJson = False) -> None:
    """Delete waiting or dead messages: what they ask for does not happen."""
    _for_each(numbers, operator.drop_message)
    if as_json:
        print_json({"dropped": numbers})
    else:
        print(f"{pluralize(len(numbers), 'message')} dropped.")


def _for_each(numbers: list[int], work: Callable[[Services, int], Awaitable[None]]) -> None:
    async def run(container: Container) -> None:
        for number in numbers:
            await work(container.services, number)

    run_in_container(run)
