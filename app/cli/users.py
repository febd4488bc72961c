"""`gatehouse users`: accounts."""

import json
import sys
from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.output import print_error
from app.container import Container
from app.domain.errors import InvalidInput
from app.domain.users import Status
from app.operations import operator
from app.operations.admin_users import AdminCreateUser, ListUsers
from app.operations.catalog import OPERATIONS
from app.operations.framework.operation import UNSET

# In bytes; longer than any valid password.
_PASSWORD_LINE_MAX = 4096

app = typer.Typer(help="Accounts.", no_args_is_help=True)

AccountArgument = Annotated[
    str, typer.Argument(help="The account: username, uuid, snowflake or e-mail address.")
]


@app.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="The username of the account.")],
    email: Annotated[str | None, typer.Option(help="The e-mail address of the user.")] = None,
    admin: Annotated[bool, typer.Option(help="Give the user admin privileges.")] = False,
    password_stdin: Annotated[
        bool, typer.Option(help="Read the password from standard input instead of generating one.")
    ] = False,
) -> None:
    """Create an account; a generated password is printed only this once."""
    password = _read_password() if password_stdin else UNSET
    command = AdminCreateUser(username, email or "", password, admin)
    user = run_in_container(lambda it: operator.create_account(it.services, command, email))
    print(f"{user['username']}\t{user['uuid']}\t{user['user_id']}")
    if "password" in user:
        print(f"password\t{user['password']}")


def _read_password() -> str:
    """Read a line of UTF-8, whatever the encoding of the terminal."""
    line = sys.stdin.buffer.readline(_PASSWORD_LINE_MAX)
    try:
        return line.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise InvalidInput("The password on standard input is not in UTF-8.") from None


@app.command("list")
def list_users(
    status: Annotated[Status, typer.Option(help="The accounts to list.")] = Status.ACTIVE,
) -> None:
    """List accounts: number, uuid, username, e-mail address, and 'admin' or 'disabled'."""

    async def print_users(container: Container) -> None:
        operation = OPERATIONS["admin.users.list"]
        command = ListUsers(status=status)
        pieces = operation.stream(container.services, operator.OPERATOR_CALLER, command)
        async for piece in pieces:
            for uuid, user in json.loads(piece).items():
                marks = [mark for mark in ("admin", "disabled") if user.get(mark)]
                row = [str(user["id"]), uuid, user["username"], user["email"] or "-"]
                print("\t".join([*row, ",".join(marks) or "-"]))

    run_in_container(print_users)


@app.command("disable")
def disable_user(username: AccountArgument) -> None:
    """Disable an account: end its sessions and keys, and stop its servers."""
    _set_disabled(username, True)


@app.command("enable")
def enable_user(username: AccountArgument) -> None:
    """Enable an account again, and start the servers that were stopped when it was disabled."""
    _set_disabled(username, False)


def _set_disabled(username: str, disabled: bool) -> None:
    if run_in_container(lambda it: operator.set_disabled(it.services, username, disabled)):
        return
    redo, undo = ("disable", "enable") if disabled else ("enable", "disable")
    print_error(
        "The panel was not notified, because GATEHOUSE_PANEL_URL is not set here. Set it as for "
        f"the server, then {undo} the account and {redo} it again."
    )


@app.command("unlock")
def unlock_user(username: AccountArgument) -> None:
    """Unlock an account that too many wrong passwords have locked."""
    run_in_container(lambda it: operator.unlock_account(it.services, username))
