"""`gatehouse keys`: access keys."""

from typing import Annotated

import typer

from app.cli.command_setup import run_in_container
from app.cli.users import AccountArgument
from app.domain.key_limits import Scope
from app.operations import operator
from app.operations.credentials import CreateKey

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
) -> None:
    """Create an access key for an account and print it, only this once."""
    command = CreateKey(name, expires_at, scope, network)
    created = run_in_container(lambda it: operator.create_key_for(it.services, username, command))
    print(created["key"])


@app.command("list")
def list_keys(username: AccountArgument) -> None:
    """List the keys of an account: id, name, created, expires, last used, scope, networks."""
    for key in run_in_container(lambda it: operator.list_keys_of(it.services, username)):
        times = [key["created_at"], key["expires_at"], key["last_used_at"]]
        shown = [time.isoformat() if time else "-" for time in times]
        networks = " ".join(key["networks"] or ["-"])
        print("\t".join([key["id"], key["name"], *shown, key["scope"], networks]))


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The id of the key: its first group.")],
) -> None:
    """Revoke an access key, effective immediately."""
    run_in_container(lambda it: operator.revoke_key(it.services, key_id))
