"""`gatehouse users list`, `sessions` and `end-sessions`."""

from collections.abc import AsyncIterator
from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AccountArgument, AsJson, CursorOption
from app.cli.output import Cell, Table, dump_json, pluralize, print_json, print_next, print_table
from app.container import Container
from app.domain.users import Status
from app.operations import operator
from app.operations.admin_user_lists import ListUsers
from app.operations.framework.operation import UNSET
from app.operations.framework.pagination import LIMIT_DEFAULT
from app.operations.views.accounts import PanelUser
from app.operations.views.credentials import SessionView

Users = AsyncIterator[tuple[str, PanelUser]]


def list_users(
    status: Annotated[Status, typer.Option(help="The accounts to list.")] = Status.ACTIVE,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Only admins, or only other users.")
    ] = None,
    q: Annotated[
        str | None, typer.Option("--q", help="A part of the username or e-mail address.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="The exact username.")] = None,
    email: Annotated[str | None, typer.Option(help="The exact e-mail address.")] = None,
    user_id: Annotated[str | None, typer.Option(help="The exact snowflake.")] = None,
    sort: Annotated[
        str, typer.Option(help="id, username or email; with '-' before it in descending order.")
    ] = "id",
    limit: Annotated[
        int | None, typer.Option(help="The accounts on a page; by default all are listed.")
    ] = None,
    cursor: CursorOption = None,
    as_json: AsJson = False,
) -> None:
    """List accounts: number, uuid, username, e-mail address, and 'admin', 'disabled', 'locked'."""
    is_page = limit is not None or cursor is not None
    command = ListUsers(
        username=UNSET if username is None else username,
        email=UNSET if email is None else email,
        user_id=UNSET if user_id is None else user_id,
        admin=UNSET if admin is None else admin,
        q=UNSET if q is None else q,
        status=status,
        sort=sort,
        limit=LIMIT_DEFAULT if limit is None else limit,
        cursor=cursor,
    )

    async def print_page(container: Container) -> None:
        users, following = await operator.list_accounts(container.services, command)
        if as_json:
            print_json({"users": users, "next": following})
            return
        print_table(_COLUMNS, [_row(uuid, user) for uuid, user in users.items()])
        print_next(following)

    async def print_all(container: Container) -> None:
        users = operator.stream_accounts(container.services, command)
        await (_print_json(users) if as_json else _print_rows(users))

    run_in_container(print_page if is_page else print_all)


_COLUMNS = ("id", "uuid", "username", "email", "marks")


def _row(uuid: str, user: PanelUser) -> list[Cell]:
    marks = [mark for mark in ("admin", "disabled") if user.get(mark)]
    if "locked_until" in user:
        marks.append("locked")
    return [user["id"], uuid, user["username"], user["email"], ",".join(marks)]


async def _print_rows(users: Users) -> None:
    table = Table(*_COLUMNS)
    async for uuid, user in users:
        table.add(*_row(uuid, user))
    table.end()


async def _print_json(users: Users) -> None:
    """Print the result of `admin.users.list`, a line for each account, as they are read."""
    between = '{"users": {\n'
    async for uuid, user in users:
        print(f"{between}{dump_json(uuid)}: {dump_json(user)}", end="")
        between = ",\n"
    print('{"users": {}, "next": null}' if between != ",\n" else '\n}, "next": null}')


def list_sessions(account: AccountArgument, as_json: AsJson = False) -> None:
    """List the sessions of an account: id, created, last seen, expires, address, agent."""
    sessions = run_in_container(lambda it: operator.list_sessions_of(it.services, account))
    if as_json:
        print_json(sessions)
    else:
        print_table(SESSION_COLUMNS, map(session_row, sessions))


SESSION_COLUMNS = ("id", "created", "last seen", "expires", "address", "agent")


def session_row(session: SessionView) -> list[Cell]:
    """Return the cells of a session."""
    times = [session["created_at"], session["last_seen_at"], session["expires_at"]]
    return [session["id"], *times, session["address"], session["agent"]]


def end_sessions(
    account: AccountArgument,
    session: Annotated[
        str | None, typer.Option(help="The id of one session; by default all are ended.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End the sessions of an account, effective immediately; its access keys stay valid."""
    ended = run_in_container(lambda it: operator.end_sessions_of(it.services, account, session))
    if as_json:
        print_json({"ended": ended})
    else:
        print(f"{pluralize(ended, 'session')} ended.")
