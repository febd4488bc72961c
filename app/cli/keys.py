"""`gatehouse keys`: access keys."""

from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.options import AccountArgument, AsJson
from app.cli.output import Cell, print_json, print_table
from app.domain.key_limits import Scope
from app.operations import operator
from app.operations.credentials import CreateKey
from app.operations.views import KeyView

app = typer.Typer(help="Access keys.", no_args_is_help=True)


@app.command("create")
def create_key(
    username: AccountArgument,
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
    created = run_in_container(lambda it: operator.create_key_for(it.services, username, command))
    if as_json:
        print_json(created)
    else:
        print(created["key"])


@app.command("list")
def list_keys(username: AccountArgument, as_json: AsJson = False) -> None:
    """List the keys of an account: id, name, created, expires, last used, scope, networks."""
    keys = run_in_container(lambda it: operator.list_keys_of(it.services, username))
    if as_json:
        print_json(keys)
    else:
        columns = ("id", "name", "created", "expires", "last used", "scope", "networks")
        print_table(columns, map(_row, keys))


def _row(key: KeyView) -> list[Cell]:
    times = [key["created_at"], key["expires_at"], key["last_used_at"]]
    return [key["id"], key["name"], *times, key["scope"], " ".join(key["networks"] or [])]


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The id of the key: its first group.")],
    as_json: AsJson = False,
) -> None:
    """Revoke an access key, effective immediately."""
    run_in_container(lambda it: operator.revoke_key(it.services, key_id))
    if as_json:
        print_json({"revoked": [key_id]})
