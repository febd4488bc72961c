"""`gatehouse users`: accounts."""

import sys
from collections.abc import AsyncIterator, Awaitable
from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AccountArgument, AsJson
from app.cli.output import Table, dump_json, print_json, print_warning
from app.container import Container
from app.domain.errors import InvalidInput
from app.domain.users import Status
from app.operations import operator
from app.operations.admin_users import AdminCreateUser, ListUsers
from app.operations.framework.operation import UNSET
from app.operations.views import AccountView, PanelUser

# In bytes; longer than any valid password.
_PASSWORD_LINE_MAX = 4096

app = typer.Typer(help="Accounts.", no_args_is_help=True)


@app.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="The username of the account.")],
    email: Annotated[str | None, typer.Option(help="The e-mail address of the user.")] = None,
    admin: Annotated[bool, typer.Option(help="Give the user admin privileges.")] = False,
    password_stdin: Annotated[
        bool, typer.Option(help="Read the password from standard input instead of generating one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create an account; a generated password is printed only this once."""
    password = _read_password() if password_stdin else UNSET
    command = AdminCreateUser(username, email or "", password, admin)
    user = run_in_container(lambda it: operator.create_account(it.services, command, email))
    if as_json:
        print_json(user)
        return
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
    as_json: AsJson = False,
) -> None:
    """List accounts: number, uuid, username, e-mail address, and 'admin', 'disabled', 'locked'."""
    command = ListUsers(status=status)

    async def print_users(container: Container) -> None:
        users = operator.stream_accounts(container.services, command)
        await (_print_json(users) if as_json else _print_table(users))

    run_in_container(print_users)


async def _print_table(users: AsyncIterator[tuple[str, PanelUser]]) -> None:
    table = Table("id", "uuid", "username", "email", "marks")
    async for uuid, user in users:
        marks = [mark for mark in ("admin", "disabled") if user.get(mark)]
        if "locked_until" in user:
            marks.append("locked")
        table.add(user["id"], uuid, user["username"], user["email"], ",".join(marks))
    table.end()


async def _print_json(users: AsyncIterator[tuple[str, PanelUser]]) -> None:
    """Print the result of `admin.users.list`, a line for each account, as they are read."""
    between = '{"users": {\n'
    async for uuid, user in users:
        print(f"{between}{dump_json(uuid)}: {dump_json(user)}", end="")
        between = ",\n"
    print('{"users": {}, "next": null}' if between != ",\n" else '\n}, "next": null}')


@app.command("disable")
def disable_user(username: AccountArgument, as_json: AsJson = False) -> None:
    """Disable an account: end its sessions and keys, and stop its servers."""
    _set_disabled(username, True, as_json)


@app.command("enable")
def enable_user(username: AccountArgument, as_json: AsJson = False) -> None:
    """Enable an account again, and start the servers that were stopped when it was disabled."""
    _set_disabled(username, False, as_json)


def _set_disabled(account: str, disabled: bool, as_json: bool) -> None:
    def change(container: Container) -> Awaitable[tuple[AccountView, bool]]:
        return operator.set_disabled(container.services, account, disabled)

    view, is_panel_informed = run_in_container(change)
    if as_json:
        print_json(view)
    if not is_panel_informed:
        redo, undo = ("disable", "enable") if disabled else ("enable", "disable")
        print_warning(
            "The panel was not notified, because GATEHOUSE_PANEL_URL is not set here. Set it as "
            f"for the server, then {undo} the account and {redo} it again."
        )


@app.command("unlock")
def unlock_user(username: AccountArgument, as_json: AsJson = False) -> None:
    """Unlock an account that too many wrong passwords have locked."""
    view = run_in_container(lambda it: operator.unlock_account(it.services, username))
    if as_json:
        print_json(view)
