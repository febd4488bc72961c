"""`gatehouse users`: accounts."""

from collections.abc import Awaitable
from typing import Annotated

import typer

from app.cli.accounts.lists import end_sessions, list_sessions, list_users
from app.cli.accounts.passwords import read_password
from app.cli.accounts.report import show_user
from app.cli.command_setup import run_in_container
from app.cli.options import AccountArgument, AsJson
from app.cli.output import print_json, print_line, print_warning
from app.container import Container
from app.domain.errors import InvalidInput
from app.operations import operator
from app.operations.admin_users import AdminCreateUser, AdminUpdateUser
from app.operations.framework.operation import UNSET
from app.operations.views.accounts import AccountView

app = typer.Typer(help="Accounts.", no_args_is_help=True)


@app.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="The username of the account.")],
    email: Annotated[str | None, typer.Option(help="The e-mail address of the user.")] = None,
    display_name: Annotated[
        str | None, typer.Option(help="The name that others see; by default the username.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Give the user admin privileges.")] = False,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Ask for the password, or read it from standard input, instead of generating one.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create an account; a generated password is printed only this once."""
    command = AdminCreateUser(
        username,
        email,
        password=read_password() if password_stdin else UNSET,
        admin=admin,
        display_name=UNSET if display_name is None else display_name,
    )
    user = run_in_container(lambda it: operator.create_account(it.services, command))
    if as_json:
        print_json(user)
        return
    print(f"{user['username']}\t{user['uuid']}\t{user['user_id']}")
    if "password" in user:
        print(f"password\t{user['password']}")


app.command("list")(list_users)
app.command("show")(show_user)


@app.command("update")
def update_user(
    account: AccountArgument,
    username: Annotated[str | None, typer.Option(help="The new username.")] = None,
    email: Annotated[str | None, typer.Option(help="The new e-mail address.")] = None,
    no_email: Annotated[
        bool, typer.Option("--no-email", help="Remove the e-mail address.")
    ] = False,
    display_name: Annotated[str | None, typer.Option(help="The new display name.")] = None,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Give or take admin privileges.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change an account: username, e-mail address, display name, admin privileges."""
    if no_email and email is not None:
        raise InvalidInput("Use either --email or --no-email.")
    changes = AdminUpdateUser(
        "",
        username=UNSET if username is None else username,
        email=None if no_email else UNSET if email is None else email,
        admin=UNSET if admin is None else admin,
        display_name=UNSET if display_name is None else display_name,
    )
    view = run_in_container(lambda it: operator.update_account(it.services, account, changes))
    _print_changed(view, "is changed", as_json)


@app.command("password")
def set_password(
    account: AccountArgument,
    generate: Annotated[
        bool, typer.Option("--generate", help="Generate the password, and print it only this once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set the password of an account; ends its sessions and its lock.

    The password is asked for in a terminal, and is otherwise a line of standard input.
    """
    given = None if generate else read_password()
    view, password = run_in_container(lambda it: operator.set_password(it.services, account, given))
    if as_json:
        print_json({**view, "password": password} if generate else view)
    elif generate:
        print(f"password\t{password}")
    else:
        print_line(f"{view['username']} has a new password; its sessions have ended.")


@app.command("disable")
def disable_user(account: AccountArgument, as_json: AsJson = False) -> None:
    """Disable an account: end its sessions and keys, and stop its servers."""
    _set_disabled(account, True, as_json)


@app.command("enable")
def enable_user(account: AccountArgument, as_json: AsJson = False) -> None:
    """Enable an account again, and start the servers that were stopped when it was disabled."""
    _set_disabled(account, False, as_json)


def _set_disabled(account: str, disabled: bool, as_json: bool) -> None:
    def change(container: Container) -> Awaitable[tuple[AccountView, bool]]:
        return operator.set_disabled(container.services, account, disabled)

    view, is_panel_informed = run_in_container(change)
    _print_changed(view, "is disabled" if disabled else "is active", as_json)
    if not is_panel_informed:
        redo, undo = ("disable", "enable") if disabled else ("enable", "disable")
        print_warning(
            "The panel was not notified, because GATEHOUSE_PANEL_URL is not set here. Set it as "
            f"for the server, then {undo} the account and {redo} it again."
        )


@app.command("unlock")
def unlock_user(account: AccountArgument, as_json: AsJson = False) -> None:
    """Unlock an account that too many wrong passwords have locked."""
    view = run_in_container(lambda it: operator.unlock_account(it.services, account))
    _print_changed(view, "is unlocked", as_json)


def _print_changed(view: AccountView, state: str, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print_line(f"{view['username']} {state}.")


app.command("sessions")(list_sessions)
app.command("end-sessions")(end_sessions)
