"""`gatehouse outbox`: messages to other services."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.output import print_json
from app.container import Container
from app.domain.outbox import State
from app.operations import operator
from app.operations.admin_outbox import ListOutbox
from app.operations.framework.operation import UNSET
from app.operations.framework.pagination import LIMIT_DEFAULT
from app.operations.framework.services import Services

app = typer.Typer(help="Messages to other services.", no_args_is_help=True)

Numbers = Annotated[list[int], typer.Argument(help="The numbers of the messages.")]


@app.command("list")
def list_messages(
    user: Annotated[
        str | None,
        typer.Option(help="The account: username, uuid, snowflake or e-mail address."),
    ] = None,
    state: Annotated[State | None, typer.Option(help="The state of the messages.")] = None,
    limit: Annotated[int, typer.Option(help="The maximum number of messages.")] = LIMIT_DEFAULT,
) -> None:
    """List the messages of the outbox, newest first, each as one line of JSON."""
    command = ListOutbox(state=UNSET if state is None else state, limit=limit)
    page = run_in_container(lambda it: operator.list_outbox(it.services, command, user))
    for message in page["messages"]:
        print_json(message)


@app.command("retry")
def retry_messages(numbers: Numbers) -> None:
    """Deliver waiting or dead messages as soon as possible."""
    _for_each(numbers, operator.retry_message)


@app.command("drop")
def drop_messages(numbers: Numbers) -> None:
    """Delete waiting or dead messages: what they ask for does not happen."""
    _for_each(numbers, operator.drop_message)


def _for_each(numbers: list[int], work: Callable[[Services, int], Awaitable[None]]) -> None:
    async def run(container: Container) -> None:
        for number in numbers:
            await work(container.services, number)

    run_in_container(run)
