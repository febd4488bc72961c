"""`gatehouse keys`: access keys."""

from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AccountArgument, AsJson
from app.cli.output import Cell, pluralize, print_json, print_table
from app.container import Container
from app.domain.key_limits import Scope
from app.operations import operator
from app.operations.credentials import CreateKey
from app.operations.views.credentials import KeyView

app = typer.Typer(help="Access keys.", no_args_is_help=True)


@app.command("create")
def create_key(
    account: AccountArgument,
    name: Annotated[str, typer.Option(help="The name of the key.")] = "command line",
    expires_at: Annotated[str | None, typer.Option(help="When the key expires, RFC 3339.")] = None,
    scope: Annotated[
        Scope, typer.Option(help="The privileges of the key within those of its owner.")
    ] = Scope.ADMIN,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A network that may use the key, in CIDR notation; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an access key for an account and print it, only this once."""
    command = CreateKey(name, expires_at, scope, network)
    created = run_in_container(lambda it: operator.create_key_for(it.services, account, command))
    if as_json:
        print_json(created)
    else:
        print(created["key"])


@app.command("list")
def list_keys(account: AccountArgument, as_json: AsJson = False) -> None:
    """List the keys of an account: id, name, created, expires, last used, scope, networks."""
    keys = run_in_container(lambda it: operator.list_keys_of(it.services, account))
    if as_json:
        print_json(keys)
    else:
        print_table(KEY_COLUMNS, map(key_row, keys))


KEY_COLUMNS = ("id", "name", "created", "expires", "last used", "scope", "networks")


def key_row(key: KeyView) -> list[Cell]:
    """Return the cells of an access key."""
    times = [key["created_at"], key["expires_at"], key["last_used_at"]]
    return [key["id"], key["name"], *times, key["scope"], " ".join(key["networks"] or [])]


@app.command("revoke")
def revoke_key(
    key: Annotated[
        str, typer.Argument(help="The id of the key: its first group. With --all, the account.")
    ],
    is_all: Annotated[bool, typer.Option("--all", help="Revoke all keys of the account.")] = False,
    as_json: AsJson = False,
) -> None:
    """Revoke an access key, or all keys of an account, effective immediately."""

    async def revoke(container: Container) -> list[str]:
        if is_all:
            return await operator.revoke_keys_of(container.services, key)
        await operator.revoke_key(container.services, key)
        return [key]

    revoked = run_in_container(revoke)
    if as_json:
        print_json({"revoked": revoked})
    else:
        print(f"{pluralize(len(revoked), 'key')} revoked.")
